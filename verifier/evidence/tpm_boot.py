"""What explains quoted PCR values: the firmware's event log, and the list of what the agent extended.

A quote vouches for PCR values alone. A list is believed exactly where its replay gives a quoted value.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

from protocol.errors import AppraisalError, Finding, MalformedError, UnsupportedError
from verifier.evidence.cursor import Cursor
from verifier.evidence.event_log import EV_NO_ACTION, Event, EventLog, parse_event_log_untrusted
from verifier.evidence.examination import Examination
from verifier.evidence.interface import Claim
from verifier.evidence.tpm_pcrs import PcrValues

MAX_MEASUREMENTS: Final = 1024
LAST_STATIC_PCR: Final = 15
"""PCR 16 and above can be reset while the machine runs (PC Client Platform TPM Profile §4.6): they prove no history."""

MEASUREMENT_BANK: Final = "sha256"

_DIGEST: Final = 32
_SECURE_BOOT_PCR: Final = 7
_EV_EFI_VARIABLE_DRIVER_CONFIG: Final = 0x80000001
_EFI_GLOBAL_VARIABLE: Final = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")
_MAX_VARIABLE_NAME: Final = 256


def check_event_log_untrusted(data: bytes, values: PcrValues, examination: Examination) -> Mapping[str, Claim]:
    """Check that the log explains every quoted PCR that it extends, in every bank that both have.

    Returns what the log is good for after that. Raises `MalformedError`, `AppraisalError`, and `UnsupportedError`
    where log and quote have no PCR in common.
    """
    log = parse_event_log_untrusted(data)
    banks = [bank for bank in values if bank in log.banks]
    explained = {bank: _explained(log, bank, values[bank], examination) for bank in banks}
    if not any(explained.values()):
        finding = Finding("tpm.eventlog", ", ".join(values), ", ".join(log.banks))
        raise UnsupportedError("an event log of other PCRs than the quoted ones", finding=finding)
    return {
        "banks": tuple(bank for bank in banks if explained[bank]),
        "pcrs": tuple(sorted({index for found in explained.values() for index in found})),
        "secure_boot": _secure_boot(log, explained),
    }


def check_measurements_untrusted(
    data: bytes, values: PcrValues, examination: Examination
) -> tuple[int, tuple[bytes, ...]]:
    """The PCR and the digests that an agent extended into it, oldest first: one byte, then 32 bytes each.

    They are all that was ever extended into that PCR of the SHA-256 bank. Raises `MalformedError`, `AppraisalError`.
    """
    index, digests = _measurements_untrusted(data)
    claim = f"tpm.measurements.pcr{index}"
    static = index <= LAST_STATIC_PCR
    message = "measurements in a PCR that can be reset"
    examination.demand(static, f"{claim}.index", f"0 to {LAST_STATIC_PCR}", index, message, error=AppraisalError)
    quoted = values.get(MEASUREMENT_BANK, {}).get(index)
    value = bytes(_DIGEST)
    for digest in digests:
        value = hashlib.sha256(value + digest).digest()
    shown = "not quoted" if quoted is None else quoted
    message = "measurements that do not give the quoted value"
    examination.demand(value == quoted, claim, value, shown, message, error=AppraisalError)
    return index, digests


def _measurements_untrusted(data: bytes) -> tuple[int, tuple[bytes, ...]]:
    count, odd = divmod(len(data) - 1, _DIGEST)
    if odd or not 0 < count <= MAX_MEASUREMENTS:
        finding = Finding("measurements", f"1 + 32 n bytes, n from 1 to {MAX_MEASUREMENTS}", str(len(data)))
        raise MalformedError("not a list of measurements", finding=finding)
    return data[0], tuple(data[at : at + _DIGEST] for at in range(1, len(data), _DIGEST))


def _explained(log: EventLog, bank: str, quoted: Mapping[int, bytes], examination: Examination) -> tuple[int, ...]:
    replayed = {index: value for index, value in log.replay(bank).items() if index in quoted}
    message = "an event log that does not give the quoted value"
    for index, value in replayed.items():
        holds = value == quoted[index]
        claim = f"tpm.eventlog.{bank}.pcr{index}"
        examination.demand(holds, claim, quoted[index], value, message, error=AppraisalError)
    return tuple(replayed)


def _secure_boot(log: EventLog, explained: Mapping[str, tuple[int, ...]]) -> bool | None:
    """Whether UEFI Secure Boot was on: what firmware measures first into PCR 7 (PFP §3.3.4.8).

    None where that is not known. A later event could be anybody's, and data that is not what was hashed is nobody's.
    """
    bank = next((bank for bank, found in explained.items() if _SECURE_BOOT_PCR in found and bank != "sha1"), None)
    first = next((e for e in log.events if e.index == _SECURE_BOOT_PCR and e.type != EV_NO_ACTION), None)
    if bank is None or first is None or hashlib.new(bank, first.data).digest() != first.digests.get(bank):
        return None
    return _secure_boot_variable(first)


def _secure_boot_variable(event: Event) -> bool | None:
    """UEFI_VARIABLE_DATA (PFP §10.2.6) of the variable SecureBoot: one byte."""
    cursor = Cursor(event.data, "eventlog.variable", "little")
    if event.type != _EV_EFI_VARIABLE_DRIVER_CONFIG or cursor.take(16) != _EFI_GLOBAL_VARIABLE:
        return None
    name_length, data_length = cursor.integer(8), cursor.integer(8)
    if name_length > _MAX_VARIABLE_NAME or cursor.take(2 * name_length) != "SecureBoot".encode("utf-16-le"):
        return None
    return cursor.take(data_length) == b"\x01"
