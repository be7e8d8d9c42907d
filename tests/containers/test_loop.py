"""The whole loop by testcontainers, with kills in the middle: nothing is lost, nothing is answered twice."""

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from docker.models.containers import Container
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tests.containers.engine import BROKER_IMAGE, IMAGE, USER, run

pytestmark = pytest.mark.slow

SECONDS = 120
SAVED_SECONDS = 3
"""mosquitto saves every two."""

READINGS = 20
OPTIONS = ["--fleet=plant", "--tee=simulated", "--model=vibration", "--tls", "--broker=mqtts://broker:8883"]
HARDENED = {
    "user": USER,
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
}
FOLDERS = {
    "trust": "trust",
    "broker": "broker",
    "verifier": "verifier",
    "publisher": "publisher",
    "agent": "agents/agent-1",
    "sensor": "sensors/sensor-1",
    "consumer": "consumers/consumer-1",
}


class Fleet:
    """Containers of one fleet on a network of their own; each party has two volumes, its keys and its state."""

    def __init__(self, network: Network) -> None:
        self.name = f"sealedge-loop-{uuid4().hex[:8]}"
        self.network = network
        self.started: list[DockerContainer] = []

    def make(self) -> None:
        made = {self.volume(name): f"/fleet/{folder}" for name, folder in FOLDERS.items()}
        made |= {self.volume("authority"): "/authority", self.volume("broker-state"): "/state"}
        init = self._start(
            DockerContainer(IMAGE).with_command(OPTIONS), made, "rw", entrypoint=["python", "/opt/deploy/provision.py"]
        )
        assert ended(init) == 0, init.logs()

    def volume(self, name: str) -> str:
        return f"{self.name}-{name}"

    def broker(self) -> Container:
        container = DockerContainer(BROKER_IMAGE).with_command(["mosquitto", "-c", "mosquitto.conf"])
        container.with_network(self.network).with_network_aliases("broker")
        keys = {self.volume("broker"): "/fleet/broker"}
        container.with_volume_mapping(self.volume("broker-state"), "/fleet/broker/data", "rw,nocopy")
        return self._start(container, keys, "ro", working_dir="/fleet/broker")

    def party(self, name: str, *command: str) -> Container:
        container = DockerContainer(IMAGE).with_command([*command, "--config", f"{FOLDERS[name]}/{name}.toml"])
        container.with_network(self.network).with_volume_mapping(self.volume(f"{name}-state"), "/state", "rw")
        return self._start(container, {self.volume(each): f"/fleet/{FOLDERS[each]}" for each in (name, "trust")}, "ro")

    def send(self) -> list[dict[str, Any]]:
        """Twenty readings; what became of each."""
        sensor = self.party("sensor", "sensor", "send", "/opt/trial/readings.csv", "--wait", "60", "--quiet")
        assert ended(sensor) == 0, sensor.logs()
        return results(sensor)

    def end(self) -> None:
        for container in self.started:
            container.stop()
        run("volume", "rm", *run("volume", "ls", "--quiet", "--filter", f"name={self.name}").split())

    def _start(self, container: DockerContainer, volumes: dict[str, str], mode: Any, **more: Any) -> Container:
        for volume, folder in volumes.items():
            container.with_volume_mapping(volume, folder, mode)
        for folder in ("/tmp", "/mosquitto/data", "/mosquitto/log"):
            container.with_tmpfs_mount(folder)
        self.started.append(container.with_kwargs(**HARDENED, **more))
        return container.start().get_wrapped_container()


def ended(container: Container) -> int:
    return int(container.wait(timeout=SECONDS)["StatusCode"])


def results(container: Container) -> list[dict[str, Any]]:
    said = container.logs(stderr=False).decode().splitlines()
    return [json.loads(line) for line in said if line.startswith("{")]


def killed_and_back(container: Container) -> None:
    container.kill("SIGKILL")
    container.start()


@pytest.fixture
def fleet(image: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    # Its watchdog is one more public image, with the engine's socket in it; what is started here is ended here.
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)
    with Network(docker_network_kw={"internal": True}) as network:
        made = Fleet(network)
        try:
            made.make()
            yield made
        finally:
            made.end()


def test_readings_are_answered_once_each_while_broker_and_agent_are_killed(fleet: Fleet) -> None:
    broker = fleet.broker()
    fleet.party("verifier", "verifier", "--quiet")
    described = ["/opt/trial/vibration.wasm", "--describe", "/opt/trial/vibration.toml"]
    assert ended(fleet.party("publisher", "publisher", "publish", *described)) == 0
    fleet.party("publisher", "publisher", "serve", "--quiet")
    agent = fleet.party("agent", "agent")
    consumer = fleet.party("consumer", "consumer", "--count", str(3 * READINGS), "--timeout", str(SECONDS))
    first = fleet.send()
    time.sleep(SAVED_SECONDS)
    killed_and_back(broker)
    second = fleet.send()
    killed_and_back(agent)
    third = fleet.send()
    assert ended(consumer) == 0, consumer.logs()
    sent = [each["request"] for each in [*first, *second, *third]]
    assert [each["status"] for each in [*first, *second, *third]] == ["answered"] * 3 * READINGS
    assert len(set(sent)) == 3 * READINGS
    assert sorted(each["request"] for each in results(consumer)) == sorted(sent)
