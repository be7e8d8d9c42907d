"""What the agent host asks of the machine's TEE: sign these 64 bytes and what you measured.

An attester is trusted by nobody: what it returns is believed only as far as the verifier's appraiser of its
media type can verify it.
"""

from typing import Protocol

from schemas.kinds import Tier

REPORT_DATA_BYTES = 64
"""What every supported TEE signs beside its measurement (`protocol.attestation.report_data`)."""


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

        Raises `ProtocolMisuseError` for another length, `ConfigurationError` where the TEE is not there.
        """
