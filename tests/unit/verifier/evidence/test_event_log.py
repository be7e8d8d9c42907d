"""Event logs: replay gives what a TPM would hold, and nothing but a log is one."""

import hashlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import MalformedError, RemoteError, UnsupportedError
from schemas.reason import Reason
from tests.synthetic import tpm as made
from tests.synthetic.tpm import BOOT, EV_NO_ACTION, booted, event, event_log, header, old_event
from verifier.evidence import event_log as log_module
from verifier.evidence.event_log import EV_NO_ACTION as NO_ACTION
from verifier.evidence.event_log import Event, parse_event_log_untrusted

BANKS = ("sha1", "sha256", "sha384", "sha512")


@pytest.mark.parametrize("bank", BANKS)
def test_replay_in_each_bank(bank: str) -> None:
    log = parse_event_log_untrusted(event_log(banks=BANKS))
    assert log.banks == BANKS
    assert log.replay(bank) == booted(bank)


def test_events() -> None:
    log = parse_event_log_untrusted(event_log())
    assert [(each.index, each.type, each.data) for each in log.events] == list(BOOT)
    assert NO_ACTION == EV_NO_ACTION


def test_sha1_log() -> None:
    log = parse_event_log_untrusted(b"".join(map(old_event, BOOT)))
    assert (log.banks, len(log.events)) == (("sha1",), len(BOOT))
    assert log.replay("sha1") == booted("sha1")


def test_startup_locality_alone() -> None:
    log = parse_event_log_untrusted(old_event(BOOT[0]))
    assert (log.startup_locality, log.replay("sha1")) == (3, {})


def test_locality_is_zero_without_its_event() -> None:
    log = parse_event_log_untrusted(event_log(BOOT[1:2]))
    digest = hashlib.sha256(b"firmware").digest()
    assert log.replay("sha256") == {0: hashlib.sha256(bytes(32) + digest).digest()}


def test_replay_looks_at_each_event_a_few_times_and_not_at_all_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    log = parse_event_log_untrusted(event_log(BOOT[1:2] * 200))
    looked: list[Event] = []

    def counted(each: Event) -> bool:
        looked.append(each)
        return False

    monkeypatch.setattr(log_module, "_is_startup_locality", counted)
    log.replay("sha256")
    assert len(looked) <= 400


def test_events_without_action_are_not_extended() -> None:
    """Not even those of a register that no TPM has, as SP 800-155 events are."""
    log = parse_event_log_untrusted(event_log(((0xFFFFFFFF, EV_NO_ACTION, b"reference manifest"),)))
    assert log.replay("sha256") == {}


@pytest.mark.parametrize("filler", [b"\xff" * 4096, b"\0" * 4096, b"\xff", b"\0"])
def test_filler(filler: bytes) -> None:
    assert parse_event_log_untrusted(event_log(filler=filler)) == parse_event_log_untrusted(event_log())


@pytest.mark.parametrize("filler", [b"\xff\0", b"\0\xff", b"\1", b"\xff" * 40 + b"x", b"x" + b"\0" * 40])
def test_other_bytes_are_no_filler(filler: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_event_log_untrusted(event_log(filler=filler))


def test_a_bank_that_is_not_logged() -> None:
    with pytest.raises(UnsupportedError):
        parse_event_log_untrusted(event_log()).replay("sha384")


def test_a_bank_that_cannot_be_computed() -> None:
    event = struct.pack("<III", 0, 1, 2) + struct.pack("<H", 0x0B) + b"d" * 32 + struct.pack("<H", 0x12) + b"s" * 32
    log = parse_event_log_untrusted(header(("sha256", "sm3")) + event + struct.pack("<I", 0))
    assert log.banks == ("sha256", "0x0012")
    assert set(log.replay("sha256")) == {0}
    with pytest.raises(UnsupportedError):
        log.replay("0x0012")


def test_an_event_without_a_digest_of_the_bank() -> None:
    log = parse_event_log_untrusted(header(("sha1", "sha256")) + event(BOOT[1], ("sha1",)))
    assert set(log.replay("sha1")) == {0}
    with pytest.raises(MalformedError):
        log.replay("sha256")


ONE = event(BOOT[1], ("sha256",))
FAULTS = {
    "nothing": b"",
    "a digest twice": header(("sha1", "sha256")) + event(BOOT[1], ("sha256", "sha256")),
    "a digest of another bank": header(("sha1",)) + event(BOOT[1], ("sha256",)),
    "more digests than banks": header(("sha256",)) + event(BOOT[1], ("sha256", "sha256")),
    "a register too high": header(("sha256",)) + struct.pack("<I", 24) + ONE[4:],
    "a bank twice": header(("sha256", "sha256")) + ONE,
    "no bank": header(()) + ONE,
    "too many banks": header(("sha256",) * 17) + ONE,
    "a bank of another size": header(("sha256",)).replace(struct.pack("<HH", 11, 32), struct.pack("<HH", 11, 20)) + ONE,
    "two localities": event_log((BOOT[0], BOOT[0])),
    "data without end": header(("sha256",)) + ONE[: -len(b"firmware") - 4] + b"\xff\xff\xff\xff" + b"firmware",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(fault: str) -> None:
    with pytest.raises(MalformedError):
        parse_event_log_untrusted(FAULTS[fault])


def test_cut_short() -> None:
    """Between two events (also after a first few zeros of one: filler) it is a shorter log; within one it is none."""
    whole, ends = event_log(), {len(header(("sha256",)))}
    for each in BOOT:
        ends.add(max(ends) + len(event(each, ("sha256",))))
    for size in range(len(whole)):
        if any(end <= size and not whole[end:size].strip(filler) for end in ends for filler in (b"\0", b"\xff")):
            assert len(parse_event_log_untrusted(whole[:size]).events) < len(BOOT)
        else:
            with pytest.raises(MalformedError):
                parse_event_log_untrusted(whole[:size])


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MalformedError) as caught:
        parse_event_log_untrusted(bytes(log_module.MAX_LOG + 1))
    assert caught.value.reason is Reason.OVERSIZED
    monkeypatch.setattr(log_module, "MAX_EVENTS", len(BOOT))
    parse_event_log_untrusted(event_log())
    with pytest.raises(MalformedError) as caught:
        parse_event_log_untrusted(event_log((*BOOT, BOOT[1])))
    assert caught.value.reason is Reason.OVERSIZED


@given(digests=st.lists(st.tuples(st.integers(0, 23), st.binary(max_size=8)), max_size=12))
def test_replay_is_the_chain_of_extensions(digests: list[tuple[int, bytes]]) -> None:
    events = [(index, 1, data) for index, data in digests]
    expected: dict[int, bytes] = {}
    for index, data in digests:
        expected[index] = made.extended("sha256", hashlib.sha256(data).digest(), start=expected.get(index))
    assert parse_event_log_untrusted(event_log(events)).replay("sha256") == expected


@pytest.mark.slow
@settings(deadline=None)
@given(st.binary(max_size=300) | st.binary(max_size=300).map(lambda data: header(("sha256",)) + data))
def test_any_bytes(data: bytes) -> None:
    try:
        log = parse_event_log_untrusted(data)
        log.replay(log.banks[0])
    except RemoteError:
        return
