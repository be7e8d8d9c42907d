"""Leases: their schedule, their sequence numbers, and what ends them."""

import pytest

from protocol.errors import StoreError
from schemas.status import RevocationKind
from storage.store import MemoryStore
from tests.support.enclaves import Fleet
from verifier.leases import BUCKET, Leases
from verifier.pace import Pace
from verifier.records import Lease


def lease(agent: str = "agent-1", issued: int = 1000, seconds: int = 80) -> Lease:
    return Lease(
        agent=agent,
        issued=issued,
        expires=issued + seconds,
        measurement=b"\x01" * 32,
        chip=b"\x02" * 32,
        signing_key=b"\x03" * 32,
        enrolment=b"\x04" * 16,
        evidence=bytes(32),
        document=b"document",
    )


def dues(leases: Leases, start: float, end: float) -> list[float]:
    found = []
    while (due := leases.deadline) is not None and due <= end:
        found += [due - start for _ in leases.due(due)]
    return found


def test_from_its_half_a_lease_comes_up_each_eighth_until_its_end() -> None:
    leases = Leases(MemoryStore())
    leases.grant(lease(), 1)
    assert leases.due(1039.9) == []
    assert dues(leases, 1000, 2000) == [40, 50, 60, 70, 80]
    assert leases.deadline is None


def test_a_late_look_finds_each_lease_once() -> None:
    leases = Leases(MemoryStore())
    leases.grant(lease("agent-1"), 1)
    leases.grant(lease("agent-2", seconds=1000), 1)
    assert [each.agent for each in leases.due(1999)] == ["agent-1", "agent-2"]
    assert leases.due(1999) == []


def test_a_new_lease_takes_the_place_and_the_schedule_of_the_old() -> None:
    leases = Leases(MemoryStore())
    leases.grant(lease(), 1)
    leases.grant(lease(issued=1035), 2)
    assert dues(leases, 1000, 1080) == [75]
    assert len(leases) == 1


def test_an_ended_lease_comes_up_no_more_and_leaves_its_sequence() -> None:
    store = MemoryStore()
    leases = Leases(store)
    leases.grant(lease(), 5_000_000)
    leases.end("agent-1")
    leases.end("agent-1")
    assert (leases.deadline, leases.due(2000), len(leases)) == (None, [], 0)
    assert list(store.items(BUCKET)) == []
    assert Leases(store.crash()).next_sequence("agent-1", 1000) == 5_000_001


def test_live_is_until_the_end_and_not_at_it() -> None:
    leases = Leases(MemoryStore())
    leases.grant(lease(), 1)
    assert leases.live("agent-1", 1079.9) == lease()
    assert leases.live("agent-1", 1080) is None
    assert leases.live("agent-2", 1000) is None


def test_sequences_follow_the_clock_and_never_go_back() -> None:
    leases = Leases(MemoryStore())
    assert leases.next_sequence("agent-1", 1000.5) == 1_000_500
    leases.grant(lease(), 1_000_500)
    assert leases.next_sequence("agent-1", 1000.5) == 1_000_501
    assert leases.next_sequence("agent-1", 10) == 1_000_501
    assert leases.next_sequence("agent-2", 10) == 10_000


def test_lease_and_sequence_are_kept_together_or_not_at_all() -> None:
    class Failing(MemoryStore):
        def write(self, bucket: str, key: bytes, value: bytes) -> None:
            if bucket == BUCKET:
                raise StoreError("the disk is full")
            super().write(bucket, key, value)

    store = Failing()
    leases = Leases(store)
    with pytest.raises(StoreError):
        leases.grant(lease(), 77)
    assert leases.live("agent-1", 1000) is None
    assert Leases(store.crash()).next_sequence("agent-1", 0) == 0


@pytest.mark.parametrize(
    ("kind", "identifier", "named"),
    [
        ("measurement", b"\x01" * 32, True),
        ("chip", b"\x02" * 32, True),
        ("key", b"\x03" * 32, True),
        ("credential", b"\x04" * 16, True),
        ("model", b"\x01" * 32, False),
        ("chip", b"\x01" * 32, False),
    ],
)
def test_leases_that_rest_on_something_revoked(kind: RevocationKind, identifier: bytes, *, named: bool) -> None:
    fleet = Fleet()
    trust = fleet.trust()
    trust.revocations.accept_untrusted(fleet.revocations(1, (kind, identifier)))
    leases = Leases(MemoryStore())
    leases.grant(lease(), 1)
    assert [each.agent for each, _ in leases.revoked(trust.revocations)] == (["agent-1"] if named else [])


def test_a_pace_lets_each_name_pass_once_in_its_time() -> None:
    pace = Pace(1.0)
    assert [pace.passes("a", now) for now in (5.0, 5.9, 6.0, 6.1, 7.0)] == [True, False, True, False, True]
    assert pace.passes("b", 7.0)
    pace.forget("a")
    assert pace.passes("a", 7.0)


def test_a_pace_remembers_a_bounded_number_of_names() -> None:
    pace = Pace(1.0, limit=2)
    assert [pace.passes(name, 0.0) for name in "abcb"] == [True, True, True, False]
    assert pace.passes("a", 0.0)
    assert len(pace._passed) == 2
