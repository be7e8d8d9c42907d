"""What a refusal means for the request that met it: wait, go elsewhere, or give up."""

from typing import Final

from protocol.cose import parse_sign1_untrusted
from protocol.envelope import Address, open_message_untrusted
from protocol.errors import AuthenticationError, Finding
from protocol.keys import VerifyingKey
from protocol.party import Delivery
from schemas.kinds import Kind
from schemas.reason import Reason
from schemas.status import Refusal

LATER: Final = frozenset({Reason.BUSY, Reason.INTERNAL, Reason.REPLAYED})
"""The same session takes the request later, under a new sequence number."""

ELSEWHERE: Final = frozenset(
    {
        Reason.SESSION_UNKNOWN,
        Reason.SESSION_LIMIT,
        Reason.NOT_ATTESTED,
        Reason.LEASE_EXPIRED,
        Reason.MODEL_UNKNOWN,
        Reason.DECRYPTION_FAILED,
        Reason.STALE,
    }
)
"""This enclave, or this session, will not do: the request is as good as before, in a new session.

`model-unknown` is here because an enclave gives a model back when its lease ends, and gets it again.
"""


def open_refusal_untrusted(delivery: Delivery, keys: tuple[VerifyingKey, ...], correlation: bytes) -> Refusal:
    """Returns a signed refusal: one of the enclaves with these keys made it, for this exchange.

    Raises `AuthenticationError` (unknown-signer, signature-invalid), `MalformedError`, `UnexpectedError`.
    """
    kid = parse_sign1_untrusted(delivery.payload).kid
    signer = next((key for key in keys if key.thumbprint == kid), None)
    if signer is None:
        raise AuthenticationError(
            "a refusal that no known enclave signed",
            reason=Reason.UNKNOWN_SIGNER,
            finding=Finding("kid", " or ".join(key.thumbprint.hex()[:16] for key in keys), kid.hex()[:16]),
        )
    address = Address(delivery.topic, "", correlation)
    return open_message_untrusted(Refusal, delivery.payload, Kind.REFUSAL, signer, address)
