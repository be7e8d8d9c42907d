"""Errors by whose fault they are.

`LocalError`      this side was set up or used wrongly: fix the configuration or the program.
`RemoteError`     a peer's bytes, or a peer's claims, cannot be accepted. Network input raises nothing else.
`EnclaveError`    the enclave would not or could not run a module.
`TransportError`  the broker or the network is not there.

Each leaf owns one default reason code; `diagnostics` is what the command line prints in one line.
"""

from dataclasses import dataclass
from typing import ClassVar

from schemas.reason import Reason


def printable(text: str) -> str:
    """The same text with an escape for each character that a terminal would obey: controls, line ends, bidi marks."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was examined, what was expected of it, and what was found: never a secret (P13).

    Strangers choose much of it, and it goes to logs, JSON and terminals: all of it is made printable here.
    """

    claim: str
    expected: str = ""
    found: str = ""
    policy: str = ""

    def __post_init__(self) -> None:
        for name in ("claim", "expected", "found", "policy"):
            text = getattr(self, name)
            if not text.isprintable():
                # Past the freeze: nobody has seen the object yet.
                object.__setattr__(self, name, printable(text))


class SealedgeError(Exception):
    """The root of every error that sealedge raises on purpose."""

    default_reason: ClassVar[Reason] = Reason.INTERNAL

    def __init__(self, message: str, *, reason: Reason | None = None, finding: Finding | None = None) -> None:
        super().__init__(message)
        self.reason = reason or self.default_reason
        self.finding = finding

    @property
    def diagnostics(self) -> str:
        """One line: the reason code, the message, and expected against found where they are known."""
        line = f"{self.reason.value}: {self}"
        if self.finding is not None and (self.finding.expected or self.finding.found):
            line += f" ({self.finding.claim}: expected {self.finding.expected}, found {self.finding.found})"
        return printable(" ".join(line.split()))


class LocalError(SealedgeError):
    """This side was set up or used wrongly."""

    default_reason = Reason.CONFIGURATION


class ConfigurationError(LocalError):
    """A file, flag, key or environment variable is missing or wrong."""


class ProtocolMisuseError(LocalError):
    """The program called a party in a state that does not allow it."""

    default_reason = Reason.UNEXPECTED


class StoreError(LocalError):
    """Durable state could not be read or written."""

    default_reason = Reason.STORE_FAILED


class RemoteError(SealedgeError):
    """A peer's bytes or claims cannot be accepted."""

    default_reason = Reason.MALFORMED


class MalformedError(RemoteError):
    """Not the bytes, or not the fields, that the specification describes (P14)."""


class UnsupportedError(RemoteError):
    """Well formed, but an algorithm, version or kind that is not accepted here."""

    default_reason = Reason.UNSUPPORTED


class UnexpectedError(RemoteError):
    """Valid, but not in this state or at this place."""

    default_reason = Reason.UNEXPECTED


class AuthenticationError(RemoteError):
    """Signature, decryption, credential, role or addressing does not hold (P2)."""

    default_reason = Reason.SIGNATURE_INVALID


class FreshnessError(RemoteError):
    """Expired, replayed, stale, or an unknown nonce (P4, P7, P8)."""

    default_reason = Reason.EXPIRED


class AppraisalError(RemoteError):
    """Evidence, attestation result or lease does not satisfy the policy (P3, P5, P6, P9)."""

    default_reason = Reason.EVIDENCE_INVALID


class EnclaveError(SealedgeError):
    """The enclave would not or could not run a module (P11)."""

    default_reason = Reason.GUEST_TRAP


class TransportError(SealedgeError):
    """The broker or the network is not there, or cannot do what is needed."""

    default_reason = Reason.TRANSPORT_FAILED
