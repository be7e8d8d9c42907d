"""From verified collateral to a TCB status: platform, TDX module and quoting enclave, and the worst of them.

Each check is a line of the trace. What was not given is said, and leaves the status undetermined: a quote without
collateral is genuine, and nobody knows how old its firmware is.
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography import x509

from protocol.errors import AppraisalError
from schemas.reason import Reason
from verifier.evidence.certificates import check_window, common_name, fingerprint, verify_path
from verifier.evidence.dcap_body import Body
from verifier.evidence.dcap_collateral import PCK_CRL, QE_IDENTITY, ROOT_CRL, TCB_INFO, Collateral, Signed
from verifier.evidence.dcap_pck import Platform, is_signed_by
from verifier.evidence.dcap_quote import Quote, Tee
from verifier.evidence.dcap_tcb import (
    Document,
    EnclaveIdentity,
    Level,
    TcbInfo,
    TdxModuleIdentity,
    converge,
    enclave_level,
)
from verifier.evidence.examination import Examination
from verifier.evidence.interface import TcbStatus
from verifier.evidence.revocation_lists import RevocationList, check_not_revoked, verify_crl

SIGNER: Final = "Intel SGX TCB Signing"
INTEL_MR_SIGNER: Final = {
    Tee.SGX: bytes.fromhex("8c4f5775d796503e96137f77c68a829a0056ac8ded70140b081b094490c57bff"),
    Tee.TDX: bytes.fromhex("dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5"),
}
_QE_PRODUCTS: Final = {Tee.SGX: 1, Tee.TDX: 2}
"""Who signs Intel's quoting enclaves, and which of their products these are: asked where no QE identity was given."""

_DEBUG: Final = 0x02
_QE_NAMES: Final = {Tee.SGX: "QE", Tee.TDX: "TD_QE"}
_MISSING: Final = "not given"


@dataclass(frozen=True, slots=True)
class Rating:
    """`levels`: what each part rates as, by name, where it was rated."""

    status: TcbStatus = TcbStatus.UNDETERMINED
    advisories: tuple[str, ...] = ()
    evaluation: int | None = None
    levels: dict[str, Level] = field(default_factory=dict)


def verify_collateral(
    collateral: Collateral,
    path: tuple[x509.Certificate, ...],
    now: float,
    examination: Examination,
) -> None:
    """Check revocation lists, and who signed TCB info and QE identity and until when. `path` is verified.

    After the call the documents are the word of the root in which `path` ends, where their chain was given. Raises
    `AuthenticationError`, `FreshnessError` and `AppraisalError` (revoked).
    """
    leaf, ca, root = path
    for crl, issuer, subject, name in (
        (collateral.root_crl, root, ca, ROOT_CRL),
        (collateral.pck_crl, ca, leaf, PCK_CRL),
    ):
        if crl is None:
            examination.note(name, "a revocation list", _MISSING)
        else:
            verify_crl(crl, issuer, now, examination, name)
            check_not_revoked(subject, crl, examination, name)
    documents = (
        (collateral.tcb_info, collateral.tcb_chain, TCB_INFO),
        (collateral.qe_identity, collateral.qe_chain, QE_IDENTITY),
    )
    # Both have one signer as a rule.
    for signer in dict.fromkeys(chain for signed, chain, _ in documents if signed is not None and chain is not None):
        _verify_signer(signer, root, collateral.root_crl, now, examination)
    for signed, chain, name in documents:
        if signed is None or chain is None:
            examination.note(name, "signed by Intel", _MISSING if signed is None else "no chain of its signer")
        else:
            _verify_document(signed, chain[0], now, examination, name)


def rate(quote: Quote, platform: Platform, collateral: Collateral, examination: Examination) -> Rating:
    """Returns how Intel rates what signed `quote`, by verified collateral.

    Raises `AppraisalError` for a quoting enclave or TDX module that is not Intel's, or collateral of other hardware.
    """
    tcb_info = collateral.tcb_info if collateral.tcb_chain is not None else None
    identity = collateral.qe_identity if collateral.qe_chain is not None else None
    parts = [
        _rate_qe(quote, None if identity is None else identity.document, examination),
        *_rate_platform(quote, platform, None if tcb_info is None else tcb_info.document, examination),
    ]
    evaluation = None if tcb_info is None else tcb_info.document.evaluation
    levels = {name: level for name, level, _ in parts if level is not None}
    advisories = tuple(sorted({each for level in levels.values() for each in level.advisories}))
    status = _converged([status for _, _, status in parts])
    examination.note("tcb.status", "what Intel gives", status)
    return Rating(status, advisories, evaluation, levels)


_Part = tuple[str, Level | None, TcbStatus]


def _converged(statuses: list[TcbStatus]) -> TcbStatus:
    if TcbStatus.NONE_MATCHES in statuses:
        return TcbStatus.NONE_MATCHES
    if TcbStatus.UNDETERMINED in statuses:
        return TcbStatus.REVOKED if TcbStatus.REVOKED in statuses else TcbStatus.UNDETERMINED
    qe, whole, *modules = statuses
    for part in (*modules, qe):
        whole = converge(whole, part)
    return whole


