"""The SDK over a real broker: blocking and asyncio, errors, restarts, and what its objects print."""

import asyncio
import threading
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

import sealedge
from protocol.errors import ConfigurationError, EnclaveError, MalformedError, ProtocolMisuseError, TransportError
from schemas.kinds import Role
from schemas.reason import Reason
from sealedge import AsyncConsumer, AsyncSensor, Consumer, ReceivedResult, Result, Sensor
from sealedge.client.outcome import checked_specs
from sealedge.client.tensors import encode_inputs
from tests.support import world as world_module
from tests.unit.client.live_fleet import OUTPUTS, LiveFleet

READING = np.array([[0.5, 0.75], [0.25, 1.0]], dtype="float32")


def recipient(fleet: LiveFleet, name: str) -> dict[str, object]:
    """The settings by which a sensor's results go to one consumer."""
    return {"recipients": [fleet.root / f"consumer-{name}" / "credential.cwt"]}


def test_a_reading_is_inferred(fleet: LiveFleet) -> None:
    with Sensor(fleet.write(Role.SENSOR, "one")) as sensor:
        result = sensor.infer(READING, timeout=20)
        assert isinstance(result, Result)
        assert result.output == pytest.approx(np.array([0.625]))
        assert result.output.dtype == np.float32
        assert result.values("risk") == (0.625,)
        assert result.labels == ("high",)
        assert (result.agent, result.model, result.version) == ("agent-1", "scan", 1)
        assert len(result.receipt) > 100
        assert sensor.infer([0, 0, 0, 1]).labels == ("low",)
        assert sensor.infer(READING.tobytes()).raw == result.raw
        assert sensor.pending == ()
        assert "0.6" not in repr(result)
        assert result.receipt.hex()[:32] not in repr(result)


def test_many_are_on_the_way_at_once_and_each_future_is_its_own(fleet: LiveFleet) -> None:
    with Sensor(fleet.write(Role.SENSOR, "many")) as sensor:
        sent = [sensor.send(np.full((2, 2), number, dtype="float32")) for number in range(50)]
        assert len({pending.request for pending in sent}) == 50
        assert [pending.result(20).values()[0] for pending in sent] == list(range(50))


def test_threads_share_a_sensor(fleet: LiveFleet) -> None:
    with Sensor(fleet.write(Role.SENSOR, "threads")) as sensor:
        found: dict[int, float] = {}

        def ask(number: int) -> None:
            found[number] = float(sensor.infer([number] * 4, timeout=20).values()[0])

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == {number: number for number in range(8)}


def test_what_the_enclave_refuses_is_raised_with_its_reason(fleet: LiveFleet) -> None:
    with Sensor(fleet.write(Role.SENSOR, "refused")) as sensor, pytest.raises(EnclaveError) as caught:
        sensor.infer(np.full((2, 2), np.nan, dtype="float32"), timeout=20)
    assert caught.value.reason is Reason.INPUT_INVALID


@pytest.mark.slow
def test_what_nobody_answers_is_raised_with_what_stood_in_the_way(fleet: LiveFleet) -> None:
    with Sensor(fleet.write(Role.SENSOR, "nobody", agent="agent-9")) as sensor:
        with pytest.raises(TransportError) as caught:
            sensor.infer(READING, timeout=0.5)
        assert caught.value.reason is Reason.NOT_ATTESTED
        assert sensor.pending == ()


def test_a_reading_that_does_not_fit_is_refused_before_anything_is_sent(fleet: LiveFleet) -> None:
    with Sensor(fleet.write(Role.SENSOR, "unfit")) as sensor:
        with pytest.raises(ProtocolMisuseError, match="does not fit"):
            sensor.infer(READING.astype("float64"))
        assert sensor.pending == ()


