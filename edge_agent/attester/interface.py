"""What the agent host asks of the machine's TEE: sign these 64 bytes and what you measured.

An attester is trusted by nobody: what it returns is believed only as far as the verifier's appraiser of its
media type can verify it.
"""

from typing import Protocol

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocol.cbor import encode
from protocol.errors import LocalError, ProtocolMisuseError
from protocol.messages import DOMAIN
from schemas.kinds import Tier
from schemas.reason import Reason

REPORT_DATA_BYTES = 64
"""What every supported TEE signs beside its measurement (`protocol.attestation.report_data`)."""

SEALING_KEY_BYTES = 32
LEAST_SECRET_BYTES = 16
"""What EGETKEY of SGX gives: 128 bits."""


class AttesterError(LocalError):
    """The TEE is there, and gave no evidence: it failed, took too long, or answered something else than was asked."""

    default_reason = Reason.INTERNAL


def check_report_data(report_data: bytes) -> None:
    """Raises `ProtocolMisuseError` unless it has 64 bytes."""
    if len(report_data) != REPORT_DATA_BYTES:
        raise ProtocolMisuseError(f"report data has {REPORT_DATA_BYTES} bytes, not {len(report_data)}")


def derived_sealing_key(secret: bytes, label: bytes) -> bytes:
    """32 bytes by HKDF-SHA256 (RFC 5869). `secret` is uniform, or a private key: at least 16 bytes of it."""
    if len(secret) < LEAST_SECRET_BYTES:
        raise AttesterError("the TEE's own sealing key is too short")
    info = encode([DOMAIN, "sealing-key", label])
    return HKDF(hashes.SHA256(), SEALING_KEY_BYTES, salt=None, info=info).derive(secret)


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

    def sealing_key(self, label: bytes) -> bytes | None:
        """32 bytes for this label that this TEE gives again at the next start, while it runs the same code; or None.

        None where a TEE keeps nothing over a restart. Raises `AttesterError`, `ConfigurationError` where it fails.
        """
