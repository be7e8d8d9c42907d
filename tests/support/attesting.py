"""Fixtures: a fleet that attests, an honest enclave of it, and a verifier that must outlast what a test does to it."""

from collections.abc import Iterator

import pytest

from storage.store import MemoryStore
from tests.support.enclaves import NOW, FakeEnclave, Fleet, assert_serves_others
from verifier.verifier import Verifier


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


@pytest.fixture
def enclave(fleet: Fleet) -> FakeEnclave:
    """`agent-1`."""
    return FakeEnclave(fleet)


@pytest.fixture
def store() -> MemoryStore:
    """The verifier's."""
    return MemoryStore()


@pytest.fixture
def verifier(fleet: Fleet, store: MemoryStore) -> Iterator[Verifier]:
    """After every attack it must go on serving others."""
    verifier = fleet.verifier(store=store)
    yield verifier
    assert_serves_others(verifier, fleet, NOW + 30)