def test_what_was_pending_is_answered_by_the_next_start(fleet: LiveFleet) -> None:
    folder = fleet.write(Role.SENSOR, "again", agent="agent-9")
    with Sensor(folder) as sensor:
        sensor.wait_for_manifest()
        waiting = sensor.send(READING, request_id=b"r" * 16)
        assert sensor.send(READING, request_id=b"r" * 16) is waiting
        with pytest.raises(ProtocolMisuseError, match="another reading"):
            sensor.send(READING + 1, request_id=b"r" * 16)
    with pytest.raises(TransportError, match="waits in its outbox"):
        waiting.result(0)
    text = (folder / "sensor.toml").read_text().replace("agent-9", "agent-1")
    (folder / "sensor.toml").write_text(text)
    with Sensor(folder) as sensor:
        assert sensor.claim(b"r" * 16).result(20).values() == (0.625,)


def test_an_answer_that_came_before_it_was_claimed_is_kept(fleet: LiveFleet) -> None:
    folder = fleet.write(Role.SENSOR, "late")
    seen: list[object] = []
    ended = threading.Event()

    def watch(event: object) -> None:
        seen.append(event)
        if type(event).__name__ == "Answered":
            ended.set()

    with Sensor(folder, watch=watch) as sensor:
        reading = encode_inputs(checked_specs(sensor.wait_for_manifest()), READING)
        # As `send` does, but nobody waits for the answer.
        sensor._link.submit(lambda party, now: party.request(reading, now, b"l" * 16, None)[1])
        assert ended.wait(20)
        assert sensor.claim(b"l" * 16).result(1).values() == (0.625,)


def test_a_consumer_iterates_over_results_with_labels_and_proof(fleet: LiveFleet) -> None:
    with Consumer(fleet.write(Role.CONSUMER, "doctor")) as consumer:
        folder = fleet.write(Role.SENSOR, "bedside", return_result=False, **recipient(fleet, "doctor"))
        with Sensor(folder) as sensor:
            answer = sensor.infer(READING, timeout=20)
            assert answer.raw is None
            assert answer.labels == ()
            with pytest.raises(ConfigurationError, match="receipts alone"):
                answer.array()
            sensor.infer(np.zeros((2, 2), dtype="float32"), timeout=20)
        first, second = (result for _, result in zip(range(2), consumer, strict=False))
        assert isinstance(first, ReceivedResult)
        assert (first.labels, second.labels) == (("high",), ("low",))
        assert first.sender == "bedside"
        assert first.sender_key == fleet.holder(Role.SENSOR, "bedside").signing.public.thumbprint
        assert first.request == answer.request
        assert consumer.receive(timeout=0) is None


def test_a_slow_program_holds_results_up_and_loses_none(fleet: LiveFleet) -> None:
    with Consumer(fleet.write(Role.CONSUMER, "slow"), backlog=2) as consumer:
        with Sensor(fleet.write(Role.SENSOR, "fast", **recipient(fleet, "slow"))) as sensor:
            sent = [sensor.send([number] * 4) for number in range(20)]
            for pending in sent:
                pending.result(20)
        assert len(consumer._results) <= 2
        found = [consumer.receive(20) for _ in range(20)]
    assert [result.values()[0] for result in found if result] == list(range(20))


def test_closing_a_consumer_ends_its_iteration_after_what_is_there(fleet: LiveFleet) -> None:
    consumer = Consumer(fleet.write(Role.CONSUMER, "closing")).start()
    with Sensor(fleet.write(Role.SENSOR, "closed", **recipient(fleet, "closing"))) as sensor:
        sensor.infer(READING, timeout=20)
        assert consumer.wait(20)
    timer = threading.Timer(0.1, consumer.close)
    timer.start()
    assert len(list(consumer)) == 1
    timer.join()
    assert list(consumer) == []


