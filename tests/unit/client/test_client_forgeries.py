"""What strangers, other recipients and a hostile broker try to make a consumer believe (P2, P7, P10)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from protocol.messages import decode_message_untrusted, encode_message
from protocol.party import Publication
from protocol.receipts import check_commitment, commitment, sign_receipts, verified_receipt_untrusted
from protocol.results import ResultOpener, ResultSealer
from schemas.kinds import Role
from schemas.session import InferenceResult, ReceiptBundle
from sealedge.client.consumer import ConsumerParty
from sealedge.client.events import ResultReceived
from tests.support.world import MODEL, World

SECRET = b"systolic 147 of patient 7"
AGENT = "sealedge-clinic-agent-agent-1"


@pytest.fixture
def world() -> World:
    return World().start_all()


class Forger:
    """Somebody who can seal to the consumer: its KEM key is public. `genuine` is a result it was a recipient of."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.consumer: ConsumerParty = world.start_consumer()
        self.kem = world.holder(Role.CONSUMER, "consumer-1").kem
        self.sensor = world.start_sensor(
            recipients=(world.holder(Role.CONSUMER, "consumer-1").credential,), deliver_to=self.topic
        )
        self.request = world.infer(self.sensor, SECRET)
        world.broker.intercept = lambda each: [] if each.topic == self.topic else [each]
        world.settle()
        world.broker.intercept = None
        [self.published] = world.said_on(self.topic)
        plaintext = ResultOpener("clinic", self.kem).open_untrusted(self.published.payload, self.topic, self.request)
        self.genuine = decode_message_untrusted(InferenceResult, plaintext)

    @property
    def topic(self) -> str:
        return self.world.topics.inbox(Role.CONSUMER, "consumer-1")

    def say(self, result: InferenceResult, request: bytes | None = None) -> list[str]:
        """Seal this to the consumer. Returns the reasons of the refusals that follow."""
        before = len(self.world.refusals())
        sealer = ResultSealer("clinic", self.world.randomness(16), [self.kem.public], self.world.randomness(32))
        named = self.request if request is None else request
        payload = sealer.seal(encode_message(result), self.topic, named)
        self.world.redeliver(self.consumer, Publication(self.topic, payload, correlation=named))
        return self.world.refusals()[before:]


@pytest.fixture
def forger(world: World) -> Forger:
    return Forger(world)


def test_a_genuine_result_sealed_again_is_the_same_result(world: World, forger: Forger) -> None:
    """The attacks below fail for what they change, and for nothing else."""
    assert forger.say(forger.genuine) == []
    world.redeliver(forger.consumer, forger.published)
    assert [event.output for event in world.events(ResultReceived)] == [SECRET[::-1]]


def own_receipt(forger: Forger) -> dict[str, object]:
    """A receipt of the forger's own making, under the genuine passport."""
    key = forger.world.parties[AGENT]._enclave.key.public
    receipt = verified_receipt_untrusted(forger.genuine.receipt, key)
    forged = receipt.model_copy(update={"output_commitment": commitment("output", forger.genuine.salt, b"healthy")})
    [signed] = sign_receipts([forged], forger.world.holder(Role.SENSOR, "eve").signing)
    return {"output": b"healthy", "receipt": signed}


FORGERIES: dict[str, tuple[Callable[[Forger], dict[str, object]], str]] = {
    "another output": (lambda _: {"output": b"healthy"}, "binding-mismatch"),
    "another salt": (lambda _: {"salt": bytes(32)}, "binding-mismatch"),
    "no output": (lambda _: {"output": None}, "unexpected"),
    "a receipt of its own": (own_receipt, "unknown-signer"),
    "another request": (lambda _: {"request": bytes(16)}, "misaddressed"),
    "no passport": (lambda _: {"attestation_result": b"\xf6"}, "malformed"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_result_is_refused(world: World, forger: Forger, name: str) -> None:
    change, reason = FORGERIES[name]
    assert forger.say(forger.genuine.model_copy(update=change(forger))) == [reason]
    assert world.events(ResultReceived) == []


def test_a_result_for_another_request_is_refused(world: World, forger: Forger) -> None:
    assert forger.say(forger.genuine, request=bytes(16)) == ["misaddressed"]
    moved = forger.genuine.model_copy(update={"request": bytes(16)})
    assert forger.say(moved, request=bytes(16)) == ["misaddressed"]


def test_the_passport_of_another_enclave_of_the_agent_does_not_fit_the_receipt(world: World, forger: Forger) -> None:
    world.restart_agent()
    newest = world.said_on(world.topics.result("agent-1"))[-1].payload
    assert forger.say(forger.genuine.model_copy(update={"attestation_result": newest})) == ["unknown-signer"]


def test_an_earlier_passport_of_the_same_enclave_does_not_fit_the_receipt(world: World, forger: Forger) -> None:
    first = world.said_on(world.topics.result("agent-1"))[0].payload
    assert first != forger.genuine.attestation_result
    assert forger.say(forger.genuine.model_copy(update={"attestation_result": first})) == ["binding-mismatch"]


def test_a_receipt_from_after_the_lease_is_refused(world: World, forger: Forger) -> None:
    key = world.parties[AGENT]._enclave.key
    receipt = verified_receipt_untrusted(forger.genuine.receipt, key.public)
    for seconds, reason in ((world.lease_seconds, "lease-expired"), (world.lease_seconds - 1, "not-yet-valid")):
        [late] = sign_receipts([receipt.model_copy(update={"time": receipt.time + seconds})], key)
        assert forger.say(forger.genuine.model_copy(update={"receipt": late})) == [reason]


def test_a_passport_of_another_fleet_is_refused(world: World, forger: Forger) -> None:
    other = World(seed=1, fleet="other").start_all()
    foreign = other.said_on(other.topics.result("agent-1"))[-1].payload
    assert forger.say(forger.genuine.model_copy(update={"attestation_result": foreign})) == ["unknown-signer"]


def test_a_result_moved_to_another_topic_or_exchange_is_refused(world: World, forger: Forger) -> None:
    world.redeliver(forger.consumer, replace(forger.published, topic=world.topics.results(MODEL)))
    assert world.refusals()[-1] == "decryption-failed"
    world.redeliver(forger.consumer, forger.published, correlation=bytes(16))
    assert world.refusals()[-1] == "decryption-failed"
    for correlation in (None, b"", bytes(17)):
        world.redeliver(forger.consumer, forger.published, correlation=correlation)
        assert world.refusals()[-1] == "unexpected"
    assert world.events(ResultReceived) == []


def test_a_result_is_proof_of_itself_long_after_its_lease(world: World, forger: Forger) -> None:
    world.broker.advance(3 * world.lease_seconds)
    world.redeliver(forger.consumer, forger.published)
    [event] = world.events(ResultReceived)
    bundle = decode_message_untrusted(ReceiptBundle, event.bundle)
    assert bundle.salt is not None
    key = world.parties[AGENT]._enclave.key.public
    receipt = verified_receipt_untrusted(bundle.receipt, key)
    check_commitment("output", bundle.salt, SECRET[::-1], receipt.output_commitment)
