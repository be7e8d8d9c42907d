"""Receipts: what was computed, by which module, in which enclave, provable to anyone without asking anyone (P10).

verifier's signature ─> attestation result ─> enclave's signing key ─> receipt ─> commitments to input and output

    document  [receipt, COSE Receipt of inclusion]

What is ready together is signed together, over the root of a tree (`protocol.merkle`); each is proven alone. Receipts
hold commitments under salts of their own, so the hash of one, which its neighbours' paths may show, says nothing of it.
"""

import hmac
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from protocol.attestation import Passport
from protocol.cbor import decode_untrusted, encode
from protocol.cose_inclusion import MAX_INCLUSION, open_inclusion_untrusted, sign_inclusions
from protocol.cose_sign import Sign1
from protocol.errors import AuthenticationError, Finding, FreshnessError, MalformedError
from protocol.keys import SigningKey, VerifyingKey
from protocol.merkle import MAX_LEAVES
from protocol.messages import DOMAIN, decode_message_untrusted, digest, encode_message
from protocol.trust import check_same
from schemas.kinds import Kind
from schemas.reason import Reason
from schemas.session import Receipt

MAX_RECEIPT: Final = 2048 + MAX_INCLUSION
"""Bytes of a signed receipt. sealedge's own stay below 1024."""


def commitment(what: str, salt: bytes, value: bytes) -> bytes:
    """SHA-256 over the salted value. `what` is "input" or "output"; without the salt it can't be guessed at."""
    return digest(encode([DOMAIN, what, salt, value]))


class VerifiedRoots:
    """The last roots whose signatures were verified: those that share one are verified once."""

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self._verified: OrderedDict[tuple[bytes, bytes, bytes, bytes], None] = OrderedDict()

    def verify(self, signed: Sign1, key: VerifyingKey) -> None:
        """Return if `key` signed this root for receipts. Raises as `Sign1.verify` does."""
        # All that verifying depends on: where all of it is the same, so is what comes out.
        known = (key.thumbprint, signed.protected, signed.payload, signed.signature)
        if known in self._verified:
            return
        signed.verify(key, typ=str(Kind.RECEIPT))
        self._verified[known] = None
        if len(self._verified) > self._limit:
            self._verified.popitem(last=False)


def sign_receipts(receipts: Sequence[Receipt], enclave: SigningKey) -> list[bytes]:
    """The signed receipts, in their order: one signature for each `merkle.MAX_LEAVES` of them."""
    entries = [encode_message(each) for each in receipts]
    signed: list[bytes] = []
    for start in range(0, len(entries), MAX_LEAVES):
        together = entries[start : start + MAX_LEAVES]
        inclusions = sign_inclusions(enclave, together, typ=str(Kind.RECEIPT))
        signed += map(encode, zip(together, inclusions, strict=True))
    return signed


def signed_receipt_untrusted(data: bytes) -> tuple[bytes, Sign1]:
    """Returns a receipt's encoding, and the signature over the root that it leads to. Nothing is trusted yet.

    Raises `MalformedError`, `UnsupportedError`.
    """
    parts = decode_untrusted(data, max_bytes=MAX_RECEIPT, tags=frozenset())
    if not isinstance(parts, list) or [type(each) for each in parts] != [bytes, bytes]:
        raise MalformedError("a receipt is two byte strings")
    entry, inclusion = parts
    return entry, open_inclusion_untrusted(inclusion, entry)


def verified_receipt_untrusted(data: bytes, enclave: VerifyingKey, roots: VerifiedRoots | None = None) -> Receipt:
    """Returns the receipt: `enclave` signed it. Whose key that is, is another question.

    `roots` remembers which signatures were verified before. Raises `AuthenticationError`, `MalformedError`,
    `UnsupportedError`, `UnexpectedError`.
    """
    entry, signed = signed_receipt_untrusted(data)
    (roots or VerifiedRoots()).verify(signed, enclave)
    return decode_message_untrusted(Receipt, entry)


def open_receipt_untrusted(data: bytes, passport: Passport, roots: VerifiedRoots | None = None) -> Receipt:
    """Returns the receipt: signed by the passport's enclave, under this very passport, while its lease ran.

    The passport must be verified. Raises as `verified_receipt_untrusted` does, and `FreshnessError`.
    """
    receipt = verified_receipt_untrusted(data, passport.signing_key, roots)
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
