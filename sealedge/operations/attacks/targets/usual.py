"""Before: the usual way. TLS to the broker, an account for each client, JSON, the module in a retained message."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

from broker.ending import await_end
from protocol.errors import TransportError
from protocol.party import Delivery, Publication
from sealedge.operations.attacks.targets.actors import ANSWER_SECONDS, Attacker
from sealedge.operations.attacks.targets.owned_broker import OwnedBroker
from sealedge.operations.attacks.targets.usual_agent import MODEL, REPLY, REQUEST, RESULTS, STATUS

STOP_SECONDS: Final = 2.0


class Usual:
    """The usual way with one sensor, one consumer, one publisher and one agent, for a `with` block."""

    agent_client = "usual-agent"

    def __init__(self, broker: OwnedBroker, module: bytes) -> None:
        self.broker, self.module, self.version = broker, module, 0
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as closing:
            self.folder = self.broker.folder / "usual"
            self.folder.mkdir()
            self.sensor = closing.enter_context(Attacker(self.broker.account("usual-sensor"), REPLY))
            self.consumer = closing.enter_context(Attacker(self.broker.account("usual-consumer"), RESULTS))
            self.publisher = closing.enter_context(Attacker(self.broker.account("usual-publisher"), STATUS))
            self._account = self.broker.account("usual-agent")
            closing.callback(self.stop_agent)
            self.start_agent()
            self.publish(self.module)
            closing.callback(self._clear)
            self._closing = closing.pop_all()
        return self

    def __exit__(self, *_about_the_block: object) -> None:
        self._closing.close()

    def _clear(self) -> None:
        self.publisher.say(Publication(MODEL, b"", retain=True), Publication(STATUS, b"", retain=True))

    @property
    def pid(self) -> int:
        """The agent's process."""
        if self._process is None:
            raise TransportError("the usual agent does not run")
        return self._process.pid

    @property
    def log(self) -> Path:
        """What the agent, and with it the module, writes to standard output."""
        return self.broker.folder / "usual-agent.log"

    def restart_agent(self) -> None:
        """End it, whatever it is at, and start it."""
        self.stop_agent(kill=True)
        self.start_agent()

    def start_agent(self) -> None:
        """Start it, and wait until it says which module it has."""
        account, mark = self._account, self.publisher.mark()
        files = [str(each) for each in (account.ca_file, account.certificate_file, account.key_file)]
        command = [
            sys.executable,
            "-m",
            "sealedge.operations.attacks.targets.usual_agent",
            account.url,
            *files,
            str(self.folder),
        ]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.DEVNULL)  # noqa: S603 - our own
        if self.publisher.hear(lambda each: not each.retained, mark, 20.0) is None:
            raise TransportError("the usual agent does not come up")

    def stop_agent(self, *, kill: bool = False) -> None:
        """End its process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill() if kill else process.terminate()
        await_end(process, STOP_SECONDS)

    def publish(self, module: bytes, version: int | None = None) -> dict[str, Any]:
        """Publish a module, retained, as the next version, and return what the agent says of it."""
        self.version = self.version + 1 if version is None else version
        return self.installed([self.offer(module, self.version)], self.publisher)

    @staticmethod
    def offer(module: bytes, version: int) -> Publication:
        """A model as its publisher says it."""
        said = {"version": version, "module": base64.b64encode(module).decode()}
        return Publication(MODEL, json.dumps(said).encode(), retain=True)

    def installed(self, said: Sequence[Publication], by: Attacker) -> dict[str, Any]:
        """Let somebody say something on the model's topic; what the agent says then."""
        mark = self.publisher.mark()
        by.say(*said)
        status = self.publisher.hear(lambda each: not each.retained, mark)
        found: dict[str, Any] = {} if status is None else json.loads(status.payload)
        return found

    def ask(self, reading: bytes, seconds: float = ANSWER_SECONDS) -> dict[str, Any] | None:
        """The sensor asks, and believes the answer to its question; None where none comes in time."""
        mark = self.sensor.mark()
        publication = self.request(reading)
        self.sensor.say(publication)
        return self.answer(publication.correlation or b"", mark, seconds)

    def output(self, reading: bytes, seconds: float = ANSWER_SECONDS) -> bytes | None:
        """What the sensor is handed for a reading."""
        found = self.ask(reading, seconds)
        return None if found is None or "result" not in found else bytes.fromhex(found["result"])

    def results(self, mark: int) -> list[bytes]:
        """What the consumer was told after a mark."""
        return [event.delivery.payload for event in self.consumer.heard(mark)]

    def settle(self) -> None:
        """Wait until the consumer was told of all that was asked so far."""
        request, mark = self.request(b"\0" + os.urandom(31)), self.consumer.mark()
        self.sensor.say(request)
        name = (request.correlation or b"").hex()
        self.consumer.hear(lambda each: self._id(each) == name, mark)

    def answer(self, name: bytes, mark: int, seconds: float = ANSWER_SECONDS) -> dict[str, Any] | None:
        """What the sensor takes for the answer to its request."""
        found = self.sensor.hear(lambda each: each.correlation == name and self._id(each) == name.hex(), mark, seconds)
        return None if found is None else dict(json.loads(found.payload))

    @staticmethod
    def request(reading: bytes) -> Publication:
        """A reading as the sensor says it."""
        name = os.urandom(8)
        said = {"id": name.hex(), "reading": reading.hex()}
        return Publication(REQUEST, json.dumps(said).encode(), response_topic=REPLY, correlation=name)

    @staticmethod
    def _id(delivery: Delivery) -> str:
        try:
            return str(json.loads(delivery.payload).get("id"))
        except (ValueError, AttributeError):
            return ""
