"""Receipts that an enclave signs together: what a recipient can make of a shared signature (P2, P7, P10)."""

from collections.abc import Sequence
from hashlib import sha256

import pytest

from edge_agent.enclave.inference import SURROUNDING
from protocol.cbor import MAX_MESSAGE
from protocol.errors import EnclaveError, RemoteError
from protocol.keys import SigningKey
from protocol.messages import decode_message_untrusted
from protocol.party import Delivery, Publication
from protocol.receipts import open_receipt_untrusted, sign_receipts, signed_receipt_untrusted
from schemas.kinds import Kind, Role
from schemas.reason import Reason
from schemas.session import InferenceResult, Receipt
from tests.support.raw_sensor import RawSensor
from tests.support.world import World


@pytest.fixture
def world() -> World:
    return World().start_all()


def opened(world: World, name: str, **terms: object) -> RawSensor:
    sensor = RawSensor(world, name)
    sensor.open(**terms)
    return sensor


def say_together(world: World, deliveries: Sequence[Delivery]) -> list[Publication]:
    """Hand in what waits, as a link does; what is published then."""
    events = world.parties["sealedge-clinic-agent-agent-1"].receive_many(deliveries, world.broker.now)
    return [each for each in events if isinstance(each, Publication)]


def results(sensor: RawSensor, said: Sequence[Publication]) -> list[InferenceResult]:
    mine = [each for each in said if each.topic == sensor.inbox]
    return [decode_message_untrusted(InferenceResult, sensor.opened(each, Kind.REPLY)) for each in mine]


def receipts(sensor: RawSensor, said: Sequence[Publication]) -> list[Receipt]:
    return [open_receipt_untrusted(each.receipt, sensor.passport) for each in results(sensor, said)]


def roots(found: Sequence[InferenceResult]) -> set[bytes]:
    return {signed_receipt_untrusted(each.receipt)[1].payload for each in found}


def test_what_is_ready_together_is_signed_together_and_each_proves_itself_alone(world: World) -> None:
    sensors = [opened(world, f"sensor-{number}") for number in (1, 2, 3)]
    asked = [sensor.request(sensor.reading(bytes([number]))) for sensor in sensors for number in range(3)]
    said = say_together(world, asked)
    found = [each for sensor in sensors for each in results(sensor, said)]
    assert len(found) == 9
    assert len(roots(found)) == 1
    for each in found:
        receipt = open_receipt_untrusted(each.receipt, sensors[0].passport)
        assert receipt.request == each.request


def test_one_that_is_alone_is_signed_at_once(world: World) -> None:
    sensor = opened(world, "sensor-1")
    said = [sensor.say(sensor.request(sensor.reading(bytes([number])))) for number in range(2)]
    assert [len(receipts(sensor, each)) for each in said] == [1, 1]


def test_more_than_a_tree_holds_have_several(world: World) -> None:
    sensors = [opened(world, f"sensor-{number}") for number in (1, 2)]
    asked = [sensor.request(sensor.reading(bytes([number]))) for number in range(40) for sensor in sensors]
    said = say_together(world, asked[:64])
    agent = world.parties["sealedge-clinic-agent-agent-1"]
    said += [each for each in agent.receive_many(asked[64:], world.broker.now) if isinstance(each, Publication)]
    assert sum(len(receipts(sensor, said)) for sensor in sensors) == 80


def test_a_repetition_has_the_same_bytes_whoever_is_answered_beside_it(world: World) -> None:
    first, second = opened(world, "sensor-1"), opened(world, "sensor-2")
    one, other = first.request(first.reading()), second.request(second.reading())
    before = say_together(world, [one, other])
    alone = say_together(world, [one])
    beside = say_together(world, [one, second.request(second.reading())])
    assert alone == [each for each in before if each.topic == first.inbox]
    assert [each for each in beside if each.topic == first.inbox] == alone