def _verify_signer(
    chain: tuple[x509.Certificate, ...],
    root: x509.Certificate,
    root_crl: RevocationList | None,
    now: float,
    examination: Examination,
) -> None:
    """`root`, which is verified, ends a chain that leaves it out."""
    signer = chain if len(chain) > 1 else (*chain, root)
    verify_path(signer, frozenset({fingerprint(root)}), now, examination, "tcb-signing")
    found = common_name(chain[0])
    message = "collateral by a certificate for something else"
    examination.demand(found == SIGNER, "tcb-signing.subject", SIGNER, found, message, reason=Reason.UNKNOWN_SIGNER)
    if root_crl is not None:
        check_not_revoked(chain[0], root_crl, examination, ROOT_CRL)


def _verify_document(
    signed: Signed[TcbInfo] | Signed[EnclaveIdentity],
    signer: x509.Certificate,
    now: float,
    examination: Examination,
    name: str,
) -> None:
    holds = is_signed_by(signer, signed.signature, signed.content)
    found = "valid" if holds else "invalid"
    examination.demand(holds, f"{name}.signature", f"a signature by {SIGNER}", found, f"{name} is forged")
    document: Document = signed.document
    check_window(document.issued.timestamp(), document.next_update.timestamp(), now, examination, name)


def _rate_qe(quote: Quote, identity: EnclaveIdentity | None, examination: Examination) -> _Part:
    report = quote.qe_report
    if identity is None:
        expected = INTEL_MR_SIGNER[quote.tee], _QE_PRODUCTS[quote.tee]
        reported = report.field("mr_signer"), report.number("isv_prod_id")
        is_intel = reported == expected and not report.field("attributes")[0] & _DEBUG
        words = [f"{signer.hex()}, product {product}" for signer, product in (expected, reported)]
        _demand(is_intel, "qe.mr_signer", f"{words[0]}, not debugged", words[1], examination)
        return "qe", None, TcbStatus.UNDETERMINED
    name = _QE_NAMES[quote.tee]
    _demand(identity.id == name, "qe_identity.id", name, identity.id, examination)
    mismatch = identity.mismatch(report)
    found = "that one" if mismatch is None else f"another {mismatch}"
    _demand(mismatch is None, "qe.identity", "Intel's quoting enclave", found, examination)
    level = enclave_level(identity.levels, report.number("isv_svn"))
    return _rated("qe", level, f"isv_svn {report.number('isv_svn')}", examination)


def _rate_platform(quote: Quote, platform: Platform, info: TcbInfo | None, examination: Examination) -> list[_Part]:
    if info is None:
        return [("platform", None, TcbStatus.UNDETERMINED)]
    is_tdx = quote.tee == Tee.TDX
    for holds, claim, expected, found in (
        (info.id == quote.tee.name, "tcb_info.id", quote.tee.name, info.id),
        (info.version >= 3 or not is_tdx, "tcb_info.version", "3 for TDX", info.version),
        (info.fmspc == platform.fmspc, "tcb_info.fmspc", platform.fmspc.hex(), info.fmspc.hex()),
        (info.pce_id == platform.pce_id, "tcb_info.pceId", platform.pce_id.hex(), info.pce_id.hex()),
    ):
        _demand(holds, claim, expected, found, examination)
    tee_tcb_svn = quote.body.field("tee_tcb_svn") if is_tdx else None
    level = info.level(platform.components, platform.pce_svn, tee_tcb_svn)
    tdx = "" if tee_tcb_svn is None else f", TDX {tee_tcb_svn.hex()}"
    svns = f"{platform.components.hex()}, PCE {platform.pce_svn}{tdx}"
    rated = _rated("platform", level, svns, examination)
    return [rated, _rate_module(quote.body, info, examination)] if is_tdx else [rated]


def _rate_module(body: Body, info: TcbInfo, examination: Examination) -> _Part:
    svn, major = body.field("tee_tcb_svn")[:2]
    module = info.module(major)
    examination.note(
        "tdx-module.identity", f"one of major version {major}", "found" if module else "none", holds=module is not None
    )
    if module is None:
        return "tdx_module", None, TcbStatus.NONE_MATCHES
    for claim, expected, mask in (
        ("mr_signer_seam", module.mr_signer, b"\xff" * 48),
        ("seam_attributes", module.attributes, module.attributes_mask),
    ):
        found = bytes(a & b for a, b in zip(body.field(claim), mask, strict=True))
        _demand(found == expected, f"tdx-module.{claim}", expected.hex(), found.hex(), examination)
    if not isinstance(module, TdxModuleIdentity):
        return "tdx_module", None, TcbStatus.UP_TO_DATE
    return _rated("tdx_module", enclave_level(module.levels, svn), f"isv_svn {svn}", examination)


def _rated(name: str, level: Level | None, svns: str, examination: Examination) -> _Part:
    status = TcbStatus.NONE_MATCHES if level is None else level.status
    examination.note(f"tcb.{name}", f"a level for {svns}", status, holds=level is not None)
    return name, level, status


def _demand(holds: bool, claim: str, expected: object, found: object, examination: Examination) -> None:
    message = "not what Intel vouches for"
    examination.demand(holds, claim, expected, found, message, error=AppraisalError, reason=Reason.EVIDENCE_INVALID)
