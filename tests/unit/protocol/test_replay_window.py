"""The window against its definition, and against a peer that jumps as far as it can."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.channel import MAX_SEQUENCE, WINDOW, ReplayWindow
from protocol.errors import FreshnessError


@given(st.lists(st.one_of(st.integers(0, 200), st.integers(0, MAX_SEQUENCE)), max_size=60))
def test_a_number_passes_once_and_never_from_behind_the_window(numbers: list[int]) -> None:
    window, seen = ReplayWindow(), set[int]()
    for number in numbers:
        if number in seen or (seen and number <= max(seen) - WINDOW):
            with pytest.raises(FreshnessError):
                window.accept(number)
        else:
            window.accept(number)
            seen.add(number)


def test_a_jump_to_the_end_costs_nothing() -> None:
    window = ReplayWindow()
    window.accept(0)
    tracemalloc.start()
    window.accept(MAX_SEQUENCE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000
    with pytest.raises(FreshnessError):
        window.accept(0)
    window.accept(MAX_SEQUENCE - WINDOW + 1)
