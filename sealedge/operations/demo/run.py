"""The demo from the first reading to the last claim: what happens, in order."""

import json
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from broker.settings import ConnectionSettings
from broker.threaded import ThreadedLink
from guests.breast_cancer.build import BuiltModel
from schemas.kinds import Role, Tier
from sealedge.operations.demo.eavesdropper import Eavesdropper, Found, pieces, private_keys, search
from sealedge.operations.demo.processes import Said
from sealedge.operations.demo.report import DemoReport, percentile
from sealedge.operations.demo.stage import CONSUMER, MODEL, SENSOR, Stage
from sealedge.operations.receipt import Anchors, check_bundle, open_bundle
from storage.files import read_bytes

MEGABYTE = 1e6
ANSWER_SECONDS = 20.0
RECEIPTS = "receipts"

Tell = Callable[[Said], None]
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Sent:
    """What was sent and what came back, by row."""

    latencies: list[float] = field(default_factory=list)
    results: dict[str, tuple[int, Said]] = field(default_factory=dict)
    doubled: int = 0
    answered: int = 0
    refused: int = 0


class Demo:
    """`run` plays everything once. `tell` hears each event as it happens, `progress` each reading that is answered."""

    def __init__(self, model: BuiltModel, tell: Tell, progress: Progress, tee: Tier = Tier.SIMULATED) -> None:
        self._model, self._tell, self._progress, self._tee = model, tell, progress, tee
        patients = model.patients()
        self._readings = patients.inputs
        self._labels = [int(label) for label in patients.labels]

    def run(self, started: float) -> DemoReport:
        """Play it. `started` is when the person began to wait (`time.perf_counter`).

        Raises `SealedgeError` when a party does not come up or does not answer.
        """
        ear = Eavesdropper()
        with ExitStack() as closing:
            stage = closing.enter_context(Stage(self._model, self._tell, tee=self._tee))
            link = ThreadedLink(ear, ConnectionSettings(url=stage.broker.url))
            link.start()
            closing.callback(link.stop)
            stage.start_service()
            self._start_clients(stage)
            sent = self._send_all(stage)
            memory = stage.troupe.memory("agent")
            verified = self._verify_receipts(stage, sent)
            stopped = self._revoke(stage)
            left = stage.troupe.end()
            found = search(ear.heard, self._secrets(stage, sent), MODEL.encode())
            kind, tee = stage.broker.kind, stage.tee_in_words
        seconds = time.perf_counter() - started
        return self._report(sent, found, verified, stopped, left, memory, kind, tee, seconds)

    def _start_clients(self, stage: Stage) -> None:
        consumer = ("consumer", "--config", stage.settings(Role.CONSUMER, CONSUMER), "--receipts", RECEIPTS)
        stage.start("consumer", *consumer)
        stage.start("sensor", "sensor", "send", "-", "--config", stage.settings(Role.SENSOR, SENSOR), feed=True)
        stage.troupe.wait_for(lambda said: (said["party"], said["event"]) == ("consumer", "connected"), "the consumer")

    def _send_all(self, stage: Stage) -> Sent:
        """One reading after the other: into the sensor's standard input, out of the consumer's standard output."""
        sent, troupe = Sent(), stage.troupe
        for row, reading in enumerate(self._readings):
            began = time.perf_counter()
            troupe.write("sensor", json.dumps([float(value) for value in reading]))
            said = troupe.wait_for(_result_or_end, f"the result of reading {row + 1}", ANSWER_SECONDS)
            if said["party"] == "sensor":
                continue
            if row:
                # The first one also opened the session.
                sent.latencies.append(said["at"] - began)
            sent.results[str(said["request"])] = (row, said)
            self._progress(row + 1, len(self._readings))
        troupe.close("sensor")
        troupe.wait_for_end("sensor")
        outputs = [said for said in troupe.heard if said["event"] == "output"]
        ended = [said["status"] for said in outputs if said["party"] == "sensor"]
        sent.answered, sent.refused = ended.count("answered"), ended.count("refused")
        sent.doubled = sum(said["party"] == "consumer" for said in outputs) - len(sent.results)
        return sent

    def _verify_receipts(self, stage: Stage, sent: Sent) -> int:
        """Every receipt, offline, by the authority's key alone. Raises if one is not what it should be."""
        fleet = stage.fleet
        anchors = Anchors(
            authority=fleet.authority.key.public,
            fleet=fleet.name,
            revocations=read_bytes(fleet.folder.revocations),
        )
        verified = 0
        for request, (row, _said) in sent.results.items():
            path = stage.directory / RECEIPTS / f"{request}.receipt"
            contents = {"input": self._readings[row].tobytes()}
            check_bundle(open_bundle(read_bytes(path), path.name), anchors, contents, time.time())
            verified += 1
        self._tell({"party": "anybody", "event": "receipts-verified", "count": verified})
        return verified

    def _revoke(self, stage: Stage) -> bool:
        """The authority revokes the model: it is erased, and the next reading is not answered."""
        fleet = str(stage.directory)
        stage.troupe.start("authority", "revoke", "model", str(self._model.path), "--fleet", fleet, "--publish")
        erased = stage.troupe.wait_for(lambda said: said["event"] == "model-erased", "the model to be erased")
        config = ("--config", stage.settings(Role.SENSOR, SENSOR))
        stage.start("late-sensor", "sensor", "send", "-", "--wait", "1", *config, feed=True)
        stage.troupe.write("late-sensor", json.dumps([float(value) for value in self._readings[0]]))
        stage.troupe.close("late-sensor")
        status = stage.troupe.wait_for_end("late-sensor")
        return status == 1 and erased["why"] == "revoked"

    def _secrets(self, stage: Stage, sent: Sent) -> Iterator[bytes]:
        """What nobody may see: readings, results, the model, every private key of the fleet."""
        for reading in self._readings:
            yield from pieces(reading.tobytes())
        for _row, said in sent.results.values():
            probabilities = _probabilities(said)
            yield struct.pack(f"<{len(probabilities)}f", *probabilities)
        yield from pieces(self._model.path.read_bytes(), step=64)
        yield from private_keys(stage.directory)

    def _report(
        self,
        sent: Sent,
        found: Found,
        verified: int,
        stopped: bool,
        left: list[str],
        memory: int | None,
        broker: str,
        tee: str,
        seconds: float,
    ) -> DemoReport:
        right = sum(_class_of(said) == self._labels[row] for row, said in sent.results.values())
        count = len(self._readings)
        tiers = {str(said["tier"]) for _row, said in sent.results.values()}
        return DemoReport(
            accuracy=round(right / count, 4),
            sent=count,
            answered=len(sent.results),
            refused=sent.refused,
            lost=count - sent.answered - sent.refused,
            doubled=sent.doubled,
            p50_ms=round(percentile(sent.latencies, 0.5) * 1000, 3) if sent.latencies else 0.0,
            p99_ms=round(percentile(sent.latencies, 0.99) * 1000, 3) if sent.latencies else 0.0,
            tier=", ".join(sorted(tiers)),
            tier_means=tee,
            broker=broker,
            plaintext_seen_by_eavesdropper=found.hits,
            seconds=round(seconds, 2),
            receipts_verified=verified,
            messages_seen_by_eavesdropper=found.messages,
            bytes_seen_by_eavesdropper=found.bytes,
            searched_for=found.needles,
            search_control=found.control,
            refused_after_revocation=stopped,
            agent_memory_mb=None if memory is None else round(memory / MEGABYTE, 1),
            left_running=tuple(left),
        )


def _result_or_end(said: Said) -> bool:
    """A result at the consumer; or a reading that ended otherwise."""
    if said["event"] != "output":
        return False
    return said["party"] == "consumer" or said.get("status") in {"refused", "timed-out"}


def _probabilities(said: Said) -> list[float]:
    """The numbers of the model's only output."""
    [found] = said["output"].values()
    return [float(value) for value in found]


def _class_of(said: Said) -> int:
    probabilities = _probabilities(said)
    return max(range(len(probabilities)), key=probabilities.__getitem__)
