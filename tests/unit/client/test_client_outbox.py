"""The outbox: bounded, in order, and after a crash exactly what it was."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from protocol.errors import ProtocolMisuseError, StoreError
from sealedge.client.outbox import Entry, Outbox, OutboxFullError
from storage.store import MemoryStore
from tests.support.examples import examples

IDS = [bytes([number]) * 16 for number in range(6)]


def entry(request: bytes = IDS[0], reading: bytes = b"abc", expires: int = 100) -> Entry:
    return Entry(request, reading, 10, expires)


def test_a_reading_is_not_printed() -> None:
    assert "secret" not in repr(entry(reading=b"secret"))


@pytest.mark.parametrize(
    ("limits", "said"), [({"max_entries": 2}, "outbox.entries"), ({"max_bytes": 7}, "outbox.bytes")]
)
def test_what_does_not_fit_is_refused_and_nothing_is_dropped(limits: dict[str, int], said: str) -> None:
    store = MemoryStore()
    outbox = Outbox(store, "scan", **limits)
    outbox.add(entry(IDS[0]))
    outbox.add(entry(IDS[1]))
    with pytest.raises(OutboxFullError) as caught:
        outbox.add(entry(IDS[2]))
    assert said in caught.value.diagnostics
    assert list(outbox) == list(Outbox(store, "scan")) == IDS[:2]
    outbox.remove(IDS[0])
    assert outbox.add(entry(IDS[2]))


def test_a_store_that_holds_something_else_is_named_as_the_fault() -> None:
    for value in (b"", b"\xf6", b"\x82\x01\x02"):
        store = MemoryStore()
        store.write("outbox:scan", IDS[0], value)
        with pytest.raises(StoreError, match="no request"):
            Outbox(store, "scan")


def test_only_pending_requests_have_an_entry() -> None:
    with pytest.raises(ProtocolMisuseError):
        Outbox(MemoryStore(), "scan").entry(IDS[0])


@settings(max_examples=examples(40), stateful_step_count=30)
class OutboxMachine(RuleBasedStateMachine):
    """Against a dict, over crashes: what is pending, in which order, and what expires next."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.outbox = Outbox(self.store, "scan", max_entries=4)
        self.model: dict[bytes, Entry] = {}
        self.told: set[bytes] = set()

    @rule(request=st.sampled_from(IDS), expires=st.integers(1, 20))
    def add(self, request: bytes, expires: int) -> None:
        if request in self.told:
            return
        found = entry(request, b"abc", expires)
        if request in self.model:
            assert not self.outbox.add(found)
        elif len(self.model) == 4:
            with pytest.raises(OutboxFullError):
                self.outbox.add(found)
        else:
            assert self.outbox.add(found)
            self.model[request] = found

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def tell(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted(self.model)))
        self.outbox.withdraw(request)
        self.told.add(request)
        del self.model[request]

    @rule()
    def forget_told(self) -> None:
        for request in self.told:
            self.outbox.remove(request)
        self.told.clear()

    @rule()
    def crash(self) -> None:
        """What was told and not yet removed is pending again: its end will be told again."""
        self.store = self.store.crash()
        self.outbox = Outbox(self.store, "scan", max_entries=4)
        assert set(self.outbox) == set(self.model) | self.told
        for request in self.told:
            self.outbox.remove(request)
        self.told.clear()
        self.model = {request: self.model[request] for request in self.outbox}

    @rule(now=st.integers(1, 20))
    def expire(self, now: int) -> None:
        expired = self.outbox.expired(now)
        assert sorted(expired) == sorted(r for r, each in self.model.items() if each.expires <= now)
        for request in expired:
            self.outbox.remove(request)
            del self.model[request]

    @invariant()
    def agrees(self) -> None:
        assert list(self.outbox) == list(self.model)
        assert len(self.outbox) == len(self.model)
        assert self.outbox.next_expiry == min((each.expires for each in self.model.values()), default=None)
        for request, found in self.model.items():
            assert request in self.outbox
            assert self.outbox.entry(request) == found


TestOutbox = OutboxMachine.TestCase
