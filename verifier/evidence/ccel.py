"""The event log of a trust domain (CCEL): a TCG log whose registers are those of the TDX module.

MR index 0 is MRTD, which nobody extends; 1 to 4 are RTMR0 to 3 (Intel TDX Virtual Firmware Design Guide §8.1.2).
"""

from typing import Final

from protocol.errors import AppraisalError
from schemas.reason import Reason
from verifier.evidence.dcap_body import Body
from verifier.evidence.event_log import EventLog
from verifier.evidence.examination import Examination

BANK: Final = "sha384"
REGISTERS: Final = {1: "rtmr0", 2: "rtmr1", 3: "rtmr2", 4: "rtmr3"}


def verify_ccel(log: EventLog | None, body: Body, examination: Examination) -> None:
    """Check that `log`, replayed, gives the registers of `body`. After the call its digests are the TD's word.

    A register that the log does not extend is not judged: software of the TD extends RTMR2 and RTMR3 without it.
    Raises `AppraisalError` where a register differs, `UnsupportedError` for a log without SHA-384, `MalformedError`.
    """
    if log is None:
        examination.note("eventlog", "a CCEL event log", "not given")
        return
    replayed = log.replay(BANK)
    unknown = sorted(replayed.keys() - REGISTERS.keys())
    _demand(not unknown, "eventlog.registers", "MR indices 1 to 4", unknown, examination)
    for index, name in REGISTERS.items():
        quoted = body.field(name)
        if index in replayed:
            _demand(replayed[index] == quoted, f"eventlog.{name}", quoted.hex(), replayed[index].hex(), examination)
        else:
            examination.note(f"eventlog.{name}", quoted, "not in the log")


def _demand(holds: bool, claim: str, expected: object, found: object, examination: Examination) -> None:
    message = "the event log is not that of the quote"
    examination.demand(holds, claim, expected, found, message, error=AppraisalError, reason=Reason.EVIDENCE_INVALID)
