"""Every party, on every topic it subscribes to: bad input is refused and counted, and its work goes on (P2, P14)."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from protocol.party import Publication
from schemas.kinds import Role
from schemas.reason import Reason
from sealedge.client.events import Answered, RequestRefused, ResultReceived, TimedOut
from tests.support.world import World

PARTIES = ("verifier-verifier", "publisher-publisher", "agent-agent-1", "sensor-sensor-1", "consumer-consumer-1")


class Everybody:
    """A fleet in which everything was said once: on each topic there is something genuine to bend."""

    def __init__(self, fleet: str = "clinic", seed: int = 0) -> None:
        self.world = world = World(seed=seed, fleet=fleet).start_all()
        self.computed: list[bytes] = []
        world.compute = lambda data: (self.computed.append(data), data[::-1])[1]
        consumer = world.holder(Role.CONSUMER, "consumer-1")
        world.start_consumer()
        inbox = world.topics.inbox(Role.CONSUMER, "consumer-1")
        for name, topic in (("sensor-1", world.topics.results("scan")), ("sensor-2", inbox)):
            sensor = world.start_sensor(name, recipients=(consumer.credential,), deliver_to=topic)
            world.settle()
            world.infer(sensor, name.encode())
            world.settle()
        world.broker.advance(2)

    def party(self, name: str) -> Any:
        return self.world.parties[f"sealedge-{self.world.fleet}-{name}"]

    def board(self, name: str) -> Any:
        """Where the party counts: an agent's is its enclave's."""
        party = self.party(name)
        return party._enclave.board if name.startswith("agent") else party.board

    def topics(self, name: str) -> list[str]:
        """What the party subscribes to, with the one agent there is for each wildcard."""
        session = self.world.broker._sessions[f"sealedge-{self.world.fleet}-{name}"]
        return [each.replace("+", "agent-1") for each in session.subscriptions]

    def genuine(self, topic: str) -> Publication:
        return [each for each in self.world.said_on(topic) if each.payload][-1]

    def refused(self, name: str) -> int:
        return sum(self.board(name).refused.values())

    def say(self, name: str, said: Publication, **changes: Any) -> int:
        """Deliver it to this party alone; returns how many refusals it counted for it."""
        before = self.refused(name)
        self.world.redeliver(self.party(name), said, **changes)
        return self.refused(name) - before

    def check_shown(self, name: str) -> None:
        """The retained JSON status tells as much as the party counted, and why."""
        role, _, party = name.partition("-")
        self.world.broker.advance(2)
        shown = json.loads(self.world.said_on(self.world.topics.status(role, party))[-1].payload)
        assert shown["refused"] == {str(reason): count for reason, count in self.board(name).refused.items()}
        assert {Reason(each) for each in shown["refused"]}
        assert Reason(shown["last_refusal"]["reason"])
        assert shown["state"] == "online"

    def check_works(self) -> None:
        """A reading goes through all five parties, after everything was said anew that has to be."""
        world = self.world
        world.broker.advance(160)
        before = (len(world.events(Answered)), len(world.events(ResultReceived)))
        request = world.infer(self.party("sensor-sensor-1"), b"still there")
        world.settle()
        world.broker.advance(12)
        assert (len(world.events(Answered)), len(world.events(ResultReceived))) == (before[0] + 1, before[1] + 1)
        assert world.events(Answered)[-1].request == request
        assert world.events(Answered)[-1].output == b"ereht llits"
        assert not world.events(TimedOut)
        assert not world.events(RequestRefused)
        assert self.party("sensor-sensor-1").pending == ()


@pytest.fixture
def fleet() -> Everybody:
    return Everybody()


def cose(unprotected: bytes, payload: bytes) -> bytes:
    """A COSE_Sign1 by hand, with an empty protected header."""
    return b"\xd2\x84\x40" + unprotected + b"\x59" + len(payload).to_bytes(2, "big") + payload + b"\x40"


def flipped(genuine: bytes) -> Iterator[bytes]:
    for place in range(0, len(genuine), max(1, len(genuine) // 40)):
        yield genuine[:place] + bytes([genuine[place] ^ 0x01]) + genuine[place + 1 :]


BAD: dict[str, Callable[[bytes], Iterable[bytes]]] = {
    "garbage": lambda _: [Random(size).randbytes(size) for size in (1, 2, 16, 300, 5000)],
    "text": lambda _: [b"hello", b"{}", b"[]", b'{"proof": 1}', b"null", b'{"proof": "AAAA"}', b"\xff\xfe"],
    "truncated": lambda genuine: [genuine[:-1], genuine[: len(genuine) // 2], genuine[:1], genuine[1:]],
    "followed": lambda genuine: [genuine + b"\0", genuine + genuine],
    "oversized": lambda genuine: [bytes(2**20 + 1), genuine + bytes(2**20), b"\x5a\xff\xff\xff\xff"],
    "nested": lambda _: [b"\x81" * 100_000, b"\xa1\x01" * 100_000, b"\xd2" * 100_000, b"[" * 100_000, b"\x9f" * 1000],
    "nested inside": lambda _: [cose(b"\xa0", b"\x81" * 10_000), cose(b"\xa1\x01" + b"\x81" * 5000 + b"\0", b"")],
    "duplicate keys": lambda _: [b"\xa2\x01\x01\x01\x02", cose(b"\xa2\x01\x01\x01\x02", b""), b'{"proof":1,"proof":2}'],
    "flipped": flipped,
}


@pytest.mark.parametrize("name", PARTIES)
def test_bytes_that_are_not_what_they_should_be(fleet: Everybody, name: str) -> None:
    for topic in fleet.topics(name):
        genuine = fleet.genuine(topic)
        for kind, bend in BAD.items():
            for payload in bend(genuine.payload):
                refused = fleet.say(name, replace(genuine, payload=payload, retain=False))
                # Most of a status is unsigned, for eyes: a party looks at the proof in it and at nothing else.
                unread = kind == "flipped" and topic.endswith("/status")
                assert refused == 1 or unread, f"{kind} on {topic}: {payload[:20]!r}"
    fleet.check_shown(name)
    fleet.check_works()


@pytest.mark.parametrize("name", PARTIES)
def test_what_was_said_elsewhere(fleet: Everybody, name: str) -> None:
    """Every genuine message of the fleet, on every topic that it was not said on."""
    spoken = {each.topic: each for each in fleet.world.published if each.payload}
    for topic in fleet.topics(name):
        for other, said in spoken.items():
            if other == topic:
                continue
            # A status under a key that no passport names says nothing: an enclave is born before it is attested.
            silent = topic.endswith("/status") and other.endswith("/status")
            assert fleet.say(name, said, topic=topic) == (0 if silent else 1), f"{other} on {topic}"
    fleet.check_shown(name)
    fleet.check_works()


@pytest.mark.parametrize("name", PARTIES)
def test_what_another_fleet_says(fleet: Everybody, name: str) -> None:
    """The same names and kinds of messages, all in order, signed under another authority."""
    foreign = Everybody("rivals", seed=5)
    topics = [each for each in fleet.topics(name) if not each.endswith("/status")]
    for topic in topics:
        theirs = foreign.genuine(topic.replace("/clinic/", "/rivals/"))
        for response_topic in (theirs.response_topic, fleet.genuine(topic).response_topic):
            assert fleet.say(name, theirs, topic=topic, response_topic=response_topic) == 1, topic
    fleet.check_shown(name)
    fleet.check_works()


@pytest.mark.parametrize("name", PARTIES)
def test_what_is_sent_again(fleet: Everybody, name: str) -> None:
    """Repetitions do no work twice: what is answered to them was answered before, byte for byte."""
    world = fleet.world
    before = {each.payload for each in world.published}
    computed, received, answered = list(fleet.computed), world.events(ResultReceived), world.events(Answered)
    for topic in fleet.topics(name):
        for said in [each for each in world.said_on(topic) if each.payload]:
            for _ in range(3):
                fleet.say(name, said, retained=said.retain)
    again = [each for each in world.published if each.payload not in before]
    asked = {getattr(world.topics, what)("agent-1") for what in ("attest", "challenge", "evidence", "result")}
    spoken = {each.topic for each in again if not each.topic.endswith(("/status", "/inbox"))}
    assert spoken <= asked, "a repeated request or challenge begins an attestation anew, and nothing else"
    assert fleet.computed == computed
    assert world.events(ResultReceived) == received
    assert world.events(Answered) == answered
    fleet.check_works()


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTIES)
def test_what_is_too_old(fleet: Everybody, name: str) -> None:
    """Whatever has an end is refused after it, or known to be done; nothing comes of it."""
    world = fleet.world
    old = [each for each in world.published if each.payload]
    computed = list(fleet.computed)
    world.broker.advance(3700)
    topics = fleet.topics(name)
    for said in [each for each in old if each.topic in topics]:
        refused = fleet.say(name, said)
        ends = said.topic.endswith(("/attest", "/challenge", "/evidence", "/key", "/session", "/request", "/result"))
        assert refused == 1 or not ends, f"{said.topic} after an hour"
    assert fleet.computed == computed
    fleet.check_works()


@pytest.mark.parametrize("name", PARTIES)
def test_a_flood_loses_nothing_that_waits(fleet: Everybody, name: str) -> None:
    """A reading is accepted, then the party is flooded, then everything comes to its end."""
    world = fleet.world
    before = len(world.events(Answered))
    world.infer(fleet.party("sensor-sensor-1"), b"waits")
    topics = fleet.topics(name)
    for number in range(200):
        topic = topics[number % len(topics)]
        fleet.say(name, Publication(topic, Random(number).randbytes(100), response_topic=f"x/{number}"))
    world.broker.advance(10)
    assert fleet.refused(name) == 200
    assert world.events(Answered)[before].output == b"stiaw"
    statuses = world.said_on(world.topics.status(*name.split("-", 1)))
    assert len(statuses) < 30, "counted, not echoed"
    fleet.check_works()
