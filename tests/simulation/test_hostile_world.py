"""Whatever a seed brings upon a fleet, the invariants hold; and the same seed brings the same again."""

import pytest

from simulation.drawing import drawn
from simulation.running import EVERYTHING, run, run_seed
from tests.support.examples import examples


@pytest.mark.parametrize("seed", range(examples(20)))
def test_whatever_a_seed_brings_the_invariants_hold(seed: int) -> None:
    outcome = run_seed(seed)
    assert outcome.broken == {}, f"python -m simulation --seed {seed}"


@pytest.mark.parametrize("seed", [3, 7])
def test_a_seed_is_the_same_history_again(seed: int) -> None:
    first, second = (run(drawn(seed), history=True) for _ in range(2))
    assert first.history == second.history
    assert first.history


def test_plans_draw_on_every_kind_of_act() -> None:
    kinds = {act.kind for seed in range(400) for act in drawn(seed).acts}
    assert kinds == set(EVERYTHING)
