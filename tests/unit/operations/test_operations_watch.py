"""An operator sees who says what and how much of it, whatever the bytes, and nothing of what is said."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.party import Delivery, Subscription
from sealedge.operations.watch import Seen, Watcher, fields_of, line_of
from tests.support.world import World

READING = b"reading!"
KINDS = {
    "status",
    "attestation-request",
    "challenge",
    "evidence",
    "attestation-result",
    "manifest",
    "chunk",
    "key-request",
    "key-release",
    "session-open",
    "session-accept",
    "request",
    "reply",
    "result",
}


def escaped(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")


@pytest.fixture(scope="module")
def world() -> World:
    """A fleet that did everything once."""
    world = World().start_all()
    consumer = world.start_consumer()
    recipient = world.holder(consumer.role, "consumer-1").credential
    sensor = world.start_sensor(recipients=(recipient,), deliver_to=world.topics.results("scan"))
    world.infer(sensor, READING)
    world.settle()
    return world


def seen(world: World) -> list[Seen]:
    watcher = Watcher(world.fleet, "watch", world.authority.key.public)
    deliveries = [Delivery(each.topic, each.payload, correlation=each.correlation) for each in world.published]
    return [watcher.described_untrusted(each) for each in deliveries]


def test_every_kind_of_message_is_recognised(world: World) -> None:
    assert {each.kind for each in seen(world)} >= KINDS
    assert "unreadable" not in {each.kind for each in seen(world)}


def test_senders_are_named_once_their_credential_was_seen(world: World) -> None:
    found = seen(world)
    (opening,) = [each for each in found if each.kind == "session-open"]
    assert opening.sender.endswith(" sensor/sensor-1")
    results = [each for each in found if each.kind == "attestation-result"]
    assert {each.sender.partition(" ")[2] for each in results} == {"verifier/verifier"}
    (result,) = [each for each in found if each.kind == "result"]
    assert result.recipients == 1


def test_a_name_that_nobody_vouches_for_is_a_question(world: World) -> None:
    other = World(1).start_all()
    watcher = Watcher(world.fleet, "watch", world.authority.key.public)
    ours = world.said_on(world.topics.manifest("scan"))[0].payload
    theirs = other.said_on(other.topics.manifest("scan"))[0].payload
    enclaves = world.said_on(world.topics.attest("agent-1"))[0].payload
    described = [
        watcher.described_untrusted(Delivery("sealedge/v1/clinic/x", each)) for each in (ours, theirs, enclaves)
    ]
    names = [each.sender.partition(" ")[2] for each in described]
    assert names == ["publisher/publisher", "publisher/publisher?", "agent/agent-1?"]


def test_requests_are_counted_by_their_partial_iv(world: World) -> None:
    (request,) = [each for each in seen(world) if each.kind == "request"]
    assert request.sequence == 0
    assert request.sender.startswith("session ")
    assert fields_of(request)["sequence"] == 0


def test_no_line_shows_content(world: World) -> None:
    lines = [line_of(each, "12:00:00", escaped) for each in seen(world)]
    said = "\n".join(lines) + json.dumps([fields_of(each) for each in seen(world)])
    for secret in (READING, READING[::-1], READING.hex().encode()):
        assert secret.decode("latin-1") not in said
    assert all(len(line.splitlines()) == 1 for line in lines)


def test_a_cleared_topic_is_said_to_be_so(world: World) -> None:
    found = Watcher(world.fleet, "watch").described_untrusted(Delivery(world.topics.result("agent-1"), b""))
    assert (found.kind, found.topic) == ("cleared", "agent/agent-1/result")


def test_a_watcher_hears_everything_of_its_fleet_and_says_nothing(world: World) -> None:
    watcher = Watcher(world.fleet, "watch")
    assert watcher.connected(0.0) == [Subscription("sealedge/v1/clinic/#")]
    assert watcher.will(0.0) is None
    assert [*watcher.expire(0.0), *watcher.leaving(0.0)] == []


@pytest.mark.parametrize("state", ["\x1b[2J", "online\nforged line", "x" * 100])
def test_what_a_stranger_says_reaches_no_terminal_as_it_is(state: str) -> None:
    payload = json.dumps({"state": state, "sequence": 1}).encode()
    found = Watcher("clinic", "watch").described_untrusted(Delivery("sealedge/v1/clinic/\x1b]0;x\x07", payload))
    line = line_of(found, "12:00:00", escaped)
    assert line.isprintable()
    assert len(line) < 120


@given(st.binary(max_size=300), st.sampled_from([b"", b"{", b"\xd2\x84", b"\xd0\x83", b"\xd8\x60\x84"]))
def test_whatever_the_bytes_they_are_described(data: bytes, start: bytes) -> None:
    found = Watcher("clinic", "watch").described_untrusted(Delivery("sealedge/v1/clinic/x", start + data))
    assert found.size == len(start + data)
    json.dumps(asdict(found))


@given(st.data())
def test_a_changed_message_is_described(world: World, data: st.DataObject) -> None:
    chosen = data.draw(st.sampled_from(world.published))
    payload = bytearray(chosen.payload)
    if payload:
        payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
    Watcher(world.fleet, "watch").described_untrusted(Delivery(chosen.topic, bytes(payload)))
