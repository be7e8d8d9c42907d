"""A second opinion on the TCB status: dcap-qvl, which others wrote in another language, must say the same.

It is asked last, about bytes that hold by our own checks, and only where it has an opinion: with full collateral, on
quotes of the kinds and attributes that it takes (docs/adr/0022). If it refuses or rates differently there, nobody
knows who is wrong, and the evidence is refused. Its answer depends on platform, quoting enclave and collateral, not on
what the quote is about; it is remembered by those. Times are not its business: ours are checked each time.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import dcap_qvl
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from protocol.errors import AppraisalError
from verifier.evidence.dcap_body import BodyType
from verifier.evidence.dcap_claims import is_debug
from verifier.evidence.dcap_collateral import Collateral, Signed
from verifier.evidence.dcap_quote import PCK_CHAIN, Quote, Tee
from verifier.evidence.dcap_rating import Rating
from verifier.evidence.dcap_tcb import EnclaveIdentity, TcbInfo
from verifier.evidence.examination import Examination
from verifier.evidence.interface import TcbStatus
from verifier.evidence.revocation_lists import RevocationList

_SAME: Final = {
    "TDRelaunchAdvised": TcbStatus.OUT_OF_DATE,
    "TDRelaunchAdvisedConfigurationNeeded": TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
}
"""A trust domain that was launched on firmware that is out of date, on a platform that is not any more."""

_SEPT_VE_DISABLE: Final = 1 << 28
_KNOWN_ATTRIBUTES: Final = _SEPT_VE_DISABLE | 1 << 30 | 1 << 31 | 1 << 63
"""With PKS, KL and PERFMON: dcap-qvl refuses trust domains with any other bit, and those without the first."""

_UNJUDGED: Final = (TcbStatus.UNDETERMINED, TcbStatus.NONE_MATCHES, TcbStatus.REVOKED)


@dataclass(frozen=True, slots=True)
class _Question:
    """What the answer depends on, and, not compared, one quote and one time at which all of it holds."""

    path: tuple[x509.Certificate, ...]
    qe_report: bytes
    td: tuple[bytes, ...]
    tcb: tuple[bytes, bytes, tuple[x509.Certificate, ...]]
    qe: tuple[bytes, bytes, tuple[x509.Certificate, ...]]
    root_crl: RevocationList
    pck_crl: RevocationList
    quote: bytes = field(compare=False)
    now: int = field(compare=False)


def check_agreement(
    quote: Quote,
    path: tuple[x509.Certificate, ...],
    collateral: Collateral,
    rating: Rating,
    now: float,
    examination: Examination,
) -> None:
    """Ask dcap-qvl about what is verified and rated. Raises `AppraisalError` where it has an opinion and it differs."""
    question = _question(quote, path, collateral, now)
    why = _outside(quote, rating) or ("collateral is not complete" if question is None else "")
    if question is None or why:
        examination.note("tcb.second-opinion", rating.status, f"not asked: {why}")
        return
    try:
        found = _answer(question)
    except ValueError as error:
        found = f"refused: {error}"
    message = "two verifiers rate this platform differently"
    holds = found == rating.status
    examination.demand(holds, "tcb.second-opinion", rating.status, found, message, error=AppraisalError)


def _outside(quote: Quote, rating: Rating) -> str:
    """Why dcap-qvl would refuse the quote whatever its firmware, or nothing."""
    if rating.status in _UNJUDGED or is_debug(quote):
        return "it refuses such quotes"
    if quote.certification_type != PCK_CHAIN or (quote.tee == Tee.SGX and quote.version != 3):
        return "it does not read such quotes"
    if quote.tee == Tee.TDX and not _has_usual_attributes(quote):
        return "it refuses the attributes of this trust domain"
    return ""


def _has_usual_attributes(quote: Quote) -> bool:
    attributes = quote.body.number("td_attributes")
    serviced = quote.body.type != BodyType.TDX_1_0 and any(quote.body.field("mr_service_td"))
    return bool(attributes & _SEPT_VE_DISABLE) and not attributes & ~_KNOWN_ATTRIBUTES and not serviced


def _question(quote: Quote, path: tuple[x509.Certificate, ...], collateral: Collateral, now: float) -> _Question | None:
    info, identity, pck_crl, root_crl = (
        collateral.tcb_info,
        collateral.qe_identity,
        collateral.pck_crl,
        collateral.root_crl,
    )
    if info is None or identity is None or pck_crl is None or root_crl is None or info.document.version < 3:
        return None
    if collateral.tcb_chain is None or collateral.qe_chain is None:
        return None
    names = ("tee_tcb_svn", "tee_tcb_svn_2", "mr_signer_seam", "seam_attributes")
    return _Question(
        path=path,
        qe_report=quote.qe_report.content,
        td=tuple(quote.body.fields.get(name, b"") for name in names),
        tcb=_signed(info, collateral.tcb_chain),
        qe=_signed(identity, collateral.qe_chain),
        root_crl=root_crl,
        pck_crl=pck_crl,
        quote=quote.content,
        now=int(now),
    )


def _signed(
    signed: Signed[TcbInfo] | Signed[EnclaveIdentity], chain: tuple[x509.Certificate, ...]
) -> tuple[bytes, bytes, tuple[x509.Certificate, ...]]:
    return signed.content, signed.signature, chain


@lru_cache(maxsize=1024)
def _answer(question: _Question) -> str:
    """A status. Raises `ValueError` where dcap-qvl refuses, which is not remembered.

    A refusal may be of this one quote, whose certificates are text of its sender's: others must not share it.
    """
    root = question.path[-1]
    collateral = _collateral(question, root)
    report = dcap_qvl.verify_with_root_ca(question.quote, collateral, root.public_bytes(Encoding.DER), question.now)
    return str(_SAME.get(report.status, report.status))


def _collateral(question: _Question, root: x509.Certificate) -> dcap_qvl.QuoteCollateralV3:
    return dcap_qvl.QuoteCollateralV3(
        pck_crl_issuer_chain=_pem(question.path[1:]),
        root_ca_crl=question.root_crl.x509.public_bytes(Encoding.DER),
        pck_crl=question.pck_crl.x509.public_bytes(Encoding.DER),
        tcb_info_issuer_chain=_pem(_with_root(question.tcb[2], root)),
        tcb_info=question.tcb[0].decode(),
        tcb_info_signature=question.tcb[1],
        qe_identity_issuer_chain=_pem(_with_root(question.qe[2], root)),
        qe_identity=question.qe[0].decode(),
        qe_identity_signature=question.qe[1],
    )


def _with_root(chain: tuple[x509.Certificate, ...], root: x509.Certificate) -> tuple[x509.Certificate, ...]:
    return chain if len(chain) > 1 else (*chain, root)


def _pem(certificates: tuple[x509.Certificate, ...]) -> str:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates).decode()
