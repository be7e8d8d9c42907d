"""The same pipeline with cryptography and attestation left out, for comparison and nowhere else.

Same broker, same link, same outbox, same process boundary around the same runtime and module; the bytes are plain.
It lives here because no such mode exists in the product.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from broker.link import Link
from broker.process import run
from broker.settings import ConnectionSettings
from edge_agent.enclave.frames import FrameSocket
from edge_agent.enclave.running.runtime import Runtime
from protocol.party import Delivery, Event, Noted, Publication, Store, Subscription
from sealedge.client.outbox import Entry, Outbox

REQUEST, REPLY = "plain/request", "plain/reply"


class PlainSensor:
    """Sends a reading, waits for its result. Keeps the outbox that the real sensor keeps."""

    client_id, deadline = "plain-sensor", None

    def __init__(self, store: Store, answered: Callable[[bytes, bytes], None]) -> None:
        self._outbox = Outbox(store, "plain")
        self._answered = answered

    def will(self, now: float) -> Publication | None:
        return None

    def connected(self, now: float) -> Sequence[Event]:
        return [Subscription(REPLY)]

    def request(self, reading: bytes, now: float) -> tuple[bytes, Sequence[Event]]:
        name = os.urandom(16)
        self._outbox.add(Entry(name, reading, int(now), int(now) + 60))
        return name, [Publication(REQUEST, reading, response_topic=REPLY, correlation=name, expiry=60)]

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        name = delivery.correlation or b""
        self._outbox.withdraw(name)
        self._outbox.remove(name)
        self._answered(name, delivery.payload)
        return []

    def expire(self, now: float) -> Sequence[Event]:
        return []

    def leaving(self, now: float) -> Sequence[Event]:
        return []


class PlainAgent:
    """Hands each reading to a child process that runs the module, and publishes what comes back."""

    client_id, deadline = "plain-agent", None

    def __init__(self, frames: FrameSocket) -> None:
        self._frames = frames

    def will(self, now: float) -> Publication | None:
        return None

    def connected(self, now: float) -> Sequence[Event]:
        return [Subscription(REQUEST), Noted("ready")]

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        self._frames.send(delivery.payload)
        output = self._frames.receive_untrusted() or b""
        return [Publication(delivery.response_topic or REPLY, output, correlation=delivery.correlation)]

    def expire(self, now: float) -> Sequence[Event]:
        return []

    def leaving(self, now: float) -> Sequence[Event]:
        return []


class Child:
    """The process that runs the module for a `PlainAgent`."""

    def __init__(self, module: Path) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "bench.plain", "run", str(module), str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        self.frames = FrameSocket(ours)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.frames.close()
        self._process.wait()


def serve_agent(url: str, module: Path) -> int:
    """The agent's process."""
    with Child(module) as child:
        link = Link(
            PlainAgent(child.frames),
            ConnectionSettings(url=url),
            listener=lambda event: print("ready", flush=True) if isinstance(event, Noted) else None,
        )
        return run(link)


def run_module(module: Path, descriptor: int) -> int:
    """The child's process: bytes in, module, bytes out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    frames = FrameSocket(socket.socket(fileno=descriptor))
    runtime = Runtime()
    loaded = runtime.load(module.read_bytes())
    while (data := frames.receive_untrusted()) is not None:
        frames.send(loaded.run(data))
    runtime.close()
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "run":
        sys.exit(run_module(Path(sys.argv[2]), int(sys.argv[3])))
    sys.exit(serve_agent(sys.argv[2], Path(sys.argv[3])))
