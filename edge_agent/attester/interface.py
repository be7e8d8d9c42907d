"""What the agent host asks of the machine's TEE: sign these 64 bytes and what you measured.

An attester is trusted by nobody: what it returns is believed only as far as the verifier's appraiser of its
media type can verify it.
"""

from typing import Protocol

from protocol.errors import LocalError, ProtocolMisuseError
from schemas.kinds import Tier
from schemas.reason import Reason

REPORT_DATA_BYTES = 64
"""What every supported TEE signs beside its measurement (`protocol.attestation.report_data`)."""


class AttesterError(LocalError):
    """The TEE is there, and gave no evidence: it failed, took too long, or answered something else than was asked."""

    default_reason = Reason.INTERNAL


def check_report_data(report_data: bytes) -> None:
    """Raises `ProtocolMisuseError` unless it has 64 bytes."""
    if len(report_data) != REPORT_DATA_BYTES:
        raise ProtocolMisuseError(f"report data has {REPORT_DATA_BYTES} bytes, not {len(report_data)}")


class Attester(Protocol):
    """The attesting environment of one kind of TEE."""

    @property
    def name(self) -> str:
        """The name that chooses it in the agent's configuration."""

    @property
    def tier(self) -> Tier:
        """The trust tier that its evidence can reach."""

    @property
    def media_type(self) -> str:
        """The CMW media type (RFC 9999 §3.1) of the evidence."""

    def collect(self, report_data: bytes) -> bytes:
        """The TEE's evidence over these 64 bytes, with the certificates that travel along.

        Raises `ProtocolMisuseError` for another length, `ConfigurationError` where the TEE is not there and
        `AttesterError` where it fails. The agent waits for it: each attester bounds how long.
        """
