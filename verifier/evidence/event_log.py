"""The TCG event log: what firmware and boot loaders say they extended (TCG PC Client Platform Firmware Profile 1.06).

Both forms: SHA-1 only (§10.2.1) and crypto-agile (§10.2.2), which a CCEL shares; its register index stands where
the PCR index does. A log proves nothing before its replay equals quoted values. After that its digests are as good
as the quote; the data of an event is that only where its digest is the data's hash.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocol.errors import Finding, MalformedError, UnsupportedError
from schemas.reason import Reason
from verifier.evidence.cursor import Cursor

MAX_LOG: Final = 1 << 20
MAX_EVENTS: Final = 8192

EV_NO_ACTION: Final = 3
"""The one type of event that is logged and not extended (§10.4.1)."""

HASHES: Final[Mapping[int, str]] = {0x0004: "sha1", 0x000B: "sha256", 0x000C: "sha384", 0x000D: "sha512"}
"""TPM_ALG_ID to the name of the bank, which is also hashlib's."""

LAST_REGISTER: Final = 23

_SPEC_ID: Final = b"Spec ID Event03\0"
_STARTUP_LOCALITY: Final = b"StartupLocality\0"
_MAX_ALGORITHMS: Final = 16
_MAX_DIGEST: Final = 64
_SHA1: Final = 0x0004
_FILLERS: Final = (b"\0", b"\xff")


@dataclass(frozen=True, slots=True)
class Event:
    """One entry: the register it went into, its type, its digest by bank, and what the log says it was."""

    index: int
    type: int
    digests: Mapping[str, bytes]
    data: bytes


@dataclass(frozen=True, slots=True)
class EventLog:
    """The events in their order; the header of a crypto-agile log is none. `banks`: what it keeps digests for."""

    events: tuple[Event, ...]
    banks: tuple[str, ...]

    @property
    def startup_locality(self) -> int:
        """Which locality started the TPM (§10.4.5.3): PCR 0 begins with this number."""
        return next((event.data[-1] for event in self.events if _is_startup_locality(event)), 0)

    def replay(self, bank: str) -> dict[int, bytes]:
        """The value of each register that the log extends, by index; `bank` is sha1, sha256, sha384 or sha512.

        Raises `UnsupportedError` for a bank that the log does not keep, `MalformedError` where one event lacks it.
        """
        if bank not in self.banks or bank not in HASHES.values():
            finding = Finding("eventlog.bank", bank, ", ".join(self.banks))
            raise UnsupportedError("not a bank of the log", finding=finding)
        size = hashlib.new(bank).digest_size
        first = self.startup_locality.to_bytes(size, "big")
        registers: dict[int, bytes] = {}
        for event in self.events:
            if event.type != EV_NO_ACTION:
                value = registers.get(event.index, bytes(size) if event.index else first)
                registers[event.index] = hashlib.new(bank, value + _digest(event, bank)).digest()
        return registers


def parse_event_log_untrusted(data: bytes) -> EventLog:
    """The log in `data`, of either form. Zeros or 0xFF after the last event are filler, as in a CCEL.

    Raises `MalformedError`. Nothing in it is trusted until a replay equals quoted values.
    """
    if len(data) > MAX_LOG:
        finding = Finding("eventlog", f"at most {MAX_LOG} bytes", str(len(data)))
        raise MalformedError("the event log is too large", reason=Reason.OVERSIZED, finding=finding)
    cursor = Cursor(data, "eventlog", "little")
    end = min(len(data.rstrip(filler)) for filler in _FILLERS)
    first = _event_untrusted(cursor, None)
    if first.type != EV_NO_ACTION or not first.data.startswith(_SPEC_ID):
        return _log_untrusted(cursor, end, [first], None)
    return _log_untrusted(cursor, end, [], _algorithms_untrusted(first.data))


