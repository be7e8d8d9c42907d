"""Peers with good keys and bad intentions: what stands inside their seals is bent, and nobody falls over (P14).

Every message here is authentic. A party may refuse it or, where it is harmless, take it; it never raises, never
publishes to what is no topic, and still tells its status.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker.topic_filter import is_valid_topic
from protocol.cbor import MAX_MESSAGE, decode_untrusted, encode
from protocol.channel import Channel
from protocol.cose import NO_BASE_IV, AeadKey, encrypt, parse_sign1_untrusted, sign1, wrap_key
from protocol.envelope import Address
from protocol.keys import KemPublicKey, SigningKey
from protocol.messages import encode_message, message_aad
from protocol.party import Delivery, Publication
from schemas.kinds import Kind, Role
from schemas.session import InferenceResult, SessionAccept
from schemas.status import Refusal, Status
from tests.support.examples import examples
from tests.support.raw_sensor import RawSensor
from tests.support.world import MODEL, World

EDGES = (0, 1, -1, 2, 32, 96, 2**31, 2**40, 2**40 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 1_800_000_000)
SEQUENCES = count(1000)
"""A key seals under rising numbers only."""

SIZES = (0, 1, 15, 16, 17, 31, 32, 33, 64, 300, 70_000)

plain = (
    st.none()
    | st.booleans()
    | st.sampled_from(EDGES)
    | st.sampled_from(SIZES).map(bytes)
    | st.text(max_size=40)
    | st.sampled_from(["a/b/+", "#", "$SYS/x", "A", "a" * 40, "clinic", "scan", "agent-1", "\0", "simulated"])
)
bent = plain | st.lists(plain, max_size=4) | st.dictionaries(st.integers(-70030, 1010), plain, max_size=4)


class Peers:
    """A fleet after some work, with all of its keys in one hand."""

    def __init__(self) -> None:
        self.world = world = World().start_all()
        consumer = world.holder(Role.CONSUMER, "consumer-1")
        world.start_consumer()
        self.sensor = world.start_sensor(
            recipients=(consumer.credential,), deliver_to=world.topics.results(MODEL), request_seconds=600
        )
        world.settle()
        self.kept: dict[str, Publication] = {}
        world.infer(self.sensor, b"first")
        world.settle()
        # A second reading waits for its answer, a second version for its key.
        held = {world.topics.request("agent-1"), world.topics.key(MODEL), world.topics.evidence("agent-1")}
        world.broker.intercept = lambda said: [] if said.topic in held else [said]
        world.infer(self.sensor, b"second")
        world.package(b"\0asm" + b"second" * 30_000)
        world.start_publisher()
        self.raw = RawSensor(world, "raw")
        self.raw.open()
        world.settle()
        world.broker.advance(3)

    def party(self, name: str) -> Any:
        return self.world.parties[f"sealedge-clinic-{name}"]

    @property
    def enclave(self) -> Any:
        return self.party("agent-agent-1")._enclave

    def last(self, topic: str) -> Publication:
        return self.world.said_on(topic)[-1]

    def signed(self, kind: Kind, payload: bytes, role: Role, name: str, address: Address | None) -> bytes:
        holder = self.world.holder(role, name)
        return _sign(kind, payload, holder.signing, address, holder.credential)


def _sign(kind: Kind, payload: bytes, key: SigningKey, address: Address | None, credential: bytes | None) -> bytes:
    aad = b"" if address is None else address.aad(kind, key.public.thumbprint)
    return sign1(key, payload, typ=str(kind), external_aad=aad, credential=credential)


def _seal(kind: Kind, payload: bytes, key: SigningKey, kem: KemPublicKey, address: Address, credential: bytes) -> bytes:
    """`protocol.envelope.seal_message` for any plaintext."""
    aad, secret = address.aad(kind, key.public.thumbprint), bytes(range(32))
    sealed = encrypt(
        AeadKey(secret, NO_BASE_IV),
        payload,
        typ=str(kind),
        recipients=[wrap_key(secret, kem, extra_info=aad)],
        iv=bytes(12),
        external_aad=aad,
    )
    return _sign(kind, sealed, key, address, credential)


@dataclass
class Said:
    """Something that a peer may say to a party: the honest plaintext, and how it is sealed and addressed."""

    to: str
    topic: str
    plaintext: bytes
    seal: Callable[[bytes], bytes]
    correlation: bytes | None = None
    response_topic: str | None = None

    def delivery(self, plaintext: bytes) -> Delivery:
        return Delivery(self.topic, self.seal(plaintext), self.response_topic, self.correlation)


def document(peers: Peers, to: str, topic: str, kind: Kind, role: Role, name: str) -> Said:
    honest = parse_sign1_untrusted(peers.last(topic).payload).payload
    return Said(to, topic, honest, lambda bent: peers.signed(kind, bent, role, name, None))


def opening(peers: Peers, kind: Kind) -> Said:
    raw, world = RawSensor(peers.world, "raw"), peers.world
    terms = raw.terms(**({"request": raw.reading()} if kind is Kind.ONE_SHOT else {}))
    named = terms.session if terms.request is None else terms.request.request
    topic = world.topics.session("agent-1")
    address, holder = Address(topic, "agent-1", named), raw.holder

    def seal(plaintext: bytes) -> bytes:
        return _seal(kind, plaintext, holder.signing, raw.passport.kem_key, address, holder.credential)

    return Said("agent-agent-1", topic, encode_message(terms), seal, named, raw.inbox)


def request(peers: Peers) -> Said:
    raw, topic = peers.raw, peers.world.topics.request("agent-1")
    reading = raw.reading()

    def seal(plaintext: bytes) -> bytes:
        return raw.channel.seal(Kind.REQUEST, plaintext, topic, "agent-1", reading.request)

    return Said("agent-agent-1", topic, encode_message(reading), seal, reading.request, raw.inbox)


def challenge(peers: Peers) -> Said:
    topic = peers.world.topics.challenge("agent-1")
    said = peers.last(topic)
    address = Address(topic, "agent-1", said.correlation or b"")

    def seal(plaintext: bytes) -> bytes:
        return peers.signed(Kind.CHALLENGE, plaintext, Role.VERIFIER, "verifier", address)

    return Said("agent-agent-1", topic, parse_sign1_untrusted(said.payload).payload, seal, said.correlation)


def key_release(peers: Peers) -> Said:
    from schemas.model import KeyGrant  # noqa: PLC0415

    world, wanted = peers.world, peers.enclave._models._wanted[MODEL]
    topic, now = world.topics.inbox(Role.AGENT, "agent-1"), int(world.broker.now)
    address, holder = Address(topic, "agent-1", wanted.request), world.holder(Role.PUBLISHER, "publisher")
    shelved = peers.party("publisher-publisher")._shelf.newest(MODEL)
    grant = KeyGrant(
        fleet="clinic", agent="agent-1", model=MODEL, version=wanted.manifest.version, manifest=wanted.digest,
        request=wanted.request, content_key=shelved.content_key, issued=now, expires=now + 100,
    )  # fmt: skip

    def seal(plaintext: bytes) -> bytes:
        kem = peers.raw.passport.kem_key
        return _seal(Kind.KEY_RELEASE, plaintext, holder.signing, kem, address, holder.credential)

    return Said("agent-agent-1", topic, encode_message(grant), seal, wanted.request)


def refusal_to_agent(peers: Peers) -> Said:
    world, wanted = peers.world, peers.enclave._models._wanted[MODEL]
    topic = world.topics.inbox(Role.AGENT, "agent-1")
    address, honest = Address(topic, "agent-1", wanted.request), Refusal(reason="busy", time=int(world.broker.now))

    def seal(plaintext: bytes) -> bytes:
        return peers.signed(Kind.REFUSAL, plaintext, Role.PUBLISHER, "publisher", address)

    return Said("agent-agent-1", topic, encode_message(honest), seal, wanted.request)


def key_request(peers: Peers) -> Said:
    topic = peers.world.topics.key(MODEL)
    said = peers.last(topic)
    address = Address(topic, "publisher", said.correlation or b"")

    def seal(plaintext: bytes) -> bytes:
        return _sign(Kind.KEY_REQUEST, plaintext, peers.enclave.key, address, None)

    honest = parse_sign1_untrusted(said.payload).payload
    return Said("publisher-publisher", topic, honest, seal, said.correlation, said.response_topic)


def attestation_request(peers: Peers) -> Said:
    topic = peers.world.topics.attest("agent-1")
    parsed = parse_sign1_untrusted(peers.last(topic).payload)

    def seal(plaintext: bytes) -> bytes:
        return _sign(Kind.ATTESTATION_REQUEST, plaintext, peers.enclave.key, Address(topic, ""), parsed.credential)

    return Said("verifier-verifier", topic, parsed.payload, seal)


def in_session(peers: Peers, kind: Kind) -> Said:
    """What an enclave that was taken over tells the sensor whose session it holds."""
    session, [waiting] = peers.sensor._sessions.all[-1], peers.sensor.pending
    topic, now = peers.world.topics.inbox(Role.SENSOR, "sensor-1"), int(peers.world.broker.now)
    honest = {
        Kind.SESSION_ACCEPT: SessionAccept(
            session=session.identifier, model=MODEL, version=1, manifest=bytes(32), attestation_result=bytes(32),
            expires=now + 600, window=64,
        ),
        Kind.REPLY: InferenceResult(
            request=waiting, output=b"out", salt=bytes(32), receipt=b"x", sender="sensor-1",
            attestation_result=peers.raw.passport.document,
        ),
        Kind.REFUSAL: Refusal(reason="busy", time=now),
    }[kind]  # fmt: skip
    correlation = session.identifier if kind is Kind.SESSION_ACCEPT else waiting
    inside = Channel(
        session.channel.session, session.channel.outward, session.channel.inward, next_sequence=next(SEQUENCES)
    )

    def seal(plaintext: bytes) -> bytes:
        return inside.seal(kind, plaintext, topic, "sensor-1", correlation)

    return Said("sensor-sensor-1", topic, encode_message(honest), seal, correlation)


def result(peers: Peers) -> Said:
    world, correlation = peers.world, bytes(16)
    kem, topic = world.holder(Role.CONSUMER, "consumer-1").kem.public, world.topics.results(MODEL)
    honest = InferenceResult(
        request=correlation, output=b"out", salt=bytes(32), receipt=b"x", sender="sensor-1",
        attestation_result=peers.raw.passport.document,
    )  # fmt: skip

    def seal(plaintext: bytes) -> bytes:
        secret, session = bytes(32), bytes(16)
        info = encode(["sealedge/1", "result", "clinic", session])
        return encrypt(
            AeadKey(secret, NO_BASE_IV), plaintext, typ=str(Kind.RESULT), kid=session, iv=bytes(12),
            recipients=[wrap_key(secret, kem, extra_info=info)],
            external_aad=message_aad(Kind.RESULT, topic, session, "", correlation),
        )  # fmt: skip

    return Said("consumer-consumer-1", topic, encode_message(honest), seal, correlation)


def status(peers: Peers) -> Said:
    import base64  # noqa: PLC0415

    world, key = peers.world, peers.enclave.key
    honest = Status(
        fleet="clinic", role=Role.AGENT, party="agent-1", state="lost", sequence=1, time=int(world.broker.now),
        key=key.public.thumbprint,
    )  # fmt: skip

    def seal(plaintext: bytes) -> bytes:
        signed = sign1(key, plaintext, typ=str(Kind.STATUS))
        return json.dumps({"proof": base64.urlsafe_b64encode(signed).decode()}).encode()

    return Said("sensor-sensor-1", world.topics.status(Role.AGENT, "agent-1"), encode_message(honest), seal)


def revocations(peers: Peers, to: str) -> Said:
    world = peers.world
    honest = parse_sign1_untrusted(world.revocations).payload

    def seal(plaintext: bytes) -> bytes:
        return sign1(world.authority.key, plaintext, typ=str(Kind.REVOCATIONS))

    return Said(to, world.topics.revocations, honest, seal)


def passport(peers: Peers, to: str) -> Said:
    topic = peers.world.topics.result("agent-1")
    return document(peers, to, topic, Kind.ATTESTATION_RESULT, Role.VERIFIER, "verifier")


def manifest(peers: Peers, to: str) -> Said:
    return document(peers, to, peers.world.topics.manifest(MODEL), Kind.MANIFEST, Role.PUBLISHER, "publisher")


AGENT, SENSOR, CONSUMER = "agent-agent-1", "sensor-sensor-1", "consumer-consumer-1"
SAYINGS: dict[str, Callable[[Peers], Said]] = {
    "a sensor opens a session": lambda peers: opening(peers, Kind.SESSION_OPEN),
    "a sensor sends a one-shot": lambda peers: opening(peers, Kind.ONE_SHOT),
    "a sensor asks in a session": request,
    "a verifier challenges": challenge,
    "a verifier affirms, to the agent": lambda peers: passport(peers, AGENT),
    "a verifier affirms, to the sensor": lambda peers: passport(peers, SENSOR),
    "a publisher releases a key": key_release,
    "a publisher refuses a key": refusal_to_agent,
    "a publisher's manifest, to the agent": lambda peers: manifest(peers, AGENT),
    "a publisher's manifest, to the sensor": lambda peers: manifest(peers, SENSOR),
    "a publisher's manifest, to the consumer": lambda peers: manifest(peers, CONSUMER),
    "an enclave asks for a key": key_request,
    "an enclave asks for attestation": attestation_request,
    "an enclave accepts": lambda peers: in_session(peers, Kind.SESSION_ACCEPT),
    "an enclave replies": lambda peers: in_session(peers, Kind.REPLY),
    "an enclave refuses": lambda peers: in_session(peers, Kind.REFUSAL),
    "an enclave delivers": result,
    "an enclave dies": status,
    "the authority revokes, at the agent": lambda peers: revocations(peers, AGENT),
    "the authority revokes, at the verifier": lambda peers: revocations(peers, "verifier-verifier"),
}

_fleet: list[Peers] = []


def current() -> Peers:
    if not _fleet:
        _fleet.append(Peers())
    return _fleet[0]


def bend(data: st.DataObject, honest: Any) -> Any:
    """Another value in the place of one field, somewhere inside; or a field less, or one more."""
    if isinstance(honest, dict) and honest and data.draw(st.integers(0, 9)) > 0:
        key = data.draw(st.sampled_from(list(honest)))
        if data.draw(st.integers(0, 9)) == 0:
            return {name: value for name, value in honest.items() if name != key}
        return {**honest, key: bend(data, honest[key])}
    if isinstance(honest, list) and honest and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(honest) - 1))
        return [*honest[:place], bend(data, honest[place]), *honest[place + 1 :]]
    return data.draw(bent)


def check_alive(party: Any, events: Any, now: float) -> None:
    for event in events:
        if isinstance(event, Publication):
            assert is_valid_topic(event.topic), event.topic
            assert len(event.payload) <= MAX_MESSAGE
            if event.content_type == "application/json":
                json.loads(event.payload)
    deadline = party.deadline
    assert deadline is None or deadline < 2**41
    assert now >= 0


@pytest.mark.parametrize("what", SAYINGS)
def test_the_honest_message_is_authentic(what: str) -> None:
    """Or else nothing of what follows would come further than the seal."""
    said = SAYINGS[what](current())
    party = current().party(said.to)
    board = current().enclave.board if said.to == AGENT else party.board
    before = dict(board.refused)
    party.receive(said.delivery(said.plaintext), current().world.broker.now)
    _fleet.clear()
    seal_broken = {"signature-invalid", "decryption-failed", "unknown-signer", "role-not-allowed", "unsupported"}
    assert {str(each) for each, times in board.refused.items() if times > before.get(each, 0)} & seal_broken == set()


@settings(max_examples=examples(40), deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.parametrize("what", SAYINGS)
@given(data=st.data())
def test_whatever_an_authentic_peer_says(what: str, data: st.DataObject) -> None:
    peers = current()
    said, now = SAYINGS[what](peers), peers.world.broker.now
    plaintext = encode(bend(data, decode_untrusted(said.plaintext)))
    party = peers.party(said.to)
    delivery = said.delivery(plaintext)
    taken = [event for event in party.receive(delivery, now) if getattr(event, "what", "") == "refused"] == []
    if taken:
        _fleet.clear()
    for step in (lambda: party.receive(delivery, now), lambda: party.expire(now + 2), lambda: party.leaving(now + 2)):
        check_alive(party, step(), now)
