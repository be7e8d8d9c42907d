"""A fleet that `sealedge init --tls` made, its mosquitto as a process, and its parties with their own certificates."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from broker.children import find_mosquitto
from broker.embedded import free_port
from broker.settings import ConnectionSettings
from broker.threaded import ThreadedLink
from edge_agent.agent import Agent
from publisher.publisher import Publisher
from schemas.kinds import Role, Tier
from sealedge.operations.fleet import Fleet
from sealedge.operations.init import FleetPlan, create_fleet
from sealedge.operations.settings import access_of
from tests.support.world import World
from tests.unit.client.live_fleet import LiveFleet, mean
from verifier.verifier import Verifier

ACCOUNTS = {
    Verifier: (Role.VERIFIER, "verifier"),
    Publisher: (Role.PUBLISHER, "publisher"),
    Agent: (Role.AGENT, "agent-1"),
}


def made_with_tls(folder: Path, name: str) -> Fleet:
    """As `sealedge init --tls` makes it."""
    plan = FleetPlan(name, tee=Tier.SIMULATED, broker=f"mqtts://127.0.0.1:{free_port()}", tls=True)
    return create_fleet(folder / name, plan, now=time.time(), randomness=os.urandom)


class Mosquitto:
    """A mosquitto that a person started in `folder`, on these ports."""

    def __init__(self, folder: Path, *ports: int) -> None:
        found = find_mosquitto()
        if found is None:
            if os.environ.get("CI") == "true":
                pytest.fail("CI must have mosquitto: without it real brokers go untested")
            pytest.skip("no mosquitto program is installed")
        self.program, self.folder, self.ports = found, folder, ports
        if os.geteuid() == 0:
            # pytest's folders are the owner's alone: a mosquitto that root starts stays root here.
            conf = folder / "mosquitto.conf"
            conf.write_text("user root\n" + conf.read_text())

    def start(self) -> "Mosquitto":
        command = [self.program, "-c", "mosquitto.conf"]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, cwd=self.folder, **silent)  # type: ignore[call-overload]
        until = time.monotonic() + 10
        while not all(self._listens(port) for port in self.ports):
            assert time.monotonic() < until, "mosquitto does not listen"
            time.sleep(0.02)
        return self

    def save(self) -> None:
        """Write sessions and messages now, which mosquitto does by itself every two seconds (autosave_interval)."""
        saved = self.folder / "data" / "mosquitto.db"
        before = saved.stat().st_mtime_ns if saved.exists() else 0
        self.process.send_signal(signal.SIGUSR1)
        until = time.monotonic() + 10
        while not saved.exists() or saved.stat().st_mtime_ns == before:
            assert time.monotonic() < until, "mosquitto does not save"
            time.sleep(0.01)

    def kill(self) -> None:
        """As kill -9 does: nothing is saved."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def _listens(self, port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0


class CertifiedFleet(LiveFleet):
    """The parties of `made`, each with the certificate and the rights of its own account. `computed`: every input."""

    def __init__(self, made: Fleet, folder: Path) -> None:
        self.made, self.root = made, folder
        self.embedded: Any = SimpleNamespace(url=made.description.broker)
        self.links: list[ThreadedLink] = []
        self.computed: list[bytes] = []
        World.__init__(self, fleet=made.name, compute=self._counted)
        self.randomness = os.urandom

    def _counted(self, data: bytes) -> bytes:
        self.computed.append(data)
        return mean(data)

    def account(self, role: Role, name: str) -> ConnectionSettings:
        return access_of(self.made.folder.settings(role, name)).connection

    def write(self, role: Role, name: str, **settings: Any) -> Path:
        folder, own = super().write(role, name, **settings), self.account(role, name)
        files = [("ca_file", own.ca_file), ("certificate_file", own.certificate_file), ("key_file", own.key_file)]
        with (folder / f"{role}.toml").open("a") as file:
            file.writelines(f'{key} = "{path}"\n' for key, path in files)
        return folder

    def _start(self, party: Any) -> Any:
        link = ThreadedLink(party, self.account(*ACCOUNTS[type(party)]), strict=True)
        link.start()
        self.links.append(link)
        self.parties[party.client_id] = party
        return party
