"""Evidence of an Azure confidential VM: a quote of its vTPM, whose key the hardware vouches for.

    vTPM quote <- attestation key <- runtime data <- hardware report (SEV-SNP, or TDX with its quote) <- vendor's root

The vTPM runs in the paravisor, inside what the hardware protects and measures. Whoever rents such hardware can run
another program there, with a key of its own in the runtime data: that it is the paravisor, its measurement alone
says, which is for the policy to know. The guest's system is in the vTPM's PCRs, not in that measurement.
"""

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Final

from protocol.errors import AppraisalError, Finding, MalformedError
from schemas.evidence import AZURE_VTPM
from schemas.kinds import Tier
from schemas.reason import Reason
from verifier.evidence.azure_evidence import AzureEvidence, azure_evidence_untrusted
from verifier.evidence.azure_hcl import HclReport, ReportType, hcl_report_untrusted, runtime_data_untrusted
from verifier.evidence.dcap_quote import parse_quote_untrusted
from verifier.evidence.examination import Examination
from verifier.evidence.interface import Appraiser, Parts, TeeClaims, required
from verifier.evidence.public_keys import spki
from verifier.evidence.tpm import boot_claims, key_claims, pcr_claims, quote_claims
from verifier.evidence.tpm_keys import AttestationKey, accepted, is_signed
from verifier.evidence.tpm_pcrs import check_digest, listed_values
from verifier.evidence.tpm_structures import Scheme, Signature, quote_untrusted

_TIERS: Final = {ReportType.SNP: Tier.AZURE_SEV_SNP, ReportType.TDX: Tier.AZURE_TDX}

_SNP_VMPL: Final = slice(0x30, 0x34)

# TDREPORT_STRUCT (Intel TDX Module ABI): REPORTDATA in REPORTMACSTRUCT, TEE_TCB_INFO from TEE_TCB_SVN on, and TDINFO.
_TD_REPORT_DATA: Final = slice(128, 192)
_TEE_TCB_INFO: Final = slice(264, 384)
_TD_INFO: Final = slice(512, 912)
_TD_QUOTE_BODY: Final = 584


class AzureAppraiser:
    """Appraises `schemas.evidence.AZURE_VTPM` with the appraisers of the hardware under it."""

    form = AZURE_VTPM

    def __init__(self, snp: Appraiser, tdx: Appraiser) -> None:
        self._hardware = {ReportType.SNP: snp, ReportType.TDX: tdx}

    def appraise_untrusted(self, parts: Parts, now: float, examination: Examination) -> TeeClaims:
        """Returns the hardware's claims, and the vTPM's and the paravisor's beside them (`Appraiser`).

        `report_data` is the vTPM quote's extraData, at most 64 bytes that the guest chose.
        """
        evidence = azure_evidence_untrusted(required(parts, "evidence"))
        hcl = hcl_report_untrusted(evidence.hcl_report)
        runtime = runtime_data_untrusted(hcl.runtime_data)
        quote = quote_untrusted(evidence.message)
        values = listed_values(evidence.pcrs, quote)
        key = accepted(runtime.ak, "runtime-data.keys")
        ak = AttestationKey(key, sha256(spki(key)).digest(), None)
        hardware = self._appraise_hardware(parts, evidence, hcl, now, examination)
        _check_vtpm(ak, evidence, examination)
        check_digest(quote, values, _vtpm_signature(evidence).hash, examination)
        vtpm = {
            "quote": quote_claims(quote),
            "pcrs": pcr_claims(values),
            "ak": key_claims(ak),
            **boot_claims(parts, values, examination),
        }
        claims = {"hardware": hardware.claims, "vtpm": vtpm, "vm": runtime.vm}
        return replace(hardware, tier=_TIERS[hcl.type], report_data=quote.extra_data, claims=claims)

    def _appraise_hardware(
        self, parts: Parts, evidence: AzureEvidence, hcl: HclReport, now: float, examination: Examination
    ) -> TeeClaims:
        """The hardware's word for the runtime data. `examination` has no valid signature after it: one is to come."""
        given = _snp_parts(parts, evidence, hcl) if hcl.type is ReportType.SNP else _tdx_parts(parts, evidence, hcl)
        try:
            claims = self._hardware[hcl.type].appraise_untrusted(given, now, examination)
        finally:
            if examination.signature == "valid":
                examination.signature = "unchecked"
        if hcl.type is ReportType.SNP:
            _check_vmpl(hcl, examination)
        bound = hcl.is_bound_by(claims.report_data)
        examination.signature_checked(bound, "azure.runtime-data", "the hardware's report data")
        return claims


def _snp_parts(parts: Parts, evidence: AzureEvidence, hcl: HclReport) -> Mapping[str, bytes]:
    given = {name: parts[name] for name in ("vcek", "chain", "crl") if name in parts}
    vcek = {} if evidence.vcek is None else {"vcek": evidence.vcek}
    return {"report": hcl.hardware_report, **vcek, **given}


def _tdx_parts(parts: Parts, evidence: AzureEvidence, hcl: HclReport) -> Mapping[str, bytes]:
    """A TDREPORT is good on its machine alone: the quote must be of this very one. Raises `MalformedError`."""
    if evidence.td_quote is None:
        raise MalformedError("no quote of the TDREPORT", finding=Finding("evidence.td_quote", "a quote", "none"))
    body = parse_quote_untrusted(evidence.td_quote).body.content[:_TD_QUOTE_BODY]
    report = hcl.hardware_report
    if body != report[_TEE_TCB_INFO] + report[_TD_INFO] + report[_TD_REPORT_DATA]:
        finding = Finding("evidence.td_quote", "of the TDREPORT in the HCL report", "of another")
        raise MalformedError("a quote of another TDREPORT", reason=Reason.EVIDENCE_INVALID, finding=finding)
    given = {name: parts[name] for name in ("collateral",) if name in parts}
    return {"quote": evidence.td_quote, **given}


def _check_vmpl(hcl: HclReport, examination: Examination) -> None:
    """The paravisor runs at VMPL 0. A guest at a lower one could report runtime data of its own making."""
    found = int.from_bytes(hcl.hardware_report[_SNP_VMPL], "little")
    message = "a report that the paravisor did not ask for"
    examination.demand(found == 0, "azure.vmpl", 0, found, message, error=AppraisalError)


def _vtpm_signature(evidence: AzureEvidence) -> Signature:
    """Azure's attesters keep the bare signature of TPMT_SIGNATURE: RSASSA-PKCS1-v1_5, SHA-256."""
    return Signature(Scheme.RSASSA, "sha256", evidence.signature)


def _check_vtpm(ak: AttestationKey, evidence: AzureEvidence, examination: Examination) -> None:
    holds = is_signed(ak.key, _vtpm_signature(evidence), evidence.message)
    examination.signature_checked(holds, "azure.vtpm.signature", f"the vTPM's key {ak.chip.hex()[:16]}")
    examination.signature = "valid"
