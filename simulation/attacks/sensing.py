"""Mallory: a sensor with a good credential and its own software, which asks for what it may not have.

Each of its readings that must never be computed is `forbidden` in the ledger; the others are an insider's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final

from protocol.channel import Channel
from protocol.envelope import Address, seal_message
from protocol.keys import KemPublicKey
from protocol.messages import digest, encode_message
from protocol.party import Publication
from schemas.attestation import AttestationResult
from schemas.kinds import Kind, Role
from schemas.session import InferenceRequest, SessionOpen
from simulation.acts import Doing
from simulation.attacks.outsider import recorded
from simulation.fleet import ACCEPTED, FLEET, MODEL, Holder
from simulation.module import READING_BYTES
from simulation.plan import Act
from simulation.wire import said

if TYPE_CHECKING:
    from simulation.world import World

NAME: Final = "sensor-mallory"


@dataclass
class Session:
    """What Mallory says in one session. Every field can be bent before it is said."""

    world: "World"
    random: Random
    document: bytes
    agent: str
    kem: KemPublicKey
    terms: dict[str, Any] = field(default_factory=dict)
    signer: tuple[Role, str, bool] = (Role.SENSOR, NAME, False)
    holder: Holder | None = None
    credential: bytes | None = None
    correlation: bytes | None = None

    def __post_init__(self) -> None:
        now, topics = int(self.world.broker.now), self.world.fleet.topics
        secret = self.random.randbytes(32)
        self.world.fleet.taint.note("a session secret of mallory's", secret)
        self.terms = {
            "session": self.random.randbytes(16),
            "secret": secret,
            "fleet": FLEET,
            "agent": self.agent,
            "model": MODEL,
            "minimum_version": 1,
            "reply_to": topics.inbox(Role.SENSOR, NAME),
            "return_result": True,
            "tiers": ACCEPTED,
            "attestation_result": digest(self.document),
            "issued": now,
            "expires": now + 90,
        }
        self.channel = Channel.of_sensor(self.terms["session"], secret)

    def open(self, **bent: Any) -> None:
        """Seal and publish the opening, or a one-shot where `request` is among what is bent."""
        terms = SessionOpen(**{**self.terms, **bent})
        kind = Kind.SESSION_OPEN if terms.request is None else Kind.ONE_SHOT
        correlation = self.correlation or (terms.session if terms.request is None else terms.request.request)
        topic, (role, name, impostor) = self.world.fleet.topics.session(self.agent), self.signer
        holder = self.holder or self.world.fleet.holder(role, name, impostor=impostor)
        address = Address(topic, self.agent, correlation)
        credential = self.credential or holder.credential
        payload = seal_message(kind, terms, holder.signing, self.kem, address, self.random.randbytes, credential)
        inbox = self.world.fleet.topics.inbox(Role.SENSOR, NAME)
        self.world.broker.publish(Publication(topic, payload, response_topic=inbox, correlation=correlation))

    def reading(self, why: str = "", **bent: Any) -> InferenceRequest:
        """A new reading; `why` says why it must never be computed, "" that it may be."""
        data, now = self.random.randbytes(READING_BYTES), int(self.world.broker.now)
        self.world.fleet.taint.note("a reading of mallory's", data)
        ledger = self.world.ledger
        ledger.insiders[data] = NAME
        if why:
            ledger.forbidden[data] = why
        fields = {"request": self.random.randbytes(16), "input": data, "issued": now, "expires": now + 60}
        return InferenceRequest(**{**fields, **bent})

    def say(self, request: InferenceRequest, correlation: bytes | None = None, *, times: int = 1) -> None:
        """Seal a request in the session, whether or not it was ever opened, and publish it once or more."""
        topic, name = self.world.fleet.topics.request(self.agent), correlation or request.request
        payload = self.channel.seal(Kind.REQUEST, encode_message(request), topic, self.agent, name)
        inbox = self.world.fleet.topics.inbox(Role.SENSOR, NAME)
        for _ in range(times):
            self.world.broker.publish(Publication(topic, payload, response_topic=inbox, correlation=name))


def session_with(world: "World", random: Random) -> Session | None:
    """A session with some agent, under the newest attestation result that the wire showed of it."""
    shown: dict[str, tuple[bytes, AttestationResult]] = {}
    for each in recorded(world):
        result = said(AttestationResult, each.payload) if each.topic.endswith("/result") else None
        if result is not None and result.confirmation.kem_key is not None:
            shown[result.agent] = each.payload, result
    if not shown:
        return None
    document, result = shown[random.choice(sorted(shown))]
    kem = result.confirmation.kem_key
    return None if kem is None else Session(world, random, document, result.agent, _key(kem))


def _key(kem: Any) -> KemPublicKey:
    return KemPublicKey.from_cose_key_untrusted(kem)


def bent_request(world: "World", act: Act) -> None:
    """A good session, and a request in it that is wrong in one point."""
    random = Random(act.number)
    session = session_with(world, random)
    if session is None:
        return
    session.open()
    now = int(world.broker.now)
    if act.number % 3 == 0:
        session.say(session.reading("its correlation data was another's"), random.randbytes(16))
    elif act.number % 3 == 1:
        session.say(session.reading("its time was over", issued=now - 900, expires=now - 600))
    else:
        session.say(session.reading("it was from the future", issued=now + 9000, expires=now + 9060))


def same_number(world: "World", act: Act) -> None:
    """Two different requests under one sequence number: at most one is computed."""
    session = session_with(world, Random(act.number))
    if session is None:
        return
    session.open()
    one, other = session.reading(), session.reading()
    session.say(one)
    # Anew, since a key of ours refuses to seal twice under one nonce.
    session.channel = Channel.of_sensor(session.terms["session"], session.terms["secret"])
    session.say(other)
    world.ledger.exclusive.append((one.input, other.input))


def stubborn(world: "World", act: Act) -> None:
    """A session in which requests go on, whatever has ended or was revoked meanwhile."""
    session = session_with(world, Random(act.number))
    if session is None:
        return
    session.open(expires=session.terms["issued"] + 3600)
    for number in range(int(act.seconds / 4)):
        world.after(4.0 * number, partial(_say_again, session))


def _say_again(session: Session) -> None:
    session.say(session.reading())


def flurry(world: "World", act: Act) -> None:
    """One request, and when that is answered several at once, each of them twice."""
    session = session_with(world, Random(act.number))
    if session is None:
        return
    session.open()
    session.say(session.reading())
    world.after(2.0, partial(_say_at_once, session, 2 + act.number % 4))


def _say_at_once(session: Session, count: int) -> None:
    for _ in range(count):
        session.say(session.reading(), times=2)


def retired_key(world: "World", act: Act) -> None:
    """Whoever has the key that a sensor had before opens sessions with it, for as long as it is believed."""
    old = [each for name, each in _retired(world) if name.startswith("sensor")]
    for number in range(4 if old else 0):
        world.after(4.0 * number, partial(_ask_with, world, old[-1], act.number + number))


def _retired(world: "World") -> list[tuple[str, Holder]]:
    return [(name, holder) for name, held in world.fleet.retired.items() for holder in held]


def _ask_with(world: "World", old: Holder, number: int) -> None:
    session = session_with(world, Random(number))
    if session is None:
        return
    session.holder = old
    session.open(reply_to=world.fleet.topics.inbox(Role.SENSOR, old.name))
    reading = session.reading()
    world.ledger.signers[reading.input] = old.signing.public.thumbprint
    session.say(reading)


def wrong_kind(world: "World", act: Act) -> None:
    """An opening that carries no request, under the type of a one-shot; or a request under that of an opening."""
    session = session_with(world, Random(act.number))
    if session is None:
        return
    topic = world.fleet.topics.session(session.agent)
    holder = world.fleet.holder(Role.SENSOR, NAME)
    terms = SessionOpen(**session.terms, request=session.reading("it stood in an opening"))
    address = Address(topic, session.agent, terms.session)
    draw = session.random.randbytes
    payload = seal_message(Kind.SESSION_OPEN, terms, holder.signing, session.kem, address, draw, holder.credential)
    inbox = world.fleet.topics.inbox(Role.SENSOR, NAME)
    world.broker.publish(Publication(topic, payload, response_topic=inbox, correlation=terms.session))


ATTACKS: Final[Mapping[str, Doing]] = {
    "bent-request": bent_request,
    "same-number": same_number,
    "stubborn": stubborn,
    "flurry": flurry,
    "retired-key": retired_key,
    "wrong-kind": wrong_kind,
}
