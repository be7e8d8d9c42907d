"""A session's channel and its replay window, against a model of both and against a peer who means harm (P2, P7)."""

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.channel import MAX_SEQUENCE, WINDOW, Channel, ReplayWindow
from protocol.cose import parse_encrypt0_untrusted
from protocol.errors import AuthenticationError, FreshnessError, UnexpectedError
from schemas.kinds import Kind
from schemas.reason import Reason

SESSION, SECRET = bytes(range(16)), bytes(range(32))
TOPIC = "sealedge/v1/clinic/agent/agent-1/request"

near = st.integers(0, 3 * WINDOW)
anywhere = near | st.integers(0, MAX_SEQUENCE)


def admitted(window: ReplayWindow, sequence: int) -> bool:
    try:
        window.accept(sequence)
    except FreshnessError:
        return False
    return True


@given(st.lists(anywhere, max_size=200))
def test_the_window_admits_what_a_set_would(sequences: list[int]) -> None:
    window, seen = ReplayWindow(), set[int]()
    for sequence in sequences:
        fresh = sequence not in seen and sequence > max(seen, default=-1) - WINDOW
        assert admitted(window, sequence) is fresh
        if fresh:
            seen.add(sequence)


@given(st.lists(anywhere, max_size=50))
def test_a_number_that_was_marked_is_not_admitted(sequences: list[int]) -> None:
    """However often it is marked, and wherever it lies: marking never raises, and never forgets."""
    window = ReplayWindow()
    for sequence in sequences:
        window.mark(sequence)
        window.mark(sequence)
        assert not admitted(window, sequence)


def test_a_peer_that_jumps_to_the_last_number_costs_no_memory() -> None:
    window = ReplayWindow()
    window.accept(0)
    tracemalloc.start()
    try:
        window.accept(2**30)
        window.accept(MAX_SEQUENCE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000
    with pytest.raises(FreshnessError) as seen:
        window.accept(MAX_SEQUENCE)
    assert seen.value.reason is Reason.REPLAYED
    assert admitted(window, MAX_SEQUENCE - 1)


def test_each_side_opens_what_the_other_sealed_and_not_what_it_sealed_itself() -> None:
    sensor, enclave = Channel.of_sensor(SESSION, SECRET), Channel.of_enclave(SESSION, SECRET)
    message = parse_encrypt0_untrusted(sensor.seal(Kind.REQUEST, b"reading", TOPIC, "agent-1", b"c"))
    assert enclave.open_untrusted(message, Kind.REQUEST, TOPIC, "agent-1", b"c") == b"reading"
    with pytest.raises(AuthenticationError):
        sensor.open_untrusted(message, Kind.REQUEST, TOPIC, "agent-1", b"c")


@pytest.mark.parametrize(
    ("kind", "topic", "recipient", "correlation"),
    [
        (Kind.REPLY, TOPIC, "agent-1", b"c"),
        (Kind.REQUEST, TOPIC + "/x", "agent-1", b"c"),
        (Kind.REQUEST, TOPIC, "agent-2", b"c"),
        (Kind.REQUEST, TOPIC, "agent-1", b"d"),
    ],
)
def test_a_message_is_good_at_its_place_alone(kind: Kind, topic: str, recipient: str, correlation: bytes) -> None:
    sealed = Channel.of_sensor(SESSION, SECRET).seal(Kind.REQUEST, b"reading", TOPIC, "agent-1", b"c")
    with pytest.raises((AuthenticationError, UnexpectedError)):
        Channel.of_enclave(SESSION, SECRET).open_untrusted(
            parse_encrypt0_untrusted(sealed), kind, topic, recipient, correlation
        )


def test_the_counter_rises_and_ends() -> None:
    channel = Channel.of_sensor(SESSION, SECRET)
    sealed = [parse_encrypt0_untrusted(channel.seal(Kind.REQUEST, b"", TOPIC, "a", b"")) for _ in range(3)]
    assert all(after.partial_iv == before.partial_iv + 1 for before, after in pairwise(sealed))
    channel.next_sequence = MAX_SEQUENCE
    channel.seal(Kind.REQUEST, b"last", TOPIC, "a", b"")
    with pytest.raises(FreshnessError) as ended:
        channel.seal(Kind.REQUEST, b"one more", TOPIC, "a", b"")
    assert ended.value.reason is Reason.SESSION_LIMIT


def test_a_channel_shows_no_key() -> None:
    assert "AeadKey" not in repr(Channel.of_sensor(SESSION, SECRET))
