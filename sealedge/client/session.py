"""The sensor's side of a session: what it asks for, the opening it seals, the accept it believes.

    passport ─> SessionOpen, sealed to the KEM key ─> SessionAccept under the new secret ─> requests

Nothing of a session is ever stored: after a restart there is a new one with a new secret (P7).
"""

from dataclasses import dataclass, field

from protocol.attestation import Passport
from protocol.channel import WINDOW, Channel
from protocol.envelope import Address, seal_message
from protocol.errors import AuthenticationError, Finding, FreshnessError, ProtocolMisuseError
from protocol.keys import SigningKey
from protocol.party import Publication, Randomness
from protocol.trust import Trust
from schemas.kinds import Kind, Role, Tier
from schemas.reason import Reason
from schemas.session import InferenceRequest, SessionAccept, SessionOpen

MAX_SESSION_SECONDS = 86_400
"""Enclaves refuse sessions longer than a day."""

RENEW_BEFORE = 30.0
"""Seconds before its end at which a session is replaced; at most a quarter of its length."""


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What a sensor asks of every session.

    `recipients` are credentials of consumers with KEM keys; their results go to `deliver_to`, which is an inbox of
    one of them or the model's results topic. With `return_result`, the sensor itself is answered with the output.

    Raises:
        ProtocolMisuseError: results would go nowhere, or to a topic without a recipient.
    """

    model: str
    tiers: tuple[Tier, ...]
    recipients: tuple[bytes, ...] = ()
    deliver_to: str | None = None
    return_result: bool = True
    seconds: int = 3600

    def __post_init__(self) -> None:
        if bool(self.recipients) != (self.deliver_to is not None):
            raise ProtocolMisuseError("recipients and a topic to deliver to come together, or not at all")
        if not (self.recipients or self.return_result):
            raise ProtocolMisuseError("the result must go to the sensor, to recipients, or to both")
        if not self.tiers:
            raise ProtocolMisuseError("name the tiers that are good enough for this sensor's readings")
        if not 1 <= self.seconds <= MAX_SESSION_SECONDS:
            raise ProtocolMisuseError(f"a session lasts from 1 to {MAX_SESSION_SECONDS} seconds")


@dataclass(slots=True)
class SensorSession:
    """One session, from its opening on. `opening` is what is sent again while no accept has come."""

    identifier: bytes
    passport: Passport
    channel: Channel = field(repr=False)
    opening: Publication = field(repr=False)
    minimum_version: int
    opened_at: float
    expires: float
    heard_at: float
    resend_at: float
    resent: int = 0
    accepted: SessionAccept | None = None

    @property
    def renew_at(self) -> float:
        """From when on nothing new is sent in it: an answer is to come while the session still runs."""
        return self.expires - min(RENEW_BEFORE, (self.expires - self.opened_at) / 4)

    @property
    def agent(self) -> str:
        """Whose enclave this session is with."""
        return self.passport.agent

    @property
    def window(self) -> int:
        """How many requests may be outstanding."""
        return WINDOW if self.accepted is None else self.accepted.window

    def accept(self, accept: SessionAccept, model: str) -> None:
        """Take the enclave's accept, opened under the session's key.

        Raises `AuthenticationError` or `FreshnessError` where it is not what was asked for.
        """
        if accept.session != self.identifier or accept.model != model:
            raise AuthenticationError(
                "an accept for another session or model",
                reason=Reason.BINDING_MISMATCH,
                finding=Finding("session-accept.model", model, accept.model),
            )
        if accept.version < self.minimum_version:
            raise FreshnessError(
                "an accept with an older version of the model than asked for",
                reason=Reason.STALE,
                finding=Finding("session-accept.version", f">= {self.minimum_version}", str(accept.version)),
            )
        self.accepted = accept
        self.expires = min(self.expires, accept.expires)


class SessionOpener:
    """Seals session openings and one-shots in the name of one sensor."""

    def __init__(
        self, trust: Trust, name: str, key: SigningKey, credential: bytes, terms: SessionTerms, randomness: Randomness
    ) -> None:
        self._trust, self._name, self._key, self._credential = trust, name, key, credential
        self._terms, self._randomness = terms, randomness
        self._inbox = trust.topics.inbox(Role.SENSOR, name)

    def open(
        self,
        passport: Passport,
        minimum_version: int,
        now: float,
        retry_seconds: float,
        request: InferenceRequest | None = None,
    ) -> SensorSession:
        """A new session with the passport's enclave, or a one-shot that carries `request`.

        The caller has checked that the passport is live, and on an accepted tier (P3, P6).
        """
        identifier, secret = self._randomness(16), self._randomness(32)
        expires = int(now) + self._terms.seconds if request is None else request.expires
        message = SessionOpen(
            session=identifier,
            secret=secret,
            fleet=self._trust.fleet,
            agent=passport.agent,
            model=self._terms.model,
            minimum_version=minimum_version,
            reply_to=self._inbox,
            deliver_to=self._terms.deliver_to,
            recipients=self._terms.recipients,
            return_result=self._terms.return_result,
            tiers=self._terms.tiers,
            attestation_result=passport.digest,
            issued=int(now),
            expires=expires,
            request=request,
        )
        return SensorSession(
            identifier=identifier,
            passport=passport,
            channel=Channel.of_sensor(identifier, secret),
            opening=self._seal(message, passport, now),
            minimum_version=minimum_version,
            opened_at=now,
            expires=expires,
            heard_at=now,
            resend_at=now + retry_seconds,
        )

    def _seal(self, message: SessionOpen, passport: Passport, now: float) -> Publication:
        kind = Kind.SESSION_OPEN if message.request is None else Kind.ONE_SHOT
        correlation = message.session if message.request is None else message.request.request
        topic = self._trust.topics.session(passport.agent)
        address = Address(topic, passport.agent, correlation)
        payload = seal_message(kind, message, self._key, passport.kem_key, address, self._randomness, self._credential)
        expiry = max(1, int(message.expires - now))
        return Publication(topic, payload, expiry=expiry, response_topic=self._inbox, correlation=correlation)
