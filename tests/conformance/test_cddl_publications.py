"""Everything that the parties publish, and everything they seal, hash or derive from, is of schemas/messages.cddl."""

import hashlib
import json
from pathlib import Path

import cbor2
import pytest

from protocol.algorithms import HPKE_3_KE
from protocol.cose import parse_sign1_untrusted
from protocol.keys import KemPrivateKey, SigningKey
from protocol.results import ResultSealer
from schemas.kinds import Kind, Role
from schemas.topics import FleetTopics
from tests.support.grammar import GrammarError, check, check_publication, faults, record_plaintexts, topics
from tests.support.raw_sensor import RawSensor
from tests.support.world import MODEL, World

VECTORS = Path(__file__).parents[1] / "interop" / "vectors.json"


def talkative_world() -> World:
    """A fleet in which every kind of message is said at least once."""
    world = World().start_all()
    consumer = world.holder(Role.CONSUMER, "consumer-1")
    world.start_consumer()
    inbox = world.topics.inbox(Role.CONSUMER, "consumer-1")
    for name, settings in (
        ("sensor-1", {"recipients": (consumer.credential,), "deliver_to": inbox}),
        ("sensor-2", {"recipients": (consumer.credential,), "deliver_to": world.topics.results(MODEL)}),
        ("sensor-3", {"one_shot": True, "pad_to": 256}),
    ):
        sensor = world.start_sensor(name, **settings)
        world.settle()
        for reading in (b"abcdefgh", b"trap"):
            world.infer(sensor, reading)
        world.settle()
    stranger = RawSensor(world, "sensor-4")
    world.published += stranger.say(stranger.request(stranger.reading()))
    world.start_agent("agent-2", chip=SigningKey.generate(world.randomness))
    world.broker.advance(200)
    world.revoke("chip", world.chips["agent-1"].public.thumbprint)
    world.broker.advance(10)
    world.broker.leave(sensor)
    return world


@pytest.mark.slow
def test_everything_that_is_said_is_of_the_grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    plaintexts = record_plaintexts(monkeypatch)
    world = talkative_world()
    said = {(each.topic, check_publication(each.topic, each.payload)) for each in set(world.published)}
    for topic, rule in said:
        row = next(row for row in topics() if row[0].fullmatch(topic))
        assert rule != "cleared" or row[1]
    assert {rule for _, rule in said} == {rule for _, _, rule in topics()} | {"cleared"}
    for rule, encoded in plaintexts:
        check(rule, encoded)
    hashed = {"message-aad", "recipient-structure", "report-data-input", "session-key-info", "commitment-input"}
    sealed = {"inference-request", "inference-result", "session-open", "session-accept", "key-grant", "chunk-index"}
    signed = {"receipt", "receipt-document", "receipt-bundle", "status"}
    assert hashed | sealed | signed <= {rule for rule, _ in plaintexts}


def test_what_is_retained_is_what_the_table_says() -> None:
    world = talkative_world()
    retained = {each.retain for each in world.published}
    assert retained == {True, False}
    for each in world.published:
        [expected] = {kept for pattern, kept, _ in topics() if pattern.fullmatch(each.topic)}
        assert each.retain is expected, each.topic


def test_a_message_on_another_topic_is_not_of_the_grammar() -> None:
    world = World().start_all()
    result = world.said_on(world.topics.result("agent-1"))[-1]
    assert check_publication(result.topic, result.payload) == "attestation-result-document"
    for topic in (world.topics.manifest(MODEL), world.topics.attest("agent-1"), world.topics.revocations):
        with pytest.raises(GrammarError):
            check_publication(topic, result.payload)


def test_every_topic_of_the_code_stands_in_the_table() -> None:
    fleet = FleetTopics("clinic")
    named = [
        *(
            getattr(fleet, each)("agent-1")
            for each in ("attest", "challenge", "evidence", "result", "session", "request")
        ),
        *(fleet.inbox(role, "someone") for role in (Role.AGENT, Role.SENSOR, Role.CONSUMER)),
        *(fleet.status(role, "someone") for role in Role),
        *(getattr(fleet, each)(MODEL) for each in ("manifest", "key", "results")),
        fleet.chunk(MODEL, bytes(32)),
        fleet.revocations,
    ]
    matched = {pattern for topic in named for pattern, _, _ in topics() if pattern.fullmatch(topic)}
    assert matched == {pattern for pattern, _, _ in topics()}
    assert all(any(pattern.fullmatch(topic) for pattern, _, _ in topics()) for topic in named)


def test_documents_inside_documents_are_of_the_grammar() -> None:
    world = World().start_all()
    [manifest] = world.said_on(world.topics.manifest(MODEL))
    document = cbor2.loads(parse_sign1_untrusted(manifest.payload).payload)
    check("sealed-index", document[8])
    [evidence, *_] = world.said_on(world.topics.evidence("agent-1"))
    media_type, simulated = cbor2.loads(parse_sign1_untrusted(evidence.payload).payload)[2]
    assert media_type == str(Kind.SIMULATED_EVIDENCE)
    check("simulated-evidence-document", simulated)
    chunks = {each.topic.rsplit("/", 1)[1]: each.payload for each in world.published if "/chunk/" in each.topic}
    assert {hashlib.sha256(payload).hexdigest() for payload in chunks.values()} == set(chunks)


def test_a_result_has_eight_recipients_at_most() -> None:
    world = World()
    for count, fits in ((1, True), (8, True), (9, False)):
        keys = [KemPrivateKey.generate(world.randomness, algorithm=HPKE_3_KE).public for _ in range(count)]
        sealer = ResultSealer(world.fleet, world.randomness(16), keys, world.randomness(32))
        sealed = sealer.seal(b"result", world.topics.results(MODEL), world.randomness(16))
        assert (not faults("result-message", sealed)) is fits


def test_the_test_vectors_are_of_the_grammar() -> None:
    vectors = json.loads(VECTORS.read_text("utf-8"))
    for message in vectors["messages"].values():
        check_publication(message["topic"], bytes.fromhex(message["payload"]))
    for rule in ("session-open", "session-accept", "refusal"):
        check(rule, bytes.fromhex(vectors["messages"][rule]["plaintext"]))
    check("receipt-bundle", bytes.fromhex(vectors["receipt_bundle"]))
    check("enclave-claims", bytes.fromhex(vectors["report_data"]["claims"]))
    for credential in vectors["credentials"].values():
        check("credential-document", bytes.fromhex(credential))
