"""Evidence of an AWS Nitro enclave: a COSE_Sign1 by the Nitro Secure Module, whose certificates travel inside.

    document ─parse─> certificate, cabundle ─path to the pinned root─> key ─signature─> PCRs, nonce, user data

Source: AWS, "Nitro Enclaves attestation process". Certificates of modules live three hours, so `now` must be near
the time of the document. AWS publishes no revocation lists for them.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from protocol.errors import Finding, FreshnessError, MalformedError, UnsupportedError
from schemas.evidence import NITRO
from schemas.kinds import Tier
from schemas.reason import Reason
from verifier.evidence.certificates import (
    UNREADABLE_EXTENSIONS,
    certificate_untrusted,
    certificates_untrusted,
    check_window,
    fingerprint,
    verify_path,
)
from verifier.evidence.examination import Examination
from verifier.evidence.foreign_cose import ES384, ForeignSign1, parse_foreign_sign1_untrusted
from verifier.evidence.interface import Claim, Parts, TeeClaims, required
from verifier.evidence.nitro_document import MAX_DOCUMENT, NitroDocument, document_untrusted
from verifier.evidence.roots import AWS, PINNED_ROOTS, Roots

MAX_AHEAD: Final = 60
"""Seconds by which a module's clock may be ahead of ours."""

_INSTANCE: Final = re.compile(r"(i-[0-9a-f]{8,17})-enc[0-9a-f]+")


class NitroAppraiser:
    """Appraises attestation documents that chain to one of `roots` under `aws`."""

    form = NITRO

    def __init__(self, roots: Roots = PINNED_ROOTS) -> None:
        self._roots = roots.get(AWS, frozenset())

    def appraise_untrusted(self, parts: Parts, now: float, examination: Examination) -> TeeClaims:
        """Returns what the module signed: `measurement` is PCR 0, `report_data` the nonce, empty where there is none.

        Raises `MalformedError`, `UnsupportedError`, `AuthenticationError`, `FreshnessError`.
        """
        signed = parse_foreign_sign1_untrusted(required(parts, "doc"), max_bytes=MAX_DOCUMENT, tagged=False)
        _check_headers_untrusted(signed)
        document = document_untrusted(signed.payload)
        leaf = certificate_untrusted(document.certificate, "doc.certificate")
        key = _key_untrusted(leaf)
        path = [leaf, *_issuers_untrusted(document)]
        if "root" in parts:
            _check_root(parts["root"], path[-1], examination)
        verify_path(path, self._roots, now, examination, "doc")
        _check_leaf(leaf, examination)
        signed.verify(key, examination, "doc", "the module's certificate")
        examination.signature = "valid"
        _check_timestamp(document.timestamp / 1000, leaf, now, examination)
        return _tee_claims(document)


def _check_headers_untrusted(signed: ForeignSign1) -> None:
    """A module writes `{1: -35}` and an empty unprotected header, and nothing else."""
    if signed.headers != {1: ES384} or signed.unprotected:
        found = f"{dict(signed.headers)!r}, unprotected {dict(signed.unprotected)!r}"[:64]
        finding = Finding("doc.header", "{1: -35} alone", found)
        raise MalformedError("not the header of a Nitro document", finding=finding)


def _issuers_untrusted(document: NitroDocument) -> list[x509.Certificate]:
    """The issuers of the leaf, nearest first: `cabundle` begins with the root."""
    bundle = [certificate_untrusted(each, f"doc.cabundle.{at}") for at, each in enumerate(document.cabundle)]
    return bundle[::-1]


def _check_root(part: bytes, root: x509.Certificate, examination: Examination) -> None:
    """A root that is handed over decides nothing, but must be the one that the document's chain ends in."""
    given = certificates_untrusted(part, "root")
    examination.demand(
        any(fingerprint(each) == fingerprint(root) for each in given),
        "root",
        fingerprint(root).hex()[:16],
        " or ".join(fingerprint(each).hex()[:16] for each in given),
        "the document's chain does not end in the root that is given",
        reason=Reason.UNKNOWN_SIGNER,
    )


def _check_leaf(leaf: x509.Certificate, examination: Examination) -> None:
    holds = _may_sign(leaf)
    found = "yes" if holds else "no"
    examination.demand(
        holds, "doc.certificate.digital-signature", "yes", found, "a certificate that may not sign documents"
    )


@lru_cache(maxsize=512)
def _may_sign(leaf: x509.Certificate) -> bool:
    """AWS §"semantical validation": an end entity, whose key usage is digitalSignature."""
    try:
        constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except UNREADABLE_EXTENSIONS:
        return False
    return usage.digital_signature and not constraints.ca


@lru_cache(maxsize=512)
def _key_untrusted(leaf: x509.Certificate) -> ec.EllipticCurvePublicKey:
    try:
        key = leaf.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise MalformedError("the document's certificate has no key that can be read") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        finding = Finding("doc.certificate.key", "P-384", "another")
        raise UnsupportedError("a module signs with P-384", finding=finding)
    return key


def _check_timestamp(issued: float, leaf: x509.Certificate, now: float, examination: Examination) -> None:
    """The module issues documents while its certificate is valid, and none in the future."""
    begins, ends = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    check_window(begins, ends, issued, examination, "doc.timestamp")
    examination.demand(
        issued <= now + MAX_AHEAD,
        "doc.timestamp",
        f"at most {MAX_AHEAD} s ahead",
        f"{issued - now:.0f} s ahead",
        "a document of the future",
        error=FreshnessError,
        reason=Reason.NOT_YET_VALID,
    )


def _tee_claims(document: NitroDocument) -> TeeClaims:
    pcr0 = document.pcrs[0]
    instance = _INSTANCE.fullmatch(document.module_id)
    return TeeClaims(
        tier=Tier.NITRO,
        chip=None if instance is None else hashlib.sha256(instance[1].encode()).digest(),
        measurement=pcr0,
        report_data=document.nonce or b"",
        # The hypervisor measures nothing where it lets the console be read.
        debug=not any(pcr0),
        claims=_claims(document, None if instance is None else instance[1]),
    )


def _claims(document: NitroDocument, instance: str | None) -> Mapping[str, Claim]:
    return {
        "module_id": document.module_id,
        "instance_id": instance,
        "timestamp": document.timestamp,
        "digest": "SHA384",
        "pcrs": {str(index): pcr for index, pcr in sorted(document.pcrs.items())},
        "public_key": document.public_key,
        "user_data": document.user_data,
        "nonce": document.nonce,
    }
