"""AMD SEV-SNP: an ATTESTATION_REPORT by a chip's VCEK, or a cloud's VLEK, that chains to a pinned ARK.

    report (ECDSA P-384) <- VCEK or VLEK <- ASK or ASVK <- ARK, pinned

The certificate is for one TCB, and a VCEK for one chip and product line too: the report must name the same ones.
"""

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from protocol.errors import AuthenticationError, Finding
from schemas.evidence import SNP
from schemas.reason import Reason
from verifier.evidence.certificates import certificates_untrusted, verify_path
from verifier.evidence.examination import Examination
from verifier.evidence.interface import Claim, Endorsements, Parts, TeeClaims, required
from verifier.evidence.revocation_lists import RevocationList, check_not_revoked, crl_untrusted, newest, verify_crl
from verifier.evidence.roots import AMD, PINNED_ROOTS, Roots
from verifier.evidence.snp_certificates import Endorsed, endorsed_untrusted, path_untrusted
from verifier.evidence.snp_claims import endorsed_claims, tee_claims
from verifier.evidence.snp_report import SIGNED, Product, Report, SigningKey, product_of, report_untrusted

__all__ = ["SnpAppraiser"]

_SHA384: Final = ec.ECDSA(hashes.SHA384())


@dataclass(frozen=True, slots=True)
class _Endorsing:
    """A leaf, what it says, its issuers and their revocation list: parsed and in order, not verified."""

    endorsed: Endorsed
    path: tuple[x509.Certificate, ...]
    crl: RevocationList | None


class SnpAppraiser:
    """Appraises ATTESTATION_REPORT of versions 2, 3 and 5 from Milan, Genoa (Siena, Bergamo) and Turin."""

    form = SNP

    def __init__(self, endorsements: Endorsements, roots: Roots = PINNED_ROOTS) -> None:
        self._endorsements = endorsements
        self._roots = roots.get(AMD, frozenset())

    def appraise_untrusted(self, parts: Parts, now: float, examination: Examination) -> TeeClaims:
        """Returns what the firmware of a genuine processor said of the guest (`Appraiser.appraise_untrusted`).

        Signature, chain, times, TCB, product and chip hold; debugging, migration, VMPL and levels are claims.
        """
        data = required(parts, "report")
        report = report_untrusted(data)
        examination.note("report.version", "2, 3 or 5", report.version)
        product = product_of(report)
        kind = _signing_key(report, examination)
        leaf = self._leaf(parts, kind, report, examination)
        endorsing = self._endorsing_untrusted(parts, leaf, kind, now, examination)
        self._verify(endorsing, now, examination)
        holds = _is_signed(data, report, endorsing.endorsed)
        examination.signature_checked(holds, "report.signature", f"the {kind}")
        examination.signature = "valid"
        _check_binding(report, product, endorsing.endorsed, examination)
        return tee_claims(report, endorsing.endorsed, revocation_checked=endorsing.crl is not None)

    def check_chain_only_untrusted(self, parts: Parts, now: float, examination: Examination) -> dict[str, Claim]:
        """Returns what a VCEK or VLEK without a report says of its key, after the checks of its path.

        It evidences nothing: no guest said anything. Raises as `appraise_untrusted`.
        """
        kind = SigningKey.VLEK if "vlek" in parts and "vcek" not in parts else SigningKey.VCEK
        endorsing = self._endorsing_untrusted(parts, required(parts, kind.value), kind, now, examination)
        self._verify(endorsing, now, examination)
        examination.note("report", "not asked for", "not given")
        examination.signature = "valid"
        return dict(endorsed_claims(endorsing.endorsed))

    def _leaf(self, parts: Parts, kind: SigningKey, report: Report, examination: Examination) -> bytes:
        data = parts.get(kind.value)
        if data is None and kind is SigningKey.VCEK:
            level = int.from_bytes(report.reported_tcb, "little")
            data = self._endorsements.find(f"snp/vcek/{report.chip_id.hex()}-{level:016x}")
        if data is None:
            examination.note(kind.value, "given", "not given", holds=False)
            raise AuthenticationError(
                f"no {kind} to check the report with",
                reason=Reason.UNKNOWN_SIGNER,
                finding=Finding(kind.value, "given", "not given"),
            )
        return data

    def _endorsing_untrusted(
        self, parts: Parts, leaf: bytes, kind: SigningKey, now: float, examination: Examination
    ) -> _Endorsing:
        first, *others = certificates_untrusted(leaf, kind.value)
        endorsed = endorsed_untrusted(first, kind)
        line = endorsed.product.lower()
        chain = parts.get("chain")
        if chain is None:
            chain = self._endorsements.find(f"snp/chain/{line}-{kind}")
        issuers = () if chain is None else certificates_untrusted(chain, "chain")
        given, held = (
            None if crl is None else crl_untrusted(crl, "crl")
            for crl in (parts.get("crl"), self._endorsements.find(f"snp/crl/{line}"))
        )
        path = path_untrusted(first, kind, endorsed.product, (*issuers, *others), examination)
        return _Endorsing(endorsed, path, newest(given, held, now))

    def _verify(self, endorsing: _Endorsing, now: float, examination: Examination) -> None:
        path, crl = endorsing.path, endorsing.crl
        verify_path(path, self._roots, now, examination, endorsing.endorsed.kind.value)
        if crl is None:
            examination.note("crl", "none, or the ARK's", "not given")
            return
        verify_crl(crl, path[-1], now, examination, "crl")
        for certificate in path[:-1]:
            check_not_revoked(certificate, crl, examination, "crl")


def _signing_key(report: Report, examination: Examination) -> SigningKey:
    kind = report.signing_key
    examination.demand(
        kind is not SigningKey.NONE,
        "report.signing_key",
        "vcek or vlek",
        kind,
        "a report that nobody signed",
        reason=Reason.UNKNOWN_SIGNER,
    )
    return kind


def _is_signed(data: bytes, report: Report, endorsed: Endorsed) -> bool:
    try:
        endorsed.key.verify(encode_dss_signature(*report.signature), data[:SIGNED], _SHA384)
    except InvalidSignature:
        return False
    return True


def _check_binding(report: Report, product: Product | None, endorsed: Endorsed, examination: Examination) -> None:
    """The report names what its key was certified for. A host may hide CHIP_ID; a VLEK is for no chip."""
    _check_same(examination, "tcb.reported", endorsed.tcb, report.reported_tcb)
    if product is not None:
        _check_same(examination, "cpuid", endorsed.product, product)
    if endorsed.chip_id is not None and report.is_chip_masked:
        examination.note("report.chip_id", endorsed.chip_id, "hidden by the host")
    elif endorsed.chip_id is not None:
        _check_same(examination, "chip_id", endorsed.chip_id, report.chip_id)


def _check_same(examination: Examination, claim: str, certified: bytes | str, reported: bytes | str) -> None:
    message = "the report names what its key is not certified for"
    reason = Reason.EVIDENCE_INVALID
    examination.demand(certified == reported, f"report.{claim}", certified, reported, message, reason=reason)
