"""An enclave without cryptography that does what a delivery's payload says: for tests of what stands around one.

As a program (`command`) it is a child process behind the real boundary.
"""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from edge_agent.enclave import serving
from edge_agent.enclave.__main__ import main as run
from edge_agent.enclave.configuration import EnclaveConfiguration, Measured
from edge_agent.enclave.needs import (
    ChunksNeeded,
    EvidenceNeeded,
    ModelSealed,
    SealedModelEnded,
    SealedModelNeeded,
)
from edge_agent.enclave_client import EnclaveCrashedError
from protocol.errors import EnclaveError
from protocol.party import Delivery, Event, Noted, Publication, Subscription
from schemas.reason import Reason

TOPIC = "sealedge/v1/clinic/agent/agent-1/request"
SECRET = "reading-5-9-2-6"
CONFIGURATION = EnclaveConfiguration(
    measured=Measured(fleet="clinic", authority={1: 2}, models=("scan",)), agent="agent-1", enrolment=b"e"
)
ONE_OF_EACH: tuple[Event, ...] = (
    Publication("a/b", b"\x00\xff", 1, True, 60, "c/d", b"corr", "application/json"),
    Publication("a", b""),
    Subscription("a/+", 0, False),
    Noted("seen", {"text": "t", "whole": -1, "part": 0.25, "truth": True, "nothing": None}),
    EvidenceNeeded(b"token", b"r" * 64),
    ChunksNeeded("scan", (b"1" * 32, b"2" * 32)),
    SealedModelNeeded("scan"),
    ModelSealed("scan", b"lease", b"code", 4),
    SealedModelEnded("scan"),
)

ROOT = Path(__file__).parent.parent.parent
MAIN = (
    "import sys; sys.path.insert(0, sys.argv[1]); from tests.support.scripted_enclave import main; "
    "sys.exit(main(sys.argv[2:]))"
)
COMMAND = (sys.executable, "-I", "-c", MAIN, str(ROOT))
"""Runs a `ScriptedEnclave` in a confined child."""


class ScriptedEnclave:
    """Remembers every call in `calls`; answers deliveries as their payload says."""

    client_id = "sealedge-clinic-agent-agent-1"

    def __init__(self, will: Publication | None = None, connected: Sequence[Event] = (Subscription(TOPIC),)) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.deadline: float | None = None
        self._will, self._connected = will, connected

    def will(self, now: float) -> Publication | None:
        self.calls.append(("will", now))
        return self._will

    def connected(self, now: float) -> Sequence[Event]:
        self.calls.append(("connected", now))
        return self._connected

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        self.calls.append(("receive", delivery, now))
        action = delivery.payload.partition(b":")[0].decode(errors="replace")
        return getattr(self, f"_{action}", self._echo)(delivery)

    def receive_many(self, deliveries: Sequence[Delivery], now: float) -> Sequence[Event]:
        return [event for delivery in deliveries for event in self.receive(delivery, now)]

    def expire(self, now: float) -> Sequence[Event]:
        self.calls.append(("expire", now))
        self.deadline = None
        return [Noted("expired")]

    def leaving(self, now: float) -> Sequence[Event]:
        self.calls.append(("leaving", now))
        return [Noted("left")]

    def evidence_collected(self, token: bytes, media_type: str, evidence: bytes, now: float) -> Sequence[Event]:
        self.calls.append(("evidence_collected", token, media_type, evidence, now))
        return [Publication("evidence", evidence)]

    def chunks_collected(self, model: str, payloads: tuple[bytes, ...], now: float) -> Sequence[Event]:
        self.calls.append(("chunks_collected", model, payloads, now))
        return [Noted("loaded", {"model": model, "bytes": sum(map(len, payloads)), "chunks": len(payloads)})]

    def sealed_model_read(self, model: str, lease: bytes, code: bytes, now: float) -> Sequence[Event]:
        self.calls.append(("sealed_model_read", model, lease, code, now))
        return [Noted("read", {"model": model, "lease": len(lease), "code": len(code)})]

    # What a delivery can ask for

    def _echo(self, delivery: Delivery) -> Sequence[Event]:
        return [Publication("echo", delivery.payload, correlation=delivery.correlation)]

    def _all(self, _delivery: Delivery) -> Sequence[Event]:
        return ONE_OF_EACH

    def _due(self, delivery: Delivery) -> Sequence[Event]:
        self.deadline = float(delivery.payload.partition(b":")[2])
        return []

    def _evidence(self, _delivery: Delivery) -> Sequence[Event]:
        return [EvidenceNeeded(b"token", b"r" * 64)]

    def _chunks(self, delivery: Delivery) -> Sequence[Event]:
        names = delivery.payload.partition(b":")[2]
        return [ChunksNeeded("scan", tuple(bytes.fromhex(each.decode()) for each in names.split()))]

    def _seal(self, delivery: Delivery) -> Sequence[Event]:
        size = int(delivery.payload.partition(b":")[2])
        code = bytes(number % 251 for number in range(size))
        return [ModelSealed("scan", b"lease", code, size)]

    def _read(self, _delivery: Delivery) -> Sequence[Event]:
        return [SealedModelNeeded("scan")]

    def _end(self, _delivery: Delivery) -> Sequence[Event]:
        return [SealedModelEnded("scan")]

    def _refuse(self, _delivery: Delivery) -> Sequence[Event]:
        raise EnclaveError("not today", reason=Reason.BUSY)

    def _raise(self, _delivery: Delivery) -> Sequence[Event]:
        raise ValueError(SECRET)

    def _crash(self, _delivery: Delivery) -> Sequence[Event]:
        raise EnclaveCrashedError("the enclave crashed: on purpose")

    def _stray(self, _delivery: Delivery) -> Sequence[Event]:
        return [Event()]

    def _die(self, _delivery: Delivery) -> Sequence[Event]:
        os.kill(os.getpid(), signal.SIGKILL)
        return []

    def _hang(self, _delivery: Delivery) -> Sequence[Event]:
        time.sleep(60)
        return []

    def _report(self, _delivery: Delivery) -> Sequence[Event]:
        return [
            Noted(
                "report",
                {
                    "environment": " ".join(sorted(os.environ)),
                    "arguments": " ".join(sys.argv[2:]),
                    "descriptors": " ".join(str(each) for each in range(3, 256) if is_open(each)),
                },
            )
        ]


def is_open(descriptor: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_GETFD)
    except OSError:
        return False
    return True


def main(arguments: list[str]) -> int:
    """As `edge_agent.enclave.__main__`, around a scripted enclave."""
    serving.assemble = lambda *_: ScriptedEnclave()  # type: ignore[assignment]
    return run(arguments)
