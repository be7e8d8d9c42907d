"""`python -m bench`: the sealed loop against the same loop in the clear, and both against a bare echo.

All figures of a row come from one run of this program, in turn, on one broker: read the ratios, not the times.

    sealed      the real parties
    unsealed    the real parties with their cryptographic primitives replaced by copying (bench.unsealed)
    clear       plain bytes: the same link, outbox, process boundary, runtime and module, and nothing else (bench.clear)
    echo        paho alone: no outbox, no boundary, no module (bench.echo)
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.table import Row, show, write
from guests.breast_cancer.build import BuiltModel
from schemas.kinds import Role
from sealedge.operations.demo.display import Display
from sealedge.operations.demo.stage import AGENT, SENSOR, Stage, demo_folder

RUNS = int(os.environ.get("BENCH_RUNS", "9"))
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "300"))
MANY = 32
RESULTS = Path(__file__).with_name("results.json")
ROOT = Path(__file__).parents[1]
MEGABYTE = 1e6
COMPARED = (("sealed", "clear"), ("sealed", "unsealed"), ("unsealed", "clear"), ("sealed", "echo"), ("clear", "echo"))


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


def main() -> int:
    """Measure, print, write results.json."""
    os.environ["PYTHONPATH"] = str(ROOT)
    with Display(quiet=False) as display:
        model = display.build(demo_folder())
    with ExitStack() as closing:
        sealed = closing.enter_context(Stage(model, _say_nothing))
        started = time.perf_counter()
        sealed.start_service()
        rows = [_start_row(sealed, time.perf_counter() - started), *_memory_rows(sealed)]
        workers = _workers(closing, sealed, model)
        rows += _compare(workers)
    write(rows, RESULTS)
    print(show(rows))
    return 0


def _workers(closing: ExitStack, sealed: Stage, model: BuiltModel) -> dict[str, Worker]:
    unsealed = closing.enter_context(
        Stage(model, _say_nothing, fleet="unsealed", broker=sealed.broker, program="bench.unsealed")
    )
    unsealed.start_service()
    url = sealed.broker.url
    closing.enter_context(_serving("bench.clear", "agent", url, str(model.path)))
    closing.enter_context(_serving("bench.echo", url))
    reading = Path(closing.enter_context(tempfile.TemporaryDirectory())) / "reading"
    reading.write_bytes(model.patients().inputs[0].tobytes())
    places = {
        "sealed": sealed.settings(Role.SENSOR, SENSOR),
        "unsealed": unsealed.settings(Role.SENSOR, SENSOR),
        "clear": url,
        "echo": url,
    }
    return {
        kind: Worker(closing.enter_context(_serving("bench.loops", kind, where, str(reading))))
        for kind, where in places.items()
    }


def _compare(workers: dict[str, Worker]) -> list[Row]:
    for worker in workers.values():
        worker.measure(300, MANY)
    rows: list[Row] = []
    for flight, figure, what, unit in ((1, 0, "p50 tiny", "ms"), (MANY, 1, f"throughput {MANY}", "requests/s")):
        requests = REQUESTS if flight == 1 else 5 * REQUESTS
        print(f"{RUNS} runs of {requests} requests each, {flight} in flight", file=sys.stderr, flush=True)
        # In turn, so that the machine's drift meets all of them.
        runs = [{kind: each.measure(requests, flight)[figure] for kind, each in workers.items()} for _ in range(RUNS)]
        rows += [_row(f"{a}/{b} {what}", [run[a] for run in runs], [run[b] for run in runs], unit) for a, b in COMPARED]
    return rows


def _row(name: str, a: list[float], b: list[float], unit: str) -> Row:
    ratio = statistics.median(one / other for one, other in zip(a, b, strict=True))
    return Row(name, round(ratio, 3), round(statistics.median(a), 3), round(statistics.median(b), 3), unit, len(a))


def _start_row(stage: Stage, all_started: float) -> Row:
    """From the start of the agent's process to the attestation result that names its model."""
    stage.troupe.stop("agent")
    stage.troupe.wait_for_end("agent")
    started = time.perf_counter()
    stage.start("agent", "agent", "--config", stage.settings(Role.AGENT, AGENT))
    stage.troupe.wait_for(
        lambda said: said["party"] == "agent" and said["event"] == "attested" and said["models"] > 0, "the agent"
    )
    seconds = time.perf_counter() - started
    name = "agent start to attested with its model/all parties"
    return Row(name, round(seconds / all_started, 3), round(seconds, 3), round(all_started, 3), "s", 1)


def _memory_rows(stage: Stage) -> list[Row]:
    """The agent and its enclave: each page that both map is counted twice in the first, once in the second."""
    return [
        Row(f"agent memory ({name})/goal", round(used / MEGABYTE / 100, 3), round(used / MEGABYTE, 1), 100.0, "MB", 1)
        for name, used in (("RSS", stage.troupe.memory("agent", "Rss")), ("PSS", stage.troupe.memory("agent", "Pss")))
        if used is not None
    ]


@contextmanager
def _serving(module: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """A helper process that says `ready` when it is."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{module} did not come up")
        try:
            yield process
        finally:
            process.terminate()


def _say_nothing(_said: object) -> None:
    """Nobody watches."""


if __name__ == "__main__":
    sys.exit(main())