def test_the_same_with_asyncio(fleet: LiveFleet) -> None:
    async def run() -> None:
        doctor = fleet.write(Role.CONSUMER, "async-doctor")
        bedside = fleet.write(Role.SENSOR, "async-bedside", **recipient(fleet, "async-doctor"))
        async with AsyncConsumer(doctor) as consumer, AsyncSensor(bedside) as sensor:
            results = await asyncio.gather(*(sensor.infer([number] * 4, timeout=20) for number in range(5)))
            assert [result.values()[0] for result in results] == list(range(5))
            future = await sensor.send(READING)
            assert (await future).labels == ("high",)
            found = []
            async for result in consumer:
                found.append(result.values()[0])
                if len(found) == 6:
                    break
            assert sorted(found) == [0, 0.625, 1, 2, 3, 4]
            with pytest.raises(EnclaveError):
                await sensor.infer([float("nan")] * 4, timeout=20)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(consumer.receive(), 0.1)

    asyncio.run(run())


def test_a_broker_that_is_not_there_is_said_and_nothing_is_left_open(fleet: LiveFleet) -> None:
    folder = fleet.write(Role.SENSOR, "lost")
    text = (folder / "sensor.toml").read_text()
    (folder / "sensor.toml").write_text(text.replace(fleet.embedded.url, "mqtt://127.0.0.1:1"))
    sensor = Sensor(folder)
    sensor._link._start_timeout = 0.3
    with pytest.raises(TransportError):
        sensor.start()


def test_files_that_are_wrong_are_named(fleet: LiveFleet) -> None:
    folder = fleet.write(Role.SENSOR, "wrong")
    stranger = fleet.holder(Role.SENSOR, "stranger")
    for name, content, said in (
        ("credential.cwt", stranger.credential, "another name or signing key"),
        ("credential.cwt", fleet.holder(Role.CONSUMER, "wrong").credential, "role"),
        ("credential.cwt", b"rubbish", "malformed"),
        ("authority.pub.pem", b"rubbish", "not a PEM public key"),
        ("revocations.cose", b"rubbish", "malformed"),
        ("signing.pem", b"rubbish", "signing.pem"),
    ):
        genuine = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        with pytest.raises(ConfigurationError, match=said) as caught:
            Sensor(folder)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
        (folder / name).write_bytes(genuine)
    (folder / "signing.pem").chmod(0o644)
    with pytest.raises(ConfigurationError, match="open to group or others"):
        Sensor(folder)


def test_a_consumers_kem_key_must_be_the_one_vouched_for(fleet: LiveFleet) -> None:
    folder = fleet.write(Role.CONSUMER, "swapped")
    other = fleet.write(Role.CONSUMER, "other")
    (folder / "kem.key").write_bytes((other / "kem.key").read_bytes())
    with pytest.raises(ConfigurationError, match="another KEM key"):
        Consumer(folder)
    (folder / "kem.key").write_bytes(b"rubbish")
    with pytest.raises(ConfigurationError, match="not a KEM key file"):
        Consumer(folder)


def test_a_result_without_its_manifest_can_still_be_taken_raw() -> None:
    result = Result(bytes(16), b"abcd", b"", "agent-1", "scan", 7, world_module.SIMULATED[0])
    assert result.labels == ()
    with pytest.raises(ConfigurationError, match="version 7"):
        result.array()
    fitting = Result(bytes(16), b"abcd", b"", "a", "scan", 1, world_module.SIMULATED[0], OUTPUTS)
    with pytest.raises(ConfigurationError, match="no such output"):
        fitting.values("other")
    short = Result(bytes(16), b"abc", b"", "a", "scan", 1, world_module.SIMULATED[0], OUTPUTS)
    with pytest.raises(MalformedError):
        short.values()


def test_what_the_package_offers() -> None:
    for name in sealedge.__all__:
        assert getattr(sealedge, name).__name__ == name
    assert issubclass(sealedge.Pending, Future)
    with pytest.raises(AttributeError, match="Nothing"):
        _ = sealedge.Nothing


def test_no_folder_is_a_folder_of_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"sensor\.toml"):
        Sensor(tmp_path)
    with pytest.raises(ConfigurationError, match=r"consumer\.toml"):
        Consumer(tmp_path)
