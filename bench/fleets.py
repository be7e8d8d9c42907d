"""The pipelines that are compared, with one model: two fleets of real parties, the plain pipeline, the echo.

sealed   the real parties
clear    the real parties, their messages the same in form and length, with the cryptographic primitives replaced
         by copying (bench.unsealed): the same pipeline in the clear
plain    plain bytes: the same link, outbox, process boundary, runtime and module, and nothing else (bench.plain)
echo     paho alone: no outbox, no boundary, no module (bench.echo)
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from broker.embedded import Embedded
from guests.breast_cancer.build import BuiltModel
from schemas.kinds import Role
from sealedge.operations.demo.stage import AGENT, SENSOR, Stage

BYTECODE_SECONDS: Final = 60.0
KINDS: Final = ("sealed", "clear", "plain", "echo")


class Worker:
    """A loop in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def measure(self, requests: int, in_flight: int) -> tuple[float, float]:
        """p50 in milliseconds, and requests a second."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a worker without pipes")
        print(requests, in_flight, file=self._process.stdin, flush=True)
        p50, per_second = json.loads(self._process.stdout.readline())
        return float(p50), float(per_second)


def settled(model: BuiltModel, closing: ExitStack, broker: Embedded | None = None) -> Stage:
    """A fleet that serves, whose caches are warm: its bytecode, which is made in the background, too."""
    stage = closing.enter_context(Stage(model, say_nothing, broker=broker))
    stage.start_service()
    kept = stage.directory / "agents" / AGENT / "state" / "bytecode"
    until = time.monotonic() + BYTECODE_SECONDS
    while not kept.exists():
        if time.monotonic() > until:
            raise RuntimeError("the agent keeps no bytecode for its next start")
        time.sleep(0.1)
    return stage


def workers(sealed: Stage, model: BuiltModel, reading: bytes, closing: ExitStack) -> dict[str, Worker]:
    """A loop for each kind, all on the broker of `sealed`."""
    clear = closing.enter_context(
        Stage(model, say_nothing, fleet="clear", broker=sealed.broker, program="bench.unsealed")
    )
    clear.start_service()
    url = sealed.broker.url
    closing.enter_context(serving("bench.plain", "agent", url, str(model.path)))
    closing.enter_context(serving("bench.echo", url))
    kept = Path(closing.enter_context(tempfile.TemporaryDirectory())) / "reading"
    kept.write_bytes(reading)
    places = (sealed.settings(Role.SENSOR, SENSOR), clear.settings(Role.SENSOR, SENSOR), url, url)
    return {
        kind: Worker(closing.enter_context(serving("bench.loops", kind, place, str(kept))))
        for kind, place in zip(KINDS, places, strict=True)
    }


def in_turn(kinds: Sequence[str], runs: int) -> Iterator[Sequence[str]]:
    """The kinds, each run from another one on: the machine's drift meets all of them, and each is first as often."""
    for run in range(runs):
        first = run % len(kinds)
        yield (*kinds[first:], *kinds[:first])


def progress(text: str) -> None:
    """Say to whoever waits what is being measured."""
    print(text, file=sys.stderr, flush=True)


def say_nothing(_said: object) -> None:
    """Nobody watches a fleet."""


@contextmanager
def serving(module: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A helper process that says `ready` when it is."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{module} did not come up")
        try:
            yield process
        finally:
            process.terminate()
