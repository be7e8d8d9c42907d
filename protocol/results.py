"""Results for consumers: one public-key operation a session, and every message complete in itself.

The enclave makes one result key a session and wraps it once for each recipient. Each result repeats the wrapped
keys (bytes, not work), so a consumer that missed the ones before can still open this one; it unwraps once and
remembers. HPKE's base mode does not say who sealed: the receipt inside does, and a consumer believes nothing
before it has checked that.
"""

from collections import OrderedDict
from collections.abc import Sequence

from protocol.cbor import encode
from protocol.cose import NO_BASE_IV, AeadKey, Encrypt, encrypt, parse_encrypt_untrusted, wrap_key
from protocol.errors import AuthenticationError, Finding
from protocol.keys import KemPrivateKey, KemPublicKey
from protocol.messages import DOMAIN, message_aad
from schemas.kinds import Kind
from schemas.reason import Reason


class ResultSealer:
    """The enclave's side: one result key, wrapped once for each recipient."""

    def __init__(self, fleet: str, session: bytes, recipients: Sequence[KemPublicKey], secret: bytes) -> None:
        self._session = session
        self._key = AeadKey(secret, NO_BASE_IV)
        info = _wrap_info(fleet, session)
        self._wrapped = [wrap_key(secret, recipient, extra_info=info) for recipient in recipients]
        self._next = 0

    def seal(self, plaintext: bytes, topic: str, correlation: bytes) -> bytes:
        """A COSE_Encrypt that any recipient opens; bound to this topic and request."""
        sequence, self._next = self._next, self._next + 1
        return encrypt(
            self._key,
            plaintext,
            typ=str(Kind.RESULT),
            recipients=self._wrapped,
            kid=self._session,
            iv=sequence.to_bytes(12, "big"),
            external_aad=message_aad(Kind.RESULT, topic, self._session, "", correlation),
        )


class ResultOpener:
    """A consumer's side: unwraps each session's result key once, keeps the last few."""

    def __init__(self, fleet: str, private: KemPrivateKey, sessions: int = 1024) -> None:
        self._fleet, self._private, self._sessions = fleet, private, sessions
        self._keys: OrderedDict[bytes, AeadKey] = OrderedDict()

    def open_untrusted(self, data: bytes, topic: str, correlation: bytes) -> bytes:
        """Returns the plaintext: sealed to this consumer for this topic and request, by whom is not yet known.

        Raises `MalformedError` or `AuthenticationError`.
        """
        sealed = parse_encrypt_untrusted(data)
        if not sealed.kid:
            raise AuthenticationError("a result without a session", reason=Reason.MISADDRESSED)
        aad = message_aad(Kind.RESULT, topic, sealed.kid, "", correlation)
        return sealed.open(self._key(sealed), typ=str(Kind.RESULT), external_aad=aad)

    def _key(self, sealed: Encrypt) -> AeadKey:
        mine = next((each for each in sealed.recipients if each.kid == self._private.public.thumbprint), None)
        if mine is None:
            raise AuthenticationError(
                "a result for other consumers",
                reason=Reason.MISADDRESSED,
                finding=Finding(
                    "recipients", self._private.public.thumbprint.hex()[:16], f"{len(sealed.recipients)} others"
                ),
            )
        known = self._keys.get(mine.encoded)
        if known is None:
            session = sealed.kid or b""
            secret = sealed.unwrap(self._private, extra_info=_wrap_info(self._fleet, session))
            known = self._keys[mine.encoded] = AeadKey(secret, NO_BASE_IV)
            if len(self._keys) > self._sessions:
                self._keys.popitem(last=False)
        return known


def _wrap_info(fleet: str, session: bytes) -> bytes:
    return encode([DOMAIN, "result", fleet, session])
