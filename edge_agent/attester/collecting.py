"""From the parts that a TEE gave to the evidence that travels: the last look before it leaves the machine."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from edge_agent.attester.interface import AttesterError
from protocol.cmw import wrap
from protocol.errors import Finding
from schemas.attestation import MAX_WRAPPED_EVIDENCE
from schemas.evidence import AZURE_VTPM, CCA, EAR, NITRO, PSA, SGX, SNP, TDX, TPM, EvidenceFormat
from schemas.kinds import Tier
from schemas.reason import Reason

TIERS: Final[Mapping[str, tuple[Tier, ...]]] = {
    SNP.name: (Tier.SEV_SNP,),
    SGX.name: (Tier.SGX,),
    TDX.name: (Tier.TDX,),
    NITRO.name: (Tier.NITRO,),
    PSA.name: (Tier.PSA,),
    CCA.name: (Tier.CCA,),
    TPM.name: (Tier.TPM,),
    AZURE_VTPM.name: (Tier.AZURE_SEV_SNP, Tier.AZURE_TDX),
    EAR.name: (Tier.EAR,),
}
"""The tiers that evidence of a kind can reach. Which it does is for the verifier."""

_ENCODED: Final = frozenset({EAR.name})
"""Kinds that hold report data in an encoding of its own: whether it is there is left to the verifier."""


def collected(form: EvidenceFormat, parts: Mapping[str, bytes], report_data: bytes) -> bytes:
    """The parts as evidence, if the report data is found in it.

    This trusts nothing and proves nothing; it tells the machine's owner at once what the verifier would refuse
    later, such as a service that signs a hash of its own. Raises `AttesterError`.
    """
    empty = next((name for name, content in parts.items() if not content), None)
    if empty is not None:
        raise AttesterError(f"the TEE gave an empty {empty}", finding=Finding(empty, "bytes", "none"))
    if form.name not in _ENCODED and not _holds(parts.values(), report_data):
        finding = Finding("report data", report_data.hex()[:16], "not in the evidence")
        raise AttesterError("the TEE signed other report data than it was given", finding=finding)
    evidence = wrap(form, parts)
    if len(evidence) > MAX_WRAPPED_EVIDENCE:
        finding = Finding("evidence", f"at most {MAX_WRAPPED_EVIDENCE} bytes", str(len(evidence)))
        raise AttesterError("the evidence is too large to send", reason=Reason.OVERSIZED, finding=finding)
    return evidence


def reported(report_data: bytes) -> bytes:
    """What a TEE that signs 32 bytes is given in place of the 64."""
    return hashlib.sha256(report_data).digest()


def _holds(contents: Iterable[bytes], report_data: bytes) -> bool:
    forms = (report_data, reported(report_data))
    # As bytes in what is binary; in JSON in hexadecimal, or as a list of numbers.
    sought = [shown for each in forms for shown in (each, each.hex().encode(), ",".join(map(str, each)).encode())]
    return any(each in content for content in contents for each in sought)
