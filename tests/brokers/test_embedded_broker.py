"""The embedded broker starts, answers, ends with its parent, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

import broker.embedded
from broker.embedded import Embedded
from broker.probe import answers_connect
from protocol.errors import ConfigurationError, TransportError
from tests.support.fake_broker import FakeBroker, Peer, connack
from tests.support.link_parties import eventually

ROOT = Path(__file__).parents[2]


def left_behind() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob("sealedge-broker-*")}


def test_it_answers_and_leaves_nothing_running_and_no_files(own_broker: Embedded) -> None:
    assert own_broker.url == f"mqtt://127.0.0.1:{own_broker.port}"
    assert own_broker.directory is not None
    assert own_broker.directory.name in left_behind()
    assert answers_connect("127.0.0.1", own_broker.port)
    name, pid = own_broker.directory.name, own_broker.pid
    own_broker.stop()
    own_broker.stop()
    assert name not in left_behind()
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert not answers_connect("127.0.0.1", own_broker.port)


def test_it_listens_on_loopback_alone(own_broker: Embedded) -> None:
    assert own_broker.pid is not None
    listening = [c for c in psutil.Process(own_broker.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert [(c.laddr.ip, c.laddr.port) for c in listening] == [("127.0.0.1", own_broker.port)]


def test_mosquitto_does_not_stay_root(mosquitto: Embedded) -> None:
    assert mosquitto.pid is not None
    assert os.geteuid() != 0 or psutil.Process(mosquitto.pid).uids().effective != 0


def test_it_starts_again_on_the_same_port_after_a_kill(own_broker: Embedded) -> None:
    port, pid = own_broker.port, own_broker.pid
    own_broker.kill()
    assert not answers_connect("127.0.0.1", port)
    own_broker.start()
    assert own_broker.port == port
    assert own_broker.pid not in (None, pid)


def test_it_starts_again_after_it_died_by_itself(own_broker: Embedded) -> None:
    assert own_broker.pid is not None
    assert own_broker.start().pid == own_broker.pid
    os.kill(own_broker.pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(own_broker.pid)], timeout=30)
    own_broker.start()
    assert answers_connect("127.0.0.1", own_broker.port)


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("killed_by", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_it_dies_with_its_parent(own_broker: Embedded, killed_by: signal.Signals) -> None:
    script = (
        f"from broker.embedded import Embedded; import time; e = Embedded({own_broker.kind!r}).start();"
        "print(e.pid, e.directory, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, directory = parent.stdout.readline().split()
        parent.send_signal(killed_by)
    try:
        eventually(lambda: ended(int(pid)))
    finally:
        # A killed parent cannot tidy up.
        subprocess.run(["rm", "-rf", directory], check=True)


@pytest.mark.usefixtures("mosquitto")
def test_a_given_folder_is_kept_also_where_mosquitto_may_not_walk(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with Embedded("mosquitto", directory=tmp_path / "state") as kept:
        assert kept.directory == tmp_path / "state"
    assert (tmp_path / "state" / "mosquitto.db").exists()


def test_a_taken_port_is_said_in_one_line_also_where_a_broker_answers(own_broker: Embedded) -> None:
    before = left_behind()
    second = Embedded(own_broker.kind, port=own_broker.port)
    with pytest.raises(TransportError, match="in use") as caught:
        second.start()
    assert "\n" not in caught.value.diagnostics
    assert left_behind() == before
    assert second.pid is None


def test_asking_for_a_mosquitto_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker.embedded, "find_mosquitto", lambda: None)
    with pytest.raises(ConfigurationError, match="install it"):
        Embedded("mosquitto")
    assert Embedded("auto").kind == "iotcore"


@pytest.mark.parametrize(
    "answer", [b"", b"\x20", connack(0x87), b"HTTP/1.1 400 Bad Request\r\n"], ids=["end", "part", "refusal", "http"]
)
def test_the_probe_believes_an_accepting_connack_alone(answer: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.next(1)
        peer.send(answer)

    with FakeBroker(script) as fake:
        assert not answers_connect("127.0.0.1", int(fake.url.rpartition(":")[2]))