def _log_untrusted(cursor: Cursor, end: int, events: list[Event], sizes: Mapping[int, int] | None) -> EventLog:
    while cursor.at < end:
        if len(events) >= MAX_EVENTS:
            finding = Finding("eventlog", f"at most {MAX_EVENTS} events", "more")
            raise MalformedError("the event log has too many events", reason=Reason.OVERSIZED, finding=finding)
        events.append(_event_untrusted(cursor, sizes))
    _check_localities(events)
    return EventLog(tuple(events), tuple(_bank(algorithm) for algorithm in sizes or (_SHA1,)))


def _event_untrusted(cursor: Cursor, sizes: Mapping[int, int] | None) -> Event:
    """TCG_PCR_EVENT2, or TCG_PCR_EVENT where the log has no sizes of digests."""
    index, kind = cursor.integer(4), cursor.integer(4)
    digests = {"sha1": cursor.take(20)} if sizes is None else _digests_untrusted(cursor, sizes)
    if index > LAST_REGISTER and kind != EV_NO_ACTION:
        finding = Finding("eventlog.index", f"at most {LAST_REGISTER}", str(index))
        raise MalformedError("the event log extends a register that no TPM has", finding=finding)
    return Event(index, kind, digests, cursor.sized(4))


def _digests_untrusted(cursor: Cursor, sizes: Mapping[int, int]) -> Mapping[str, bytes]:
    """TPML_DIGEST_VALUES: algorithms of the header, each at most once."""
    count = cursor.integer(4)
    if count > len(sizes):
        finding = Finding("eventlog.digests", f"at most {len(sizes)}", str(count))
        raise MalformedError("an event has more digests than the log has banks", finding=finding)
    found: dict[str, bytes] = {}
    for _ in range(count):
        algorithm = cursor.integer(2)
        if algorithm not in sizes or _bank(algorithm) in found:
            finding = Finding("eventlog.digests", "each bank of the header once", _bank(algorithm))
            raise MalformedError("an event has a digest of no bank, or two of one", finding=finding)
        found[_bank(algorithm)] = cursor.take(sizes[algorithm])
    return found


def _algorithms_untrusted(header: bytes) -> Mapping[int, int]:
    """TCG_EfiSpecIdEvent: the size of a digest by TPM_ALG_ID."""
    cursor = Cursor(header, "eventlog.header", "little")
    cursor.take(len(_SPEC_ID) + 8)  # platformClass, the specification's version and errata, uintnSize
    count = cursor.integer(4)
    if not 0 < count <= _MAX_ALGORITHMS:
        finding = Finding("eventlog.header", f"1 to {_MAX_ALGORITHMS} algorithms", str(count))
        raise MalformedError("the event log has no banks, or too many", finding=finding)
    sizes = {cursor.integer(2): cursor.integer(2) for _ in range(count)}
    if len(sizes) != count or not all(_is_size(algorithm, size) for algorithm, size in sizes.items()):
        finding = Finding("eventlog.header", "each algorithm once, with its size", str(sizes))
        raise MalformedError("the banks of the event log are not sound", finding=finding)
    cursor.sized(1)  # vendorInfo
    return sizes


def _is_size(algorithm: int, size: int) -> bool:
    known = HASHES.get(algorithm)
    return 0 < size <= _MAX_DIGEST if known is None else size == hashlib.new(known).digest_size


def _bank(algorithm: int) -> str:
    return HASHES.get(algorithm, f"{algorithm:#06x}")


def _digest(event: Event, bank: str) -> bytes:
    if bank not in event.digests:
        finding = Finding("eventlog.digests", bank, ", ".join(event.digests) or "none")
        raise MalformedError("an event has no digest for this bank", finding=finding)
    return event.digests[bank]


def _is_startup_locality(event: Event) -> bool:
    return event.index == 0 and event.type == EV_NO_ACTION and event.data[:-1] == _STARTUP_LOCALITY


def _check_localities(events: list[Event]) -> None:
    """At most one StartupLocality: two would be two stories of one boot."""
    found = sum(1 for event in events if _is_startup_locality(event))
    if found > 1:
        finding = Finding("eventlog.StartupLocality", "at most one", str(found))
        raise MalformedError("the event log starts the TPM twice", finding=finding)
