"""The heartbeat file: fresh only while a link's loop turns and a broker has it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from broker import heartbeat
from broker.heartbeat import BEAT_SECONDS, FRESH_SECONDS, VARIABLE, Heartbeat, fault_of, main
from broker.link import Link
from protocol.errors import ConfigurationError
from tests.support.fake_broker import FakeBroker, Peer, connack
from tests.support.link_parties import Recorder, background, eventually, settings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    at = [5000.0]
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: at[0])
    return at


def test_a_heart_that_never_beat_is_not_well(tmp_path: Path, clock: list[float]) -> None:
    file = tmp_path / "heartbeat"
    assert "No such file" in str(fault_of(file))
    file.write_text("5000")
    Heartbeat(file)
    assert "no beat yet" in str(fault_of(file))


def test_a_beat_is_fresh_for_ten_seconds(tmp_path: Path, clock: list[float]) -> None:
    Heartbeat(file := tmp_path / "heartbeat").beat()
    assert fault_of(file) is None
    clock[0] += FRESH_SECONDS - 0.01
    assert fault_of(file) is None
    clock[0] += 0.02
    assert "10 s ago" in str(fault_of(file))


def test_a_beat_from_before_a_reboot_is_none(tmp_path: Path, clock: list[float]) -> None:
    Heartbeat(file := tmp_path / "heartbeat").beat()
    clock[0] = 3.0
    assert fault_of(file) is not None


def test_the_file_is_written_once_a_second_at_most(tmp_path: Path, clock: list[float]) -> None:
    heart = Heartbeat(file := tmp_path / "heartbeat")
    heart.beat()
    written = file.read_bytes()
    clock[0] += BEAT_SECONDS / 2
    heart.beat()
    assert file.read_bytes() == written
    clock[0] += BEAT_SECONDS / 2
    heart.beat()
    assert file.read_bytes() != written
    assert len(file.read_bytes()) == len(written)


def test_a_file_that_cannot_be_written_is_refused_at_the_start_and_borne_later(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written: No such file"):
        Heartbeat(tmp_path / "none" / "heartbeat")
    heart = Heartbeat(file := tmp_path / "heartbeat")
    file.unlink()
    file.mkdir()
    heart.beat()


@pytest.mark.parametrize("content", ["", "soon", "nan", "inf", "1e999", "\0", "9" * 99])
def test_what_is_no_beat_is_not_taken_for_one(tmp_path: Path, content: str) -> None:
    file = tmp_path / "heartbeat"
    file.write_text(content)
    assert fault_of(file) is not None


def test_the_command_takes_the_file_from_the_variable_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert main([]) == 1
    assert capsys.readouterr().err == f"unhealthy: {VARIABLE} is not set\n"
    Heartbeat(file := tmp_path / "heartbeat").beat()
    monkeypatch.setenv(VARIABLE, str(file))
    assert (main([]), capsys.readouterr().err) == (0, "")
    assert main([str(tmp_path / "other")]) == 1


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    Heartbeat(file := tmp_path / "heartbeat").beat()
    assert subprocess.run([sys.executable, "-m", "broker.heartbeat", file], cwd=ROOT, check=False).returncode == 0


def test_a_link_beats_while_a_broker_has_it_and_not_without(tmp_path: Path) -> None:
    file, before = tmp_path / "heartbeat", []

    def script(peer: Peer) -> None:
        peer.next(1)
        time.sleep(0.1)
        before.append(file.read_bytes())
        peer.send(connack(0))
        peer.hold()

    link = Link(Recorder("heart"), settings("mqtt://127.0.0.1:1", heartbeat_file=file))
    with background(link):
        time.sleep(0.1)
    assert file.read_bytes() == b""
    with FakeBroker(script) as broker, background(Link(Recorder("heart"), settings(broker.url, heartbeat_file=file))):
        eventually(lambda: fault_of(file) is None)
    assert before == [b""]
