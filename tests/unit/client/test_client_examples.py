"""The programs in examples/ run as they stand."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from protocol.messages import decode_message_untrusted
from schemas.kinds import Role
from schemas.session import ReceiptBundle
from sealedge import Consumer
from tests.unit.client.live_fleet import LiveFleet

ROOT = Path(__file__).parents[3]


def run(name: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / name, *map(str, arguments)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def doctor(fleet: LiveFleet) -> Path:
    """A consumer's folder; its session at the broker is there before anything is sent."""
    folder = fleet.write(Role.CONSUMER, "example-doctor")
    with Consumer(folder):
        pass
    return folder


@pytest.mark.slow
def test_sensor(fleet: LiveFleet) -> None:
    said = run("sensor.py", fleet.write(Role.SENSOR, "example-one"))
    assert said == "[0.] ('low',) by agent-1, scan version 1\n"


@pytest.mark.slow
def test_many_readings(fleet: LiveFleet, tmp_path: Path) -> None:
    np.save(tmp_path / "readings.npy", np.ones((3, 2, 2), dtype="float32"))
    said = run("many_readings.py", fleet.write(Role.SENSOR, "example-many"), tmp_path / "readings.npy")
    assert said == "(1.0,) ('high',)\n" * 3


@pytest.mark.slow
def test_classify(fleet: LiveFleet, tmp_path: Path) -> None:
    np.save(tmp_path / "readings.npy", np.array([[1, 1, 1, 1], [0, 0, 0, 0.5]]))
    assert run("classify.py", fleet.write(Role.SENSOR, "example-classes"), tmp_path / "readings.npy") == "high\nlow\n"


def test_receipts_only_and_the_consumer(fleet: LiveFleet, doctor: Path) -> None:
    folder = fleet.write(Role.SENSOR, "example-bedside", recipients=[doctor / "credential.cwt"], return_result=False)
    said = run("receipts_only.py", folder)
    [path] = folder.glob("*.receipt")
    assert str(path) in said
    assert decode_message_untrusted(ReceiptBundle, path.read_bytes()).salt is not None
    assert run("consumer.py", doctor, 1) == "example-bedside (0.0,) ('low',)\n"
