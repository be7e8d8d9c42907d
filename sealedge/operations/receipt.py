"""Checking receipts offline: nobody is asked, and nothing but a public key is trusted (P10).

    authority's key ─> verifier's credential ─┐
    verifier's key, pinned ───────────────────┴─> attestation result ─> enclave's key ─> receipt ─> commitments

Either key is enough. The verifier's credential must have been in force when the result was signed, not today: a
receipt outlives the credentials of its time, and a key that was lost since is named by the revocation list.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from protocol.attestation import Passport, open_past_attestation_result_untrusted
from protocol.cose import parse_sign1_untrusted
from protocol.envelope import open_document_untrusted, signer_credential_untrusted
from protocol.errors import AppraisalError, AuthenticationError, ConfigurationError, Finding, RemoteError
from protocol.keys import KemPublicKey, VerifyingKey
from protocol.messages import decode_message_untrusted, digest
from protocol.receipts import check_commitment, open_receipt_untrusted, signed_receipt_untrusted
from protocol.trust import Trust
from schemas.attestation import AFFIRMING, EAR_PROFILE, AttestationResult, Credential
from schemas.kinds import Kind
from schemas.reason import Reason
from schemas.session import Receipt, ReceiptBundle
from storage.store import MemoryStore


@dataclass(frozen=True, slots=True)
class Anchors:
    """What the person who checks trusts: the authority, the verifier's own key, or both; and what is revoked."""

    authority: VerifyingKey | None = None
    verifier: VerifyingKey | None = None
    fleet: str | None = None
    revocations: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CheckedReceipt:
    """A receipt that holds. `contents` says which of input, output and state were shown to be the ones committed to.

    `root` is what the enclave signed: receipts that were ready together have it in common.
    """

    receipt: Receipt
    root: bytes
    result: AttestationResult
    contents: tuple[str, ...]

    def summary(self) -> Mapping[str, str | int | list[str]]:
        """Who computed what, when, behind which kind of TEE: nothing of the content."""
        receipt, result = self.receipt, self.result
        return {
            "fleet": receipt.fleet,
            "agent": receipt.agent,
            "tier": str(receipt.tier),
            "model": receipt.model,
            "version": receipt.version,
            "module": receipt.module.hex(),
            "request": receipt.request.hex(),
            "sender_key": receipt.sender.hex(),
            "time": receipt.time,
            **({} if receipt.carried is None else {"step": receipt.carried.step}),
            **({} if receipt.delivered is None else {"delivered": receipt.delivered}),
            "root": self.root.hex(),
            "verifier": result.verifier,
            "measurement": result.measurement.hex(),
            "lease_from": result.issued,
            "lease_to": result.expires,
            "policies": sorted({policy for each in result.submodules.values() for policy in each.policies or ()}),
            "contents_checked": list(self.contents),
        }


def open_bundle(data: bytes, name: str) -> ReceiptBundle:
    """A bundle file. Raises `ConfigurationError` where it is something else; whether it holds is not yet known."""
    try:
        return decode_message_untrusted(ReceiptBundle, data)
    except RemoteError as error:
        raise ConfigurationError(f"{name}: is not a receipt bundle: {error}") from None


def check_bundle(bundle: ReceiptBundle, anchors: Anchors, contents: Mapping[str, bytes], now: float) -> CheckedReceipt:
    """Returns the receipt: an enclave that this fleet's verifier affirmed signed it while its lease ran.

    `contents` may hold "input" and "output", and "state" as it was before: then the receipt commits to exactly these
    bytes. Raises `RemoteError`s that say what does not hold, `ConfigurationError` without an anchor, without the salt
    for `contents`, and for the state of a model that has none.
    """
    passport = _passport_untrusted(bundle.attestation_result, anchors, now)
    receipt = open_receipt_untrusted(bundle.receipt, passport)
    if contents and bundle.salt is None:
        raise ConfigurationError("this bundle has no salt: it proves nothing of the content")
    for what, value in contents.items():
        check_commitment(what, bundle.salt or b"", value, _committed(receipt, what))
    root = signed_receipt_untrusted(bundle.receipt)[1].payload
    return CheckedReceipt(receipt, root, passport.result, tuple(contents))


def _committed(receipt: Receipt, what: str) -> bytes:
    if what != "state":
        return receipt.input_commitment if what == "input" else receipt.output_commitment
    if receipt.carried is None:
        raise ConfigurationError("this receipt is for a model without state")
    return receipt.carried.commitment


def _passport_untrusted(data: bytes, anchors: Anchors, now: float) -> Passport:
    if anchors.authority is not None:
        passport = _anchored_untrusted(data, anchors.authority, anchors, now)
        if anchors.verifier is not None and parse_sign1_untrusted(data).kid != anchors.verifier.thumbprint:
            _refuse_signer(data, anchors.verifier)
        return passport
    if anchors.verifier is None:
        raise ConfigurationError("a receipt is checked against the authority's key or the verifier's")
    return _pinned_untrusted(data, anchors.verifier, anchors.fleet)


def _anchored_untrusted(data: bytes, authority: VerifyingKey, anchors: Anchors, now: float) -> Passport:
    """By the authority's key. What time the result claims is signed with it; the credential must hold then."""
    credential = open_document_untrusted(Credential, signer_credential_untrusted(data), Kind.CREDENTIAL, authority)
    claimed = decode_message_untrusted(AttestationResult, parse_sign1_untrusted(data).payload)
    trust = Trust(anchors.fleet or credential.fleet, authority, MemoryStore())
    if anchors.revocations is not None:
        _accept(trust, anchors.revocations)
    return open_past_attestation_result_untrusted(data, trust, min(now, claimed.issued))


def _accept(trust: Trust, revocations: bytes) -> None:
    """A list of our own folder: if it is wrong, that is our fault and not the receipt's."""
    try:
        trust.revocations.accept_untrusted(revocations)
    except RemoteError as error:
        raise ConfigurationError(f"the revocation list is not this authority's: {error}") from None


def _pinned_untrusted(data: bytes, verifier: VerifyingKey, fleet: str | None) -> Passport:
    """By the verifier's key alone: no credential, no authority, no revocations."""
    result = open_document_untrusted(AttestationResult, data, Kind.ATTESTATION_RESULT, verifier)
    worst = max(result.status, *(each.status for each in result.submodules.values()))
    if worst > AFFIRMING or result.status != AFFIRMING or result.profile != EAR_PROFILE:
        finding = Finding("attestation-result.status", str(AFFIRMING), str(worst))
        raise AppraisalError("the verifier did not affirm", finding=finding)
    if fleet not in {None, result.fleet}:
        finding = Finding("attestation-result.fleet", str(fleet), result.fleet)
        raise AuthenticationError("a receipt of another fleet", reason=Reason.MISADDRESSED, finding=finding)
    if result.confirmation.kem_key is None:
        raise AuthenticationError("an attestation result without a KEM key", reason=Reason.BINDING_MISMATCH)
    return Passport(
        result=result,
        document=data,
        digest=digest(data),
        signing_key=VerifyingKey.from_cose_key_untrusted(result.confirmation.signing_key),
        kem_key=KemPublicKey.from_cose_key_untrusted(result.confirmation.kem_key),
    )


def _refuse_signer(data: bytes, pinned: VerifyingKey) -> None:
    found = parse_sign1_untrusted(data).kid.hex()[:16]
    finding = Finding("verifier.key", pinned.thumbprint.hex()[:16], found)
    raise AuthenticationError("another verifier signed it", reason=Reason.UNKNOWN_SIGNER, finding=finding)
