"""`python -m bench`: the sealed loop against the same loop in the clear, and both against a bare echo.

All figures of a row come from one run of this program, in turn, on one broker: read the ratios, not the times.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench.echo import EchoSensor
from bench.loops import ClearLoop, Measured, SealedLoop, in_turn
from bench.table import Row, show, write
from guests.breast_cancer.build import build
from schemas.kinds import Role
from sealedge.operations.demo.stage import AGENT, SENSOR, Stage

RUNS = int(os.environ.get("BENCH_RUNS", "7"))
REQUESTS = int(os.environ.get("BENCH_REQUESTS", "300"))
MANY = 32
RESULTS = Path(__file__).with_name("results.json")
MODELS = Path(tempfile.gettempdir()) / "sealedge-bench-model"
MEGABYTE = 1e6


def main() -> int:
    """Measure, print, write results.json."""
    model = build(MODELS)
    reading = model.patients().inputs[0].tobytes()
    with ExitStack() as closing:
        stage = closing.enter_context(Stage(model, lambda _said: None))
        started = time.perf_counter()
        stage.start_service()
        rows = [_start_row(stage, time.perf_counter() - started), _memory_row(stage)]
        url = stage.broker.url
        closing.enter_context(_serving("bench.clear", "agent", url, str(model.path)))
        closing.enter_context(_serving("bench.echo", url))
        sealed = SealedLoop(Path(stage.settings(Role.SENSOR, SENSOR)), reading)
        closing.callback(sealed.close)
        clear = ClearLoop(url, stage.directory, reading)
        closing.callback(clear.close)
        echo = EchoSensor(url)
        closing.callback(echo.close)
        rows += _compare(sealed, clear, lambda requests, flight: echo.measure(reading, requests, flight))
    write(rows, RESULTS)
    print(show(rows))
    return 0


def _compare(sealed: SealedLoop, clear: ClearLoop, echo: Callable[[int, int], Measured]) -> list[Row]:
    for each in (sealed, clear):
        each.measure(200, MANY)
    rows: list[Row] = []
    for flight, unit in ((1, "ms p50"), (MANY, "requests/s")):
        requests = REQUESTS if flight == 1 else 5 * REQUESTS
        print(f"{RUNS} runs of {requests} requests each, {flight} in flight", file=sys.stderr, flush=True)
        runs = in_turn(
            RUNS,
            partial(sealed.measure, requests, flight),
            partial(clear.measure, requests, flight),
            partial(echo, requests, flight),
        )
        figure = _p50_ms if flight == 1 else _per_second
        figures = [[figure(each) for each in run] for run in runs]
        what = "p50 tiny" if flight == 1 else f"throughput {MANY}"
        rows += [
            _row(f"sealed/clear {what}", figures, 0, 1, unit),
            _row(f"sealed/echo {what}", figures, 0, 2, unit),
            _row(f"clear/echo {what}", figures, 1, 2, unit),
        ]
    return rows


def _row(name: str, figures: list[list[float]], a: int, b: int, unit: str) -> Row:
    ratio = statistics.median(run[a] / run[b] for run in figures)
    first, second = (statistics.median(run[which] for run in figures) for which in (a, b))
    return Row(name, round(ratio, 3), round(first, 3), round(second, 3), unit, len(figures))


def _p50_ms(measured: Measured) -> float:
    return statistics.median(measured[0]) * 1000


def _per_second(measured: Measured) -> float:
    return len(measured[0]) / measured[1]


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
    return Row("agent restart/all parties started", round(seconds / all_started, 3), seconds, all_started, "s", 1)


def _memory_row(stage: Stage) -> Row:
    used = (stage.troupe.resident_bytes("agent") or 0) / MEGABYTE
    return Row("agent and enclave RSS/goal", round(used / 100, 3), round(used, 1), 100.0, "MB", 1)


@contextmanager
def _serving(module: str, *arguments: str) -> Iterator[None]:
    """A helper process that says `ready` when it is."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{module} did not come up")
        try:
            yield
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main())
