"""Stealing the model, and the readings, from where they lie: the broker, the device's disk, its memory (P1, P3, P5)."""

import base64
import json
from pathlib import Path
from typing import Final

from sealedge.operations.attacks.insiders.memory_spy import spy
from sealedge.operations.attacks.scenario import Attacker, Scenario, Verdict, judged
from sealedge.operations.attacks.stage import Stage, found_in, pieces
from sealedge.operations.attacks.targets.actors import Attacker as Client
from sealedge.operations.attacks.targets.names import MODEL
from sealedge.operations.attacks.targets.usual_agent import MODEL as USUAL_MODEL

FAMILY: Final = "theft"
HARDWARE: Final = "chip.pem"
"""Of the simulated TEE: it stands for what a real one keeps in its chip, and nobody takes out with a disk."""


def _fetched_before(stage: Stage) -> Verdict:
    stage.usual.output(stage.reading())
    with Client(stage.broker.account("competitor"), USUAL_MODEL) as client:
        found = client.hear(lambda each: bool(each.payload))
    stolen = b"" if found is None else base64.b64decode(json.loads(found.payload)["module"])
    return judged(stolen == stage.usual.module, "the whole module, byte by byte", "topic rules")


def _fetched_now(stage: Stage) -> Verdict:
    """All that is retained of the model: the manifest, and every chunk that it names."""
    fleet = stage.sealed
    with Client(stage.broker.account("competitor"), f"{fleet.below}model/#") as client:
        client.hear(lambda each: each.topic == fleet.topics.manifest(MODEL))
        client.hear(lambda each: "/chunk/" in each.topic)
        took = b"".join(event.delivery.payload for event in client.heard())
    found = found_in(took, stage.weights)
    chunks = any("/chunk/" in event.delivery.topic for event in client.heard())
    said = f"{found} parts of the model in {len(took)} bytes"
    return judged(found > 0, said, "encryption" if chunks else None, said)


def _disk_before(stage: Stage) -> Verdict:
    stage.usual.output(stage.reading())
    return _on_disk(stage, stage.usual.folder)


def _disk_now(stage: Stage) -> Verdict:
    stage.sealed.output(stage.reading())
    return _on_disk(stage, stage.sealed.agent_folder)


def _on_disk(stage: Stage, folder: Path) -> Verdict:
    files = [each for each in sorted(folder.rglob("*")) if each.is_file() and each.name != HARDWARE]
    disk = b"\xff\0\xff".join(each.read_bytes() for each in files)
    found = found_in(disk, stage.weights)
    said = f"{found} parts of the model in {len(files)} files, {len(disk)} bytes"
    kept = any("models" in each.parts for each in files)
    return judged(found > 0, said, "encryption" if kept else None, said)


def _memory_before(stage: Stage) -> Verdict:
    return _in_memory(stage.usual.pid, stage.weights, "model")


def _memory_now(stage: Stage) -> Verdict:
    return _in_memory(stage.sealed.enclave_pid, stage.weights, "model")


def _reading_before(stage: Stage) -> Verdict:
    reading = stage.reading()
    stage.usual.output(reading)
    return _in_memory(stage.usual.pid, reading, "reading")


def _reading_now(stage: Stage) -> Verdict:
    reading = stage.reading()
    stage.sealed.output(reading)
    return _in_memory(stage.sealed.enclave_pid, reading, "reading")


def _in_memory(pid: int, secret: bytes, what: str) -> Verdict:
    """What another program of the same user finds there."""
    found = spy(pid, pieces(secret))
    if found is None:
        return judged(False, "", "not-dumpable", "the process's memory is closed to its own user")
    return judged(found > 0, f"{found} parts of the {what} read from the process's memory", "erasure")


SCENARIOS: Final = (
    Scenario(
        "steal-model-from-broker", FAMILY, ("P1",), Attacker.CLIENT, "have the model", _fetched_before, _fetched_now
    ),
    Scenario("steal-model-from-disk", FAMILY, ("P1",), Attacker.OWNER, "have the model", _disk_before, _disk_now),
    Scenario(
        "steal-model-from-memory",
        FAMILY,
        ("P1",),
        Attacker.OWNER,
        "have the model, without root",
        _memory_before,
        _memory_now,
    ),
    Scenario(
        "steal-reading-from-memory",
        FAMILY,
        ("P1",),
        Attacker.OWNER,
        "have a reading, without root",
        _reading_before,
        _reading_now,
    ),
)
