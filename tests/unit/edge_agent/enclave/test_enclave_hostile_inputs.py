"""What a hostile module, host or broker makes an enclave say: nothing of a reading, and never an exception."""

import json

import pytest

from edge_agent.enclave.configuration import EnclaveLimits
from edge_agent.enclave.enclave import Enclave
from edge_agent.enclave.needs import EvidenceNeeded
from protocol.cbor import MAX_MESSAGE, encode
from protocol.cose import parse_sign1_untrusted
from protocol.errors import EnclaveError, Finding
from protocol.party import Delivery, Publication
from schemas.kinds import Role
from schemas.reason import Reason
from tests.support.raw_sensor import RawSensor
from tests.support.world import START, World


def enclave_of(world: World) -> Enclave:
    found = world.parties["sealedge-clinic-agent-agent-1"]._enclave
    assert isinstance(found, Enclave)
    return found


def test_a_module_cannot_tell_the_public_what_it_reads() -> None:
    """It chooses what it returns, and so the finding: 31 bits of the reading a request, for everyone to see."""

    def leak(data: bytes) -> bytes:
        found = str(int.from_bytes(data[:4], "big"))
        raise EnclaveError(f"says {found}", reason=Reason.OUTPUT_TOO_LARGE, finding=Finding("output bytes", "9", found))

    world = World(compute=leak).start_all()
    sensor = RawSensor(world)
    sensor.open()
    reading = b"\x31\x41\x59\x26"
    assert sensor.refusal(sensor.request(sensor.reading(reading))) == "output-too-large"
    world.broker.advance(2)
    secret = str(int.from_bytes(reading, "big"))
    status = json.loads(world.said_on(world.topics.status("agent", "agent-1"))[-1].payload)
    assert status["last_refusal"]["reason"] == "output-too-large"
    assert secret not in json.dumps(status)
    assert not [each for each in world.noted("refused") if secret in str(each)]


@pytest.mark.parametrize("size", [MAX_MESSAGE - 100, MAX_MESSAGE, MAX_MESSAGE + 1, 2**24 + 1])
def test_a_result_that_no_message_holds_is_refused_and_not_lost(size: int) -> None:
    world = World(compute=lambda _data: bytes(size), limits=EnclaveLimits()).start_all()
    sensor = RawSensor(world)
    sensor.open()
    assert sensor.refusal(sensor.request(sensor.reading())) == "output-too-large"
    world.compute = lambda _data: bytes(2**16)
    assert sensor.result(sensor.request(sensor.reading())).output == bytes(2**16)


@pytest.mark.parametrize(("media_type", "evidence"), [("x", b""), ("x", bytes(131_073)), ("x" * 257, b"x")])
def test_evidence_that_no_message_carries_is_refused(media_type: str, evidence: bytes) -> None:
    world = World()
    enclave = world.enclave()
    verifier = world.start_verifier()
    asked = [each for each in enclave.connected(START) if isinstance(each, Publication)][-1]
    challenge = [each for each in verifier.receive(_delivered(asked), START) if isinstance(each, Publication)][-1]
    [needed] = [each for each in enclave.receive(_delivered(challenge), START) if isinstance(each, EvidenceNeeded)]
    events = enclave.evidence_collected(needed.token, media_type, evidence, START)
    assert not [each for each in events if isinstance(each, Publication)]
    assert enclave.board.refused == {"malformed": 1}
    assert [
        each for each in enclave.evidence_collected(needed.token, "x", b"x", START) if isinstance(each, Publication)
    ]
    assert enclave.evidence_collected(b"another token", "x", b"x", START) == []


def _delivered(said: Publication) -> Delivery:
    return Delivery(said.topic, said.payload, said.response_topic, said.correlation)


@pytest.mark.parametrize("sensor", ["+", "#", "", "A", "a" * 33, "a\0", "a\n"])
def test_no_refusal_goes_to_what_is_no_name(sensor: str) -> None:
    world = World().start_all()
    topic = f"sealedge/v1/clinic/sensor/{sensor}/inbox"
    garbage = Delivery(world.topics.session("agent-1"), b"garbage", response_topic=topic)
    assert RawSensor(world).say(garbage) == []


def test_another_agents_result_is_named_as_such() -> None:
    world = World().start_all()
    world.start_agent("agent-2")
    world.settle()
    theirs = world.said_on(world.topics.result("agent-2"))[-1]
    RawSensor(world).say(Delivery(world.topics.result("agent-1"), theirs.payload, retained=True))
    assert world.refusals()[-1] == "misaddressed"
    assert RawSensor(world).open()


def test_a_result_with_a_swollen_credential_does_not_end_the_enclave() -> None:
    """The broker puts bytes where no signature reaches, in the credential that travels with a genuine result."""
    from cbor2 import CBORTag  # noqa: PLC0415

    from protocol.algorithms import Header  # noqa: PLC0415

    def parts(message: bytes, credential: bytes) -> bytes:
        parsed = parse_sign1_untrusted(message)
        return encode(
            CBORTag(18, [parsed.protected, {Header.CREDENTIAL: credential}, parsed.payload, parsed.signature])
        )

    world = World()

    def swell(said: Publication) -> list[Publication]:
        if said.topic != world.topics.result("agent-1") or not said.payload:
            return [said]
        genuine = parse_sign1_untrusted(said.payload).credential or b""
        swollen = parts(said.payload, parts(genuine, bytes(100_000)))
        return [Publication(said.topic, swollen, retain=True)]

    world.broker.intercept = swell
    world.start_all()
    assert not enclave_of(world)._models.loaded
    world.broker.intercept = None
    world.broker.advance(10)
    assert enclave_of(world)._models.loaded
    assert world.holder(Role.SENSOR, "sensor-1")


def test_a_padded_result_shows_a_multiple_and_nothing_finer() -> None:
    """Whoever pads what it asks gets a padded answer: outputs of 0 to 60 bytes all look the same."""
    world = World().start_all()
    sensor, consumer = RawSensor(world), world.holder(Role.CONSUMER, "consumer-1")
    sensor.open(recipients=(consumer.credential,), deliver_to=world.topics.results("scan"))
    sizes: set[tuple[int, ...]] = set()
    for length in (0, 1, 23, 24, 25, 60):
        world.compute = lambda _data, length=length: bytes(length)  # type: ignore[misc]
        said = sensor.say(sensor.request(sensor.reading(padding=b"")))
        # The first of a session's sequence numbers have heads of one length.
        sizes.add(tuple(len(each.payload) for each in said))
    assert len(sizes) == 1
