"""Every planted bug is caught by an invariant: what the harness cannot notice, it cannot claim."""

import pytest

from simulation.mutations.catalogue import MUTATIONS
from simulation.mutations.hunting import hunt


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_planted_bug_is_caught(name: str) -> None:
    caught = hunt(name)
    assert caught.is_caught, f"{name} ({caught.against}) was not noticed in {caught.tried} seeds"