def test_a_recipient_finds_nothing_of_the_others_in_its_path(world: World) -> None:
    """The hashes beside its own are of receipts that it cannot write down: their commitments are salted."""
    first, second = opened(world, "sensor-1"), opened(world, "sensor-2")
    said = say_together(world, [each.request(each.reading(b"same reading")) for each in (first, second)])
    [mine], [theirs] = results(first, said), results(second, said)
    assert mine.salt != theirs.salt
    known, other = receipts(first, said)[0], receipts(second, said)[0]
    assert known.input_commitment != other.input_commitment
    entry, _ = signed_receipt_untrusted(theirs.receipt)
    assert sha256(b"\0" + entry).digest() in mine.receipt, "who has the whole receipt knows it again"
    assert theirs.receipt not in mine.receipt
    for secret in (other.request, other.session, other.input_commitment, other.output_commitment, other.sender):
        assert secret not in mine.receipt


def test_a_recipient_cannot_put_a_receipt_of_its_own_under_the_root(world: World) -> None:
    first, second = opened(world, "sensor-1"), opened(world, "sensor-2")
    said = say_together(world, [each.request(each.reading()) for each in (first, second)])
    [mine], [theirs] = results(first, said), results(second, said)
    own, other = (signed_receipt_untrusted(each.receipt)[0] for each in (mine, theirs))
    swapped = mine.receipt.replace(own, other)
    [invented] = sign_receipts(receipts(first, said), SigningKey.generate(world.randomness))
    for forged in (swapped, invented, theirs.receipt.replace(other, own)):
        with pytest.raises(RemoteError):
            open_receipt_untrusted(forged, first.passport)


def test_results_of_one_session_are_numbered_in_their_order(world: World) -> None:
    consumer = world.holder(Role.CONSUMER, "consumer-1")
    terms = {"recipients": (consumer.credential,), "deliver_to": world.topics.results("scan")}
    numbered, plain = opened(world, "sensor-1", **terms), opened(world, "sensor-2")
    for start in (0, 3):
        asked = [each.request(each.reading()) for each in (numbered, plain, numbered, numbered)]
        said = say_together(world, asked)
        assert [each.delivered for each in receipts(numbered, said)] == [start, start + 1, start + 2]
        assert [each.delivered for each in receipts(plain, said)] == [None]


def test_what_has_no_result_has_no_number_and_no_receipt(world: World) -> None:
    def compute(data: bytes) -> bytes:
        if data == b"trap":
            raise EnclaveError("trapped", reason=Reason.GUEST_TRAP)
        return bytes(MAX_MESSAGE - SURROUNDING) if data == b"large" else data

    world.compute = compute
    consumer = world.holder(Role.CONSUMER, "consumer-1")
    sensor = opened(world, "sensor-1", recipients=(consumer.credential,), deliver_to=world.topics.results("scan"))
    said = say_together(world, [sensor.request(sensor.reading(each)) for each in (b"a", b"trap", b"large", b"b")])
    answered = [each for each in said if each.topic == sensor.inbox and b"reply+cose" in each.payload]
    assert [each.delivered for each in receipts(sensor, answered)] == [0, 1]
    assert len([each for each in said if each.topic == sensor.inbox]) == 4


def test_the_largest_output_fits_beside_all_that_may_surround_it(world: World) -> None:
    consumers = [world.holder(Role.CONSUMER, f"consumer-{number}") for number in range(8)]
    terms = {"recipients": tuple(each.credential for each in consumers), "deliver_to": world.topics.results("scan")}
    sensor = opened(world, "sensor-1", **terms)
    room = MAX_MESSAGE - SURROUNDING - len(sensor.passport.document)
    world.compute = lambda _data: bytes(room)
    said = say_together(world, [sensor.request(sensor.reading(padding=b"")), sensor.request(sensor.reading())])
    assert len(said) == 4
    assert all(len(each.payload) <= MAX_MESSAGE for each in said)
    assert [len(each.output or b"") for each in results(sensor, said)] == [room, room]
    world.compute = lambda _data: bytes(room + 1)
    assert sensor.refusal(sensor.request(sensor.reading())) == "output-too-large"
