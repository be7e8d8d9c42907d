"""Receipts: what was computed, by which module, in which enclave, provable to anyone without asking anyone (P10).

verifier's signature ─> attestation result ─> enclave's signing key ─> receipt ─> commitments to input and output
"""

import hmac

from protocol.attestation import Passport
from protocol.cbor import encode
from protocol.envelope import open_document_untrusted, sign_document
from protocol.errors import AuthenticationError, Finding, FreshnessError
from protocol.keys import SigningKey
from protocol.messages import DOMAIN, digest
from protocol.trust import check_same
from schemas.kinds import Kind
from schemas.reason import Reason
from schemas.session import Receipt


def commitment(what: str, salt: bytes, value: bytes) -> bytes:
    """SHA-256 over the salted value. `what` is "input" or "output"; without the salt it can't be guessed at."""
    return digest(encode([DOMAIN, what, salt, value]))


def sign_receipt(receipt: Receipt, enclave: SigningKey) -> bytes:
    """The signed receipt."""
    return sign_document(Kind.RECEIPT, receipt, enclave)


def open_receipt_untrusted(data: bytes, passport: Passport) -> Receipt:
    """Returns the receipt: signed by the passport's enclave, under this very passport, while its lease ran.

    The passport must be verified. Raises `AuthenticationError`, `FreshnessError`, `MalformedError`.
    """
    receipt = open_document_untrusted(Receipt, data, Kind.RECEIPT, passport.signing_key)
    result = passport.result
    check_same(
        "receipt",
        "the receipt does not belong to this attestation result",
        ("fleet", result.fleet, receipt.fleet),
        ("agent", result.agent, receipt.agent),
        ("tier", result.tier, receipt.tier),
        ("attestation-result", passport.digest.hex(), receipt.attestation_result.hex()),
        reason=Reason.BINDING_MISMATCH,
    )
    if not result.issued <= receipt.time < result.expires:
        raise FreshnessError(
            "the receipt's time is outside the lease",
            reason=Reason.LEASE_EXPIRED,
            finding=Finding("receipt.time", f"{result.issued} to {result.expires}", str(receipt.time)),
        )
    return receipt


def check_commitment(what: str, salt: bytes, value: bytes, committed: bytes) -> None:
    """Raises `AuthenticationError` (binding-mismatch) unless the receipt commits to this value."""
    if not hmac.compare_digest(commitment(what, salt, value), committed):
        raise AuthenticationError(
            f"the receipt is for another {what}",
            reason=Reason.BINDING_MISMATCH,
            finding=Finding(f"receipt.{what}", "the committed one", "another"),
        )
