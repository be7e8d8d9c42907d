"""What an SEV-SNP report and the certificate of its key say, under the names that policies use."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from schemas.kinds import Tier
from verifier.evidence.interface import Claim, TeeClaims
from verifier.evidence.snp_certificates import Endorsed
from verifier.evidence.snp_report import POLICY_BITS, Report, tcb_claims

_PLATFORM_BITS: Final = {
    "smt": 0,
    "tsme": 1,
    "ecc": 2,
    "rapl_disabled": 3,
    "ciphertext_hiding": 4,
    "alias_check_complete": 5,
    "iommu_write_safe": 6,
    "tio": 7,
}
_PLATFORM_END: Final = 8


def tee_claims(report: Report, endorsed: Endorsed, *, revocation_checked: bool) -> TeeClaims:
    """The claims of a report whose signature, chain and binding to `endorsed` were verified.

    `chip` is over CHIP_ID as the report has it. Where the host hides that, it is over the chip that the VCEK names:
    no host leaves an allow-list of chips by hiding. Only a report by a VLEK that hides its chip names none.
    """
    chip_id = endorsed.chip_id if report.is_chip_masked else report.chip_id
    return TeeClaims(
        tier=Tier.SEV_SNP,
        chip=None if chip_id is None else sha256(chip_id).digest(),
        measurement=report.measurement,
        report_data=report.report_data,
        debug=report.allows("debug"),
        claims={
            **_of_report(report),
            **_of_platform(report, endorsed),
            "revocation_checked": revocation_checked,
        },
    )


def endorsed_claims(endorsed: Endorsed) -> Mapping[str, Claim]:
    """What a verified certificate says of its key, without a report."""
    return {
        "signing_key": endorsed.kind.value,
        "product": endorsed.product.value,
        "product_name": endorsed.product_name,
        "chip_id": endorsed.chip_id,
        "csp_id": endorsed.csp_id,
        "tcb": {"reported": tcb_claims(endorsed.tcb, endorsed.product)},
    }


def _of_report(report: Report) -> Mapping[str, Claim]:
    """What the guest's owner and the guest chose."""
    return {
        "version": report.version,
        "guest_svn": report.guest_svn,
        "policy": _policy(report),
        "family_id": report.family_id,
        "image_id": report.image_id,
        "vmpl": report.vmpl,
        "report_data": report.report_data,
        "measurement": report.measurement,
        "host_data": report.host_data,
        "id_key_digest": report.id_key_digest,
        "author_key_en": report.has_author_key,
        "author_key_digest": report.author_key_digest,
        "report_id": report.report_id,
        "report_id_ma": report.report_id_ma,
    }


def _of_platform(report: Report, endorsed: Endorsed) -> Mapping[str, Claim]:
    """What the machine is; what was reserved in this version of the report is left out."""
    claims: dict[str, Claim] = {
        "product": endorsed.product.value,
        "product_name": endorsed.product_name,
        "signing_key": endorsed.kind.value,
        "csp_id": endorsed.csp_id,
        "chip_id": report.chip_id,
        "mask_chip_key": report.is_chip_key_masked,
        "platform": _platform(report.platform_info),
        "tcb": _tcb(report, endorsed),
        "firmware": {
            "current": _firmware(report.current_version),
            "committed": _firmware(report.committed_version),
        },
    }
    if report.version >= 3:
        family, model, stepping = report.cpuid_family, report.cpuid_model, report.cpuid_stepping
        claims["cpuid"] = {"family": family, "model": model, "stepping": stepping}
    if report.version >= 5:
        claims["mitigations"] = {"launch": report.launch_mit_vector, "current": report.current_mit_vector}
    return claims


def _policy(report: Report) -> Mapping[str, Claim]:
    allowed: dict[str, Claim] = {name: report.allows(name) for name in POLICY_BITS}
    return {**allowed, "abi": {"major": report.policy >> 8 & 0xFF, "minor": report.policy & 0xFF}}


def _platform(info: int) -> Mapping[str, Claim]:
    """PLATFORM_INFO; `other` are the bits that have no name here, as a number."""
    known: dict[str, Claim] = {name: bool(info >> bit & 1) for name, bit in _PLATFORM_BITS.items()}
    return {**known, "other": info >> _PLATFORM_END << _PLATFORM_END}


def _tcb(report: Report, endorsed: Endorsed) -> Mapping[str, Claim]:
    levels = {
        "current": report.current_tcb,
        "reported": report.reported_tcb,
        "committed": report.committed_tcb,
        "launch": report.launch_tcb,
    }
    return {name: tcb_claims(tcb, endorsed.product) for name, tcb in levels.items()}


def _firmware(version: bytes) -> Mapping[str, Claim]:
    build, minor, major = version
    return {"major": major, "minor": minor, "build": build}
