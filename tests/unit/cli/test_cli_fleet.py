"""A fleet that `init` made, run by real processes over the embedded broker: from a reading to a receipt that holds."""

import json
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import IO, Any

import pytest

from broker.embedded import Embedded
from broker.threaded import ThreadedLink
from sealedge.cli import main
from sealedge.operations.parties.agent import build_agent
from sealedge.operations.parties.publisher import build_publisher
from sealedge.operations.parties.verifier import build_verifier
from sealedge.operations.settings import AgentSettings, PublisherSettings, VerifierSettings
from tests.support.wat_modules import ECHO, performing

Run = Callable[..., tuple[int, str, str]]
SECONDS = 30
DESCRIPTION = """
name = "echo"
tiers = ["simulated"]
inputs = [{ name = "x", dtype = "float32", shape = [3] }]
outputs = [{ name = "y", dtype = "float32", shape = [3], labels = ["a", "b", "c"] }]
"""


class Processes:
    """`sealedge` commands in one folder. What each says on stderr is kept for when a test fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[str]] = {}
        self._logs: list[IO[str]] = []

    def start(self, name: str, *arguments: str, stdout: int = subprocess.DEVNULL) -> "subprocess.Popen[str]":
        log = (self.folder / f"{name}.log").open("w")
        self._logs.append(log)
        process = subprocess.Popen(
            [sys.executable, "-m", "sealedge", *arguments], cwd=self.folder, text=True, stdout=stdout, stderr=log
        )
        self.running[name] = process
        return process

    def send(self, source: str, seconds: float) -> "subprocess.CompletedProcess[str]":
        settings = "f/sensors/sensor-1/sensor.toml"
        command = [sys.executable, "-m", "sealedge", "sensor", "send", source, "--wait", str(seconds)]
        return subprocess.run(
            [*command, "--config", settings],
            cwd=self.folder,
            text=True,
            capture_output=True,
            timeout=2 * SECONDS,
            check=False,
        )

    def wait_for(self, name: str, word: str) -> None:
        """Until a process has said this word."""
        until = time.monotonic() + SECONDS
        while word not in (self.folder / f"{name}.log").read_text():
            assert self.running[name].poll() is None, f"{name} ended: {self.said(name)}"
            assert time.monotonic() < until, f"{name} never said {word}: {self.said(name)}"
            time.sleep(0.02)

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def end(self, name: str) -> int:
        """SIGTERM, and the exit status."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        with process.stdout or nullcontext():
            return process.wait(SECONDS)

    def close(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        for log in self._logs:
            log.close()


def by_row(said: str) -> list[dict[str, Any]]:
    """What the sensor said of its readings, which is in the order in which they were answered."""
    return sorted((json.loads(line) for line in said.splitlines()), key=lambda line: int(line["row"]))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """A command that ends by itself, in this process: its exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capfd.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    found = Processes(tmp_path)
    try:
        yield found
    finally:
        found.close()


def start_fleet(processes: Processes, run: Run) -> None:
    """Broker, verifier, publisher with a model, and an agent with it, attested."""
    broker = processes.start("broker", "broker", "--port", "0", stdout=subprocess.PIPE)
    assert broker.stdout is not None
    url = broker.stdout.readline().strip()
    status, _, error = run("init", "f", "--fleet", "plant", "--tee", "simulated", "--model", "echo", "--broker", url)
    assert status == 0, error
    processes.start("verifier", "verifier", "--config", "f/verifier/verifier.toml")
    processes.start("agent", "agent", "--config", "f/agents/agent-1/agent.toml")
    (processes.folder / "m.wasm").write_bytes(performing(ECHO))
    (processes.folder / "m.toml").write_text(DESCRIPTION)
    publish = ("publisher", "publish", "m.wasm", "--describe", "m.toml", "--config", "f/publisher/publisher.toml")
    status, _, error = run(*publish)
    assert status == 0, error
    processes.start("publisher", "publisher", "serve", "--config", "f/publisher/publisher.toml")


@pytest.fixture
def fleet_here(run: Run) -> Iterator[None]:
    """The same fleet with its parties in threads of this process, the enclave in place."""
    with ExitStack() as closing:
        url = closing.enter_context(Embedded()).url
        init = ("init", "f", "--fleet", "plant", "--tee", "simulated", "--model", "echo", "--broker", url)
        assert run(*init)[0] == 0
        agent = Path("f/agents/agent-1/agent.toml")
        agent.write_text('enclave = "in-place"\n' + agent.read_text())
        Path("m.wasm").write_bytes(performing(ECHO))
        Path("m.toml").write_text(DESCRIPTION)
        assert (
            run("publisher", "publish", "m.wasm", "--describe", "m.toml", "--config", "f/publisher/publisher.toml")[0]
            == 0
        )
        verifying = VerifierSettings.load("f/verifier/verifier.toml")
        publishing = PublisherSettings.load("f/publisher/publisher.toml")
        running = AgentSettings.load(agent)
        for settings, party in (
            (verifying, build_verifier(verifying, closing, now=time.time())),
            (publishing, build_publisher(publishing, closing, now=time.time())),
            (running, build_agent(running, closing, now=time.time())),
        ):
            closing.enter_context(ThreadedLink(party, settings.connection, strict=True))
        yield


@pytest.mark.usefixtures("fleet_here")
def test_a_fleet_in_one_process_from_init_to_receipts(run: Run) -> None:
    """The quick twin of what follows."""
    consumer = ("consumer", "--receipts", "receipts", "--config", "f/consumers/consumer-1/consumer.toml")
    assert run(*consumer, "--timeout", "0.1")[0] == 0, "its session at the broker is there from now on"
    Path("r.csv").write_text("x,y,z\n1,2,3\n4.5,5,-6\n")
    send = ("sensor", "send", "r.csv", "--config", "f/sensors/sensor-1/sensor.toml", "--wait")
    status, said, error = run(*send, str(SECONDS))
    assert status == 0, error
    answers = by_row(said)
    assert [each["output"]["y"] for each in answers] == [[1.0, 2.0, 3.0], [4.5, 5.0, -6.0]]
    status, said, error = run(*consumer, "--count", "2", "--timeout", str(SECONDS))
    assert status == 0, error
    results = [json.loads(line) for line in said.splitlines()]
    assert {each["request"]: each["labels"] for each in results} == {
        answers[0]["request"]: ["c"],
        answers[1]["request"]: ["b"],
    }

    verify = ("receipt", "verify", f"receipts/{answers[0]['request']}.receipt", "--fleet", "f", "--input", "in")
    Path("in").write_bytes(struct.pack("<3f", 1, 2, 3))
    status, said, error = run(*verify, "--json")
    assert (status, json.loads(said)["contents_checked"]) == (0, ["input"]), error
    Path("in").write_bytes(bytes(12))
    assert run(*verify)[0] == 1
    status, _, error = run("revoke", "measurement", json.loads(said)["measurement"], "--fleet", "f", "--publish")
    assert status == 0, error
    Path("in").write_bytes(struct.pack("<3f", 1, 2, 3))
    assert "revoked" in run(*verify)[2]
    assert run(*send, "0.5")[0] == 1, "nothing more is answered"


@pytest.mark.slow
def test_a_fleet_from_init_to_receipts(processes: Processes, run: Run) -> None:
    start_fleet(processes, run)
    consume = ("consumer", "--count", "2", "--timeout", str(SECONDS), "--receipts", "receipts", "--config")
    consumer = processes.start("consumer", *consume, "f/consumers/consumer-1/consumer.toml", stdout=subprocess.PIPE)
    processes.wait_for("consumer", "manifest-accepted")
    (processes.folder / "r.csv").write_text("x,y,z\n1,2,3\n4.5,5,-6\n")
    sent = processes.send("r.csv", SECONDS)
    assert sent.returncode == 0, sent.stderr + processes.said("agent") + processes.said("verifier")

    answers = by_row(sent.stdout)
    assert [(each["row"], each["status"], each["tier"]) for each in answers] == [
        (1, "answered", "simulated"),
        (2, "answered", "simulated"),
    ]
    assert [each["output"]["y"] for each in answers] == [[1.0, 2.0, 3.0], [4.5, 5.0, -6.0]]
    assert [each["labels"] for each in answers] == [["c"], ["b"]]

    assert consumer.stdout is not None
    with consumer.stdout:
        results = [json.loads(line) for line in consumer.stdout]
    assert consumer.wait(SECONDS) == 0
    assert {each["request"] for each in results} == {each["request"] for each in answers}
    assert {each["sender"] for each in results} == {"sensor-1"}

    # Receipts hold offline, for these bytes and no others; then the enclave's code is revoked.
    bundle = f"receipts/{answers[0]['request']}.receipt"
    (processes.folder / "in").write_bytes(b"\0\0\x80?\0\0\0@\0\0@@")
    verify = ("receipt", "verify", bundle, "--fleet", "f")
    status, shown, _ = run(*verify, "--input", "in", "--output", "in", "--json")
    assert (status, json.loads(shown)["contents_checked"]) == (0, ["input", "output"])
    (processes.folder / "in").write_bytes(bytes(12))
    assert run(*verify, "--input", "in")[0] == 1
    status, _, error = run("revoke", "measurement", json.loads(shown)["measurement"], "--fleet", "f", "--publish")
    assert status == 0, error
    status, _, error = run(*verify)
    assert (status, error.partition(":")[2].partition(":")[0]) == (1, " revoked")
    processes.wait_for("agent", "revocations-accepted")
    processes.wait_for("verifier", "lease-ended")

    # Nothing more is answered, and everybody leaves in order.
    again = processes.send("r.csv", 0.5)
    assert again.returncode == 1
    assert {json.loads(line)["status"] for line in again.stdout.splitlines()} == {"timed-out"}
    assert [processes.end(name) for name in ("agent", "publisher", "verifier", "broker")] == [0, 0, 0, 0]
