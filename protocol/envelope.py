"""Documents and messages in their COSE envelopes.

    document          COSE_Sign1, no external_aad: complete in itself, may be kept and shown
    message           COSE_Sign1 with `message_aad`: good on one topic, between two parties, in one exchange
    sealed message    COSE_Sign1 over COSE_Encrypt: the same, and only the recipient's KEM key opens it

The signature of a sealed message stands outside and covers the ciphertext; the sender's key id also stands in
the HPKE info and in the inner external_aad, so that nobody can take a ciphertext and sign it as their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.cose import NO_BASE_IV, AeadKey, encrypt, parse_encrypt_untrusted, parse_sign1_untrusted, sign1, wrap_key
from protocol.errors import AuthenticationError, Finding
from protocol.keys import KemPrivateKey, KemPublicKey, SigningKey, VerifyingKey
from protocol.messages import M, decode_message_untrusted, encode_message, message_aad
from protocol.party import Randomness
from schemas.base import Message
from schemas.kinds import Kind
from schemas.reason import Reason


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message is said, to whom, and in which exchange."""

    topic: str
    recipient: str
    correlation: bytes = b""

    def aad(self, kind: Kind, sender: bytes) -> bytes:
        """What binds a message of this kind from this sender to this address."""
        return message_aad(kind, self.topic, sender, self.recipient, self.correlation)


def sign_document(kind: Kind, document: Message, key: SigningKey, credential: bytes | None = None) -> bytes:
    """A signed document. `credential`, the signer's own, travels beside it for those who do not know the key."""
    return sign1(key, encode_message(document), typ=str(kind), credential=credential)


def open_document_untrusted(model: type[M], data: bytes, kind: Kind, key: VerifyingKey) -> M:
    """Returns the document: signed by `key` as this kind. Its times, fleet and subject are not yet checked."""
    return decode_message_untrusted(model, parse_sign1_untrusted(data).verify(key, typ=str(kind)))


def sign_message(
    kind: Kind, message: Message, key: SigningKey, address: Address, credential: bytes | None = None
) -> bytes:
    """A signed message, bound to its address."""
    aad = address.aad(kind, key.public.thumbprint)
    return sign1(key, encode_message(message), typ=str(kind), external_aad=aad, credential=credential)


def open_message_untrusted(model: type[M], data: bytes, kind: Kind, key: VerifyingKey, address: Address) -> M:
    """Returns the message: signed by `key`, said here, to this party, in this exchange. Times are not checked."""
    aad = address.aad(kind, key.thumbprint)
    return decode_message_untrusted(model, parse_sign1_untrusted(data).verify(key, typ=str(kind), external_aad=aad))


def signer_credential_untrusted(data: bytes) -> bytes:
    """The credential that travels with a signed structure, unverified; for `Trust.identify_untrusted`."""
    credential = parse_sign1_untrusted(data).credential
    if credential is None:
        raise AuthenticationError(
            "the signer's credential is missing",
            reason=Reason.UNKNOWN_SIGNER,
            finding=Finding("credential", "present", "absent"),
        )
    return credential


def seal_message(
    kind: Kind,
    message: Message,
    key: SigningKey,
    recipient: KemPublicKey,
    address: Address,
    randomness: Randomness,
    credential: bytes | None = None,
) -> bytes:
    """A sealed message: encrypted to `recipient`, then signed."""
    aad = address.aad(kind, key.public.thumbprint)
    secret = randomness(32)
    sealed = encrypt(
        AeadKey(secret, NO_BASE_IV),
        encode_message(message),
        typ=str(kind),
        recipients=[wrap_key(secret, recipient, extra_info=aad)],
        iv=randomness(12),
        external_aad=aad,
    )
    return sign1(key, sealed, typ=str(kind), external_aad=aad, credential=credential)


def open_sealed_untrusted(
    model: type[M], data: bytes, kind: Kind, sender: VerifyingKey, keys: Sequence[KemPrivateKey], address: Address
) -> M:
    """Returns the message: sealed to one of these KEM keys by `sender` for this address; times are not checked."""
    aad = address.aad(kind, sender.thumbprint)
    sealed = parse_encrypt_untrusted(parse_sign1_untrusted(data).verify(sender, typ=str(kind), external_aad=aad))
    named = {each.kid for each in sealed.recipients}
    mine = next((key for key in keys if key.public.thumbprint in named), None)
    if mine is None:
        raise AuthenticationError(
            "sealed to a KEM key that is not held here (any more)",
            reason=Reason.DECRYPTION_FAILED,
            finding=Finding("recipient", "a current KEM key", "another"),
        )
    secret = sealed.unwrap(mine, extra_info=aad)
    return decode_message_untrusted(model, sealed.open(AeadKey(secret, NO_BASE_IV), typ=str(kind), external_aad=aad))
