"""Evidence of the simulated TEE: a COSE_Sign1 by a chip key that is a file on somebody's disk.

It proves that the holder of that key said so, and nothing about hardware: its tier is `simulated`, and only a
policy that names this tier affirms it (P6). All else is checked as if it were real.
"""

from protocol.cose import parse_sign1_untrusted
from protocol.errors import AuthenticationError, Finding, UnsupportedError
from protocol.keys import VerifyingKey
from protocol.messages import decode_message_untrusted
from schemas.attestation import SIMULATED_PROFILE, SimulatedEvidence
from schemas.evidence import SIMULATED
from schemas.kinds import Kind, Tier
from schemas.reason import Reason
from verifier.evidence.examination import Examination
from verifier.evidence.interface import Parts, TeeClaims, required

MAX_EVIDENCE = 4096
"""Bytes of simulated evidence; a well-formed one stays below 600."""


class SimulatedAppraiser:
    """Appraises `schemas.attestation.SimulatedEvidence`."""

    form = SIMULATED

    def appraise_untrusted(self, parts: Parts, now: float, examination: Examination) -> TeeClaims:  # noqa: ARG002 - chip keys do not end
        """Returns what the holder of the chip key said. The chain has one link: `chip` is that key's thumbprint.

        Raises `MalformedError`, `UnsupportedError`, `AuthenticationError`.
        """
        signed = parse_sign1_untrusted(required(parts, "evidence"), max_bytes=MAX_EVIDENCE)
        claimed = decode_message_untrusted(SimulatedEvidence, signed.payload)
        chip_key = VerifyingKey.from_cose_key_untrusted(claimed.chip_key)
        signed.verify(chip_key, typ=str(Kind.SIMULATED_EVIDENCE))
        _check_form(claimed, chip_key)
        examination.note("evidence.signature", "by the chip key that it names", chip_key.thumbprint.hex()[:16])
        examination.signature = "valid"
        return TeeClaims(
            tier=Tier.SIMULATED,
            chip=claimed.chip,
            measurement=claimed.measurement,
            report_data=claimed.report_data,
            debug=claimed.debug,
            opaque=False,
            claims={"profile": claimed.profile, "chip": claimed.chip, "measurement": claimed.measurement},
        )


def _check_form(claimed: SimulatedEvidence, chip_key: VerifyingKey) -> None:
    if claimed.profile != SIMULATED_PROFILE:
        finding = Finding("tee.profile", SIMULATED_PROFILE, claimed.profile[:64])
        raise UnsupportedError("simulated evidence of another profile", finding=finding)
    if claimed.chip != chip_key.thumbprint:
        finding = Finding("tee.chip", chip_key.thumbprint.hex()[:16], claimed.chip.hex()[:16])
        raise AuthenticationError(
            "the evidence names a chip that did not sign it", reason=Reason.EVIDENCE_INVALID, finding=finding
        )
