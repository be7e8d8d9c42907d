"""Mallory: a sensor with a good credential and its own software, which asks for what it may not have.

Each of its readings that must never be computed is `forbidden` in the ledger; the others are an insider's.
"""

from collections.abc import Callable, Mapping
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
from simulation.fleet import ACCEPTED, FLEET, MODEL, STRICT
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
        holder = self.world.fleet.holder(role, name, impostor=impostor)
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

    def say(self, request: InferenceRequest, correlation: bytes | None = None) -> None:
        """Seal and publish a request in the session, whether or not it was ever opened."""
        topic, name = self.world.fleet.topics.request(self.agent), correlation or request.request
        payload = self.channel.seal(Kind.REQUEST, encode_message(request), topic, self.agent, name)
        inbox = self.world.fleet.topics.inbox(Role.SENSOR, NAME)
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


def bent_terms(world: "World", act: Act) -> None:
    """Sessions whose openings are wrong in one point each, and a request in them; or the same in one-shots."""
    random = Random(act.number)
    for bend in random.sample(_BENT, 3):
        session = session_with(world, random)
        if session is None:
            return
        why, bent = bend(session)
        if random.random() < 0.5:
            session.open(**bent)
            session.say(session.reading(why))
        else:
            session.open(**bent, request=session.reading(why))


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


Bent = tuple[str, dict[str, Any]]


def _with(why: str, **bent: Any) -> Callable[[Session], Bent]:
    return lambda _session: (why, bent)


def _inbox_of_a_victim(session: Session) -> Bent:
    inbox = session.world.fleet.topics.inbox(Role.SENSOR, "sensor-1")
    return "its answer would go to another sensor", {"reply_to": inbox}


def _delivered_to_a_victim(session: Session) -> Bent:
    fleet = session.world.fleet
    trudy = fleet.holder(Role.CONSUMER, "consumer-trudy").credential
    inbox = fleet.topics.inbox(Role.CONSUMER, "consumer-1")
    return "its result would go to a consumer that it is not for", {"recipients": (trudy,), "deliver_to": inbox}


def _recipient_of_nobody(session: Session) -> Bent:
    fleet = session.world.fleet
    stranger = fleet.holder(Role.CONSUMER, "consumer-trudy", impostor=True).credential
    return "nobody vouches for its recipient", {"recipients": (stranger,), "deliver_to": fleet.topics.results(MODEL)}


def _recipient_in_another_role(session: Session) -> Bent:
    fleet = session.world.fleet
    sensor = fleet.holder(Role.SENSOR, NAME).credential
    return "its recipient is no consumer", {"recipients": (sensor,), "deliver_to": fleet.topics.results(MODEL)}


def _times(why: str, start: int, end: int) -> Callable[[Session], Bent]:
    def bent(session: Session) -> Bent:
        now = session.terms["issued"]
        return why, {"issued": now + start, "expires": now + end}

    return bent


def _other_correlation(session: Session) -> Bent:
    session.correlation = session.random.randbytes(16)
    return "the opening's correlation data was not its id", {}


def _by_a_consumer(session: Session) -> Bent:
    session.signer = Role.CONSUMER, "consumer-trudy", False
    inbox = session.world.fleet.topics.inbox(Role.SENSOR, "consumer-trudy")
    return "a consumer opened the session", {"reply_to": inbox}


def _by_a_stranger(session: Session) -> Bent:
    session.signer = Role.SENSOR, NAME, True
    return "nobody vouches for its sensor", {}


def _under_a_borrowed_credential(session: Session) -> Bent:
    session.credential = session.world.fleet.holder(Role.SENSOR, "sensor-1").credential
    inbox = session.world.fleet.topics.inbox(Role.SENSOR, "sensor-1")
    return "its sensor's credential is another's", {"reply_to": inbox}


_BENT: Final[tuple[Callable[[Session], Bent], ...]] = (
    _inbox_of_a_victim,
    _delivered_to_a_victim,
    _recipient_of_nobody,
    _recipient_in_another_role,
    _other_correlation,
    _by_a_consumer,
    _by_a_stranger,
    _under_a_borrowed_credential,
    _times("the session was over", -900, -600),
    _times("the session was from the future", 9000, 9100),
    _times("the session lasts more than a day", 0, 100_000),
    _with("its sensor does not accept the tier", tiers=STRICT),
    _with("it relies on another attestation result", attestation_result=bytes(32)),
    _with("it is for another fleet", fleet="other"),
    _with("it is for another agent", agent="agent-9"),
    _with("it is for another model", model="other"),
    _with("it wants a later version", minimum_version=99),
)

ATTACKS: Final[Mapping[str, Doing]] = {
    "bent-terms": bent_terms,
    "bent-request": bent_request,
    "same-number": same_number,
    "stubborn": stubborn,
    "wrong-kind": wrong_kind,
}
