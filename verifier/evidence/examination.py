"""The trace of one piece of evidence: each check as it is made, also where one ends the examination."""

from dataclasses import dataclass, field
from typing import Literal

from protocol.errors import AuthenticationError, Finding, RemoteError, printable
from schemas.reason import Reason

Signature = Literal["valid", "invalid", "unchecked"]

MAX_LINES = 256
"""Lines of a trace; hostile evidence makes no longer one."""

_MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One check and its outcome."""

    finding: Finding
    holds: bool


@dataclass(slots=True)
class Examination:
    """What was checked so far. `signature` speaks of the evidence's own signature and of the chain over its key."""

    lines: list[Line] = field(default_factory=list)
    signature: Signature = "unchecked"

    def note(self, claim: str, expected: object, found: object, *, holds: bool = True) -> None:
        """Record a check that ends nothing."""
        if len(self.lines) < MAX_LINES:
            self.lines.append(Line(Finding(claim, _short(expected), _short(found)), holds))

    def demand(
        self,
        holds: bool,
        claim: str,
        expected: object,
        found: object,
        message: str,
        *,
        error: type[RemoteError] = AuthenticationError,
        reason: Reason | None = None,
    ) -> None:
        """Record a check without which nothing that follows has a meaning. Raises `error` unless it holds."""
        self.note(claim, expected, found, holds=holds)
        if not holds:
            raise error(message, reason=reason, finding=Finding(claim, _short(expected), _short(found)))

    def signature_checked(self, holds: bool, claim: str, by: str) -> None:
        """Record a signature. Raises `AuthenticationError` (signature-invalid) unless it holds.

        A signature alone makes nothing valid: set `signature` to "valid" when the whole chain holds.
        """
        if not holds:
            self.signature = "invalid"
        self.demand(holds, claim, f"a signature by {by}", "valid" if holds else "invalid", f"{claim}: not by {by}")


def _short(value: object) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    # Cut before it is escaped, so that a long text costs no more, and after it, so that escapes do not make it longer.
    text = printable(text[: _MAX_TEXT + 1])
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"
