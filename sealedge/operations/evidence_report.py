"""How the answer about a piece of evidence is shown: as JSON, and as lines for an operator.

What evidence says is a stranger's text: no character of it reaches a terminal unless it is printable.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from protocol.errors import printable
from sealedge.operations.evidence import Answer
from verifier.evidence.examination import Line
from verifier.evidence.interface import Claim

MAX_SHOWN: Final = 64
"""Characters of a value in a line; JSON has the whole."""

MAX_LINE: Final = 200
MAX_CLAIMS: Final = 60
_HEADLINE: Final = {"accept": "ACCEPTED", "refuse": "REFUSED", "malformed": "MALFORMED"}
_NO_REPORT: Final = "there was no report: the certificate is its vendor's, and nothing is attested"


def document_of(answer: Answer) -> dict[str, object]:
    """The answer for JSON: bytes in hex."""
    tee, error = answer.tee, answer.error
    return {
        "kind": answer.kind,
        "verdict": answer.verdict,
        "signature": answer.signature,
        "tier": None if tee is None else str(tee.tier),
        "tcb_status": None if tee is None or tee.tcb_status is None else str(tee.tcb_status),
        "advisories": [] if tee is None else list(tee.advisories),
        "debug": None if tee is None else tee.debug,
        "chip": None if tee is None or tee.chip is None else tee.chip.hex(),
        "measurement": None if tee is None else tee.measurement.hex(),
        "report_data": None if tee is None else tee.report_data.hex(),
        "claims": jsonable(answer.claims),
        "trace": [_line(line) for line in answer.trace],
        "reason": None if error is None else error.reason.value,
        "error": None if error is None else error.diagnostics,
        "at": answer.at,
    }


def jsonable(claim: Claim) -> object:
    """A claim with its bytes in hex."""
    if isinstance(claim, bytes):
        return claim.hex()
    if isinstance(claim, Mapping):
        return {name: jsonable(each) for name, each in claim.items()}
    return [jsonable(each) for each in claim] if isinstance(claim, tuple) else claim


def _line(line: Line) -> dict[str, object]:
    finding = line.finding
    return {
        "claim": finding.claim,
        "expected": finding.expected,
        "found": finding.found,
        "holds": line.holds,
        "policy": finding.policy or None,
    }


def lines_of(answer: Answer) -> Iterator[str]:
    """The answer for people: the verdict, what was looked at, what the evidence says."""
    moment = datetime.fromtimestamp(answer.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    error = answer.error
    yield printable(f"{_HEADLINE[answer.verdict]}: {answer.kind} evidence, as of {moment}")
    if error is not None:
        yield f"  because     {printable(error.diagnostics)}"
    for label, value in _summary(answer):
        yield f"  {label:<11} {printable(value)}"
    if answer.trace:
        yield "checked, in this order:"
        yield from (_told(line) for line in answer.trace)
    claims = list(_grouped(answer.claims))
    if claims:
        yield "claims:"
        yield from (printable(f"  {line}") for line in claims[:MAX_CLAIMS])
    if len(claims) > MAX_CLAIMS:
        yield f"  and {len(claims) - MAX_CLAIMS} lines more: --json shows all"


def _summary(answer: Answer) -> Iterator[tuple[str, str]]:
    tee = answer.tee
    yield "signature", answer.signature
    if tee is None:
        if answer.verdict == "accept":
            yield "report", _NO_REPORT
        return
    yield "tier", str(tee.tier)
    yield "TCB", "not rated for this kind" if tee.tcb_status is None else str(tee.tcb_status)
    if tee.advisories:
        yield "advisories", ", ".join(tee.advisories)
    yield "debug", "on: the host may look in" if tee.debug else "off"
    yield "memory", "hidden from the host" if tee.opaque else "not hidden by this tier"
    yield "chip", "not named" if tee.chip is None else tee.chip.hex()
    yield "measured", tee.measurement.hex()
    yield "report data", tee.report_data.hex() or "none"


def _told(line: Line) -> str:
    finding = line.finding
    found, expected = _text(finding.found), _text(finding.expected)
    said = found if found == expected or not expected else f"{found} (expected {expected})"
    by = f" [{finding.policy}]" if finding.policy else ""
    return printable(f"  {'ok' if line.holds else 'NO'}  {finding.claim}: {said}{by}")


def _grouped(claims: Mapping[str, Claim], above: str = "") -> Iterator[str]:
    """Claims by the dotted path that a policy names them by; the single ones of a group on one line if they fit."""
    single = {name: _text(jsonable(each)) for name, each in claims.items() if not isinstance(each, Mapping)}
    together = f"{above[:-1]}: " + ", ".join(f"{name}={value}" for name, value in single.items())
    if above and single and len(together) <= MAX_LINE:
        yield together
    else:
        yield from (f"{above}{name} = {value}" for name, value in single.items())
    for name, each in claims.items():
        if isinstance(each, Mapping):
            yield from _grouped(each, f"{above}{name}.")


def _text(value: object) -> str:
    if isinstance(value, list):
        value = ", ".join(_text(each) for each in value)
    text = (
        {True: "true", False: "false", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)
    )
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
