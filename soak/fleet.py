"""The fleet that is soaked: made by `sealedge init --tls`, and how each of its processes is started.

    sensor steady ─┐                                                    ┌─ verifier
    sensor single ─┴─ mosquitto (TLS, client certificates, ACL) ─┬──────┴─ publisher
    consumer ────────────────────────────────────────────────────┴─ agent ── enclave

One sensor keeps a session, the other seals each reading by itself; both want their results at the consumer, too.
Leases last a minute, so that a run renews them many times.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker.children import find_mosquitto
from broker.embedded import free_port
from guests.breast_cancer.build import BuiltModel
from protocol.errors import ConfigurationError

ROOT: Final = Path(__file__).parents[1]
MODEL: Final = "breast-cancer"
STEADY, SINGLE = "steady", "single"
SENSORS: Final = (STEADY, SINGLE)
LEASE_SECONDS: Final = 60
LIMITS: Final = {"memory_bytes": 2**24, "milliseconds": 1000, "output_bytes": 4096}


@dataclass(frozen=True, slots=True)
class Program:
    """How a process is started: its command, where, and whether its standard input is written."""

    command: Sequence[str]
    folder: Path
    is_fed: bool = False


class Fleet:
    """A fleet in `folder`, which is not there yet. Raises `ConfigurationError` where there is no mosquitto."""

    def __init__(self, folder: Path, model: BuiltModel, request_seconds: float) -> None:
        self.folder, self._model, self._request_seconds = folder, model, request_seconds
        found = find_mosquitto()
        if found is None:
            raise ConfigurationError("no mosquitto program is installed: the soak is over a real broker")
        self._mosquitto, self.port = found, free_port()
        self.description = folder.parent / "model.json"

    def create(self) -> None:
        """Make it, and package the model."""
        names = ("--agents", "bedside", "--sensors", ",".join(SENSORS), "--consumers", "office", "--model", MODEL)
        url = f"mqtts://127.0.0.1:{self.port}"
        sealedge("init", str(self.folder), "--fleet", "soak", "--tls", "--broker", url, "--tee", "simulated", *names)
        self._shorten_leases()
        if os.geteuid() == 0:
            # The folder is its owner's alone, and a mosquitto that root starts would become another.
            configured = self.folder / "broker" / "mosquitto.conf"
            configured.write_text(f"user root\n{configured.read_text('utf-8')}", "utf-8")
        tensors = {"inputs": self._model.inputs, "outputs": self._model.outputs}
        said = {name: [each.model_dump(exclude_none=True) for each in specs] for name, specs in tensors.items()}
        self.description.write_text(json.dumps({"name": MODEL, **said, "tiers": ["simulated"], "limits": LIMITS}))
        module = (str(self._model.path), "--describe", str(self.description))
        sealedge("publisher", "publish", *module, "--config", str(self.folder / "publisher" / "publisher.toml"))

    def programs(self) -> Mapping[str, Program]:
        """Every process, in the order in which they are started."""
        run = (sys.executable, "-m", "sealedge")
        log = ("--log", "json")

        def party(*words: str, config: str, fed: bool = False) -> Program:
            return Program((*run, *words, "--config", config, *log), self.folder, fed)

        def sensor(name: str, *form: str) -> Program:
            wait = ("--wait", str(self._request_seconds))
            return party("sensor", "send", "-", *form, *wait, config=f"sensors/{name}/sensor.toml", fed=True)

        return {
            "broker": Program((self._mosquitto, "-c", "mosquitto.conf"), self.folder / "broker"),
            "verifier": party("verifier", config="verifier/verifier.toml"),
            "publisher": party("publisher", "serve", config="publisher/publisher.toml"),
            "agent": party("agent", config="agents/bedside/agent.toml"),
            "consumer": party("consumer", config="consumers/office/consumer.toml"),
            STEADY: sensor(STEADY),
            SINGLE: sensor(SINGLE, "--one-shot"),
        }

    def broker_listens(self) -> bool:
        """Whether the broker takes connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _shorten_leases(self) -> None:
        policy = self.folder / "verifier" / "policy.toml"
        text, usual = policy.read_text("utf-8"), "\nlease_seconds = 300\n"
        if usual not in text:
            raise ConfigurationError("policy.toml names another lease than this shortens")
        policy.write_text(text.replace(usual, f"\nlease_seconds = {LEASE_SECONDS}\n"), "utf-8")
        with (self.folder / "publisher" / "publisher.toml").open("a") as settings:
            settings.write(f"\n[release]\nkey_lease_seconds = {LEASE_SECONDS}\n")


def sealedge(*arguments: str) -> str:
    """Run a command to its end; what it prints. Raises `ConfigurationError` with its last line where it fails."""
    command = [sys.executable, "-m", "sealedge", *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise ConfigurationError(f"sealedge {arguments[0]} failed: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


def environment() -> dict[str, str]:
    """Of every process: this very checkout, and bytecode kept, without which each start compiles everything anew."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
