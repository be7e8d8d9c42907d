"""The simulated TEE. It proves nothing about hardware (P6).

It has the shape of a hardware attester: a chip key, a measurement, a signature over report data. But the chip key
is a file that the host can copy, the measurement is whatever the host says, and the enclave's memory is open to
the host. The evidence says `simulated` in its media type, its profile and its `typ`; the verifier's policy must
name this tier, and so must every manifest and every client that relies on it.
"""

from edge_agent.attester.interface import REPORT_DATA_BYTES, derived_sealing_key
from protocol.envelope import sign_document
from protocol.errors import ConfigurationError, Finding, ProtocolMisuseError
from protocol.keys import SigningKey
from schemas.attestation import SIMULATED_MEDIA_TYPE, SIMULATED_PROFILE, SimulatedEvidence
from schemas.kinds import Kind, Tier


class SimulatedAttester:
    """Signs what it is told with a key in memory. `measurement` is 32 bytes."""

    name = "simulated"
    tier = Tier.SIMULATED
    media_type = SIMULATED_MEDIA_TYPE

    def __init__(self, chip_key: SigningKey, measurement: bytes) -> None:
        if len(measurement) != 32:
            finding = Finding("measurement", "32 bytes", f"{len(measurement)} bytes")
            raise ConfigurationError("a measurement is a SHA-256", finding=finding)
        self._chip_key, self._measurement = chip_key, measurement

    @property
    def chip(self) -> bytes:
        """The thumbprint of the chip key (RFC 9679): what an enrolment must list."""
        return self._chip_key.public.thumbprint

    def collect(self, report_data: bytes) -> bytes:
        """A signed `SimulatedEvidence`. Raises `ProtocolMisuseError` unless `report_data` has 64 bytes."""
        if len(report_data) != REPORT_DATA_BYTES:
            raise ProtocolMisuseError(f"report data has {REPORT_DATA_BYTES} bytes, not {len(report_data)}")
        evidence = SimulatedEvidence(
            chip=self.chip,
            report_data=report_data,
            measurement=self._measurement,
            debug=False,
            profile=SIMULATED_PROFILE,
            chip_key=self._chip_key.public.to_cose_key(),
        )
        return sign_document(Kind.SIMULATED_EVIDENCE, evidence, self._chip_key)

    def sealing_key(self, label: bytes) -> bytes:
        """Derived from the chip key, which is a file: whoever reads that has this too."""
        return derived_sealing_key(self._chip_key.pem() + self._measurement, label)

    def __repr__(self) -> str:
        return f"SimulatedAttester(chip={self.chip.hex()[:16]})"
