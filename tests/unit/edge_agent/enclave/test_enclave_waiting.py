"""Requests that wait: bounded in number and bytes, and no sender's second before another's first."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.enclave import waiting
from edge_agent.enclave.waiting import Asked, WaitingRoom
from protocol.errors import AppraisalError
from schemas.reason import Reason
from schemas.session import InferenceRequest


def asked(sender: str, number: int, size: int = 1) -> Asked:
    session: Any = SimpleNamespace(sender=SimpleNamespace(name=sender), terms=SimpleNamespace(session=sender.encode()))
    request = InferenceRequest(request=number.to_bytes(16, "big"), input=bytes(size), issued=0, expires=1)
    return Asked(cast("Any", session), request, number)


ARRIVALS = st.lists(st.sampled_from("abc"), max_size=40)


@given(ARRIVALS, st.integers(0, 12))
def test_turns_go_round_between_senders_and_keep_each_senders_order(senders: list[str], most: int) -> None:
    room = WaitingRoom()
    for number, sender in enumerate(senders):
        room.add(asked(sender, number))
    turn = room.in_turn(most)
    assert len(turn) == min(most, len(senders))
    served = [each.session.sender.name for each in turn]
    for end in range(len(served) + 1):
        counts = {each: served[:end].count(each) for each in set(senders)}
        for one, other in ((a, b) for a in counts for b in counts):
            # Whoever has something left is never more than one behind.
            assert counts[one] - counts[other] <= 1 or counts[other] == senders.count(other)
    for sender in set(senders):
        own = [each.sequence for each in turn if each.session.sender.name == sender]
        assert own == sorted(own)


@given(ARRIVALS, st.lists(st.integers(1, 4), max_size=40))
def test_who_was_served_stands_behind_the_others(senders: list[str], shifts: list[int]) -> None:
    room, served = WaitingRoom(), []
    for number, sender in enumerate(senders):
        room.add(asked(sender, number))
    for most in [*shifts, *[3] * len(senders)]:
        for each in room.in_turn(most):
            room.remove(each)
            served.append(each.session.sender.name)
    assert sorted(served) == sorted(senders)
    assert len(room) == 0
    first_of_each = [served.index(each) for each in set(senders)]
    assert max(first_of_each, default=0) < max(1, len(set(senders)))


def test_it_knows_what_waits() -> None:
    room = WaitingRoom()
    room.add(asked("a", 1))
    assert room.holds(b"a", (1).to_bytes(16, "big"))
    assert not room.holds(b"b", (1).to_bytes(16, "big"))
    assert [each.sequence for each in room.remove_if(lambda each: each.sequence == 1)] == [1]
    assert not room.holds(b"a", (1).to_bytes(16, "big"))


def test_what_is_begun_has_no_turn_but_counts_until_it_is_removed() -> None:
    room = WaitingRoom()
    first, second, other = asked("a", 1), asked("a", 2), asked("b", 3)
    for each in (first, second, other):
        room.add(each)
    room.begin(first)
    assert room.in_turn(9) == [other, second]
    assert room.remove_if(lambda each: each is first) == []
    assert (len(room), room.holds(*first.name), room.has_begun(first)) == (3, True, True)
    room.put_back(first)
    assert room.in_turn(9) == [other, first, second]
    room.begin(first)
    room.remove(first)
    assert (len(room), room.holds(*first.name), room.has_begun(first)) == (2, False, False)


@pytest.mark.parametrize(
    ("name", "limit", "claim"),
    [
        ("MAX_WAITING", 5, "waiting.requests"),
        ("MAX_WAITING_OF_SENDER", 5, "waiting.of-sender"),
        ("MAX_WAITING_BYTES", 5, "waiting.bytes"),
    ],
)
def test_each_bound_holds_and_is_named(monkeypatch: pytest.MonkeyPatch, name: str, limit: int, claim: str) -> None:
    monkeypatch.setattr(waiting, name, limit)
    room = WaitingRoom()
    for number in range(5):
        room.add(asked("a", number))
    room.begin(room.in_turn(1)[0])
    with pytest.raises(AppraisalError) as refused:
        room.add(asked("a", 5))
    assert refused.value.reason is Reason.BUSY
    assert refused.value.finding is not None
    assert refused.value.finding.claim == claim
    room.remove(room.in_turn(1)[0])
    room.add(asked("a", 6))
