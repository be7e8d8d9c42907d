"""What a second core brings: through the whole agent, and, as a control in the same runs, without anything of it.

two cores/one                  requests a second, the enclave's threads on two cores and moved to one
two cores/one, runtime alone   the same module in two threads of one process and in one, one call after the other
two cores/one, native          `heavy.c` compiled for the machine itself, in two processes and in one

    python -m bench.cores LIBRARY READING     answers each line `CALLS` with the seconds that they took
"""

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench.fleets import Worker, in_turn, progress, serving
from bench.processes import enclave_of, family, pinned, seconds_on_processor
from bench.table import Row, ratio
from edge_agent.enclave.running.runtime import Runtime
from sealedge.operations.demo.stage import Stage

MANY: Final = 32
CALLS: Final = 8
HERE: Final = Path(__file__).parent
NATIVE_FLAGS: Final = (
    *("-O2", "-ffp-contract=off", "-Wno-unknown-attributes", "-shared", "-fPIC"),
    *("-I", str(HERE / "native")),
)

Rate = Callable[[int], float]
"""Calls or requests a second on so many cores."""


def rows(stage: Stage, loop: Worker, reading: bytes, folder: Path, runs: int, requests: int) -> list[Row]:
    """All three, in turn. None where this process may use one core alone."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        return []
    progress(f"two cores/one: {runs} runs of {requests} requests, {MANY} in flight, and of its controls")
    with ExitStack() as closing:
        agent = Agent(stage, loop, requests, cores)
        rates: dict[str, Rate] = {
            "two cores/one": agent.rate,
            "two cores/one, runtime alone": _runtime(stage.model.path, reading, closing),
            "two cores/one, native": _native(folder, reading, closing),
        }
        found = _measured(rates, runs)
    notes = {"two cores/one": agent.note}
    units = {"two cores/one": "requests/s"}
    return [
        ratio(name, found[name, 2], found[name, 1], units.get(name, "calls/s"), note=notes.get(name, ""))
        for name in rates
    ]


def _measured(rates: dict[str, Rate], runs: int) -> dict[tuple[str, int], list[float]]:
    found: dict[tuple[str, int], list[float]] = {(name, cores): [] for name in rates for cores in (1, 2)}
    for order in in_turn(tuple(rates), runs):
        for run, name in enumerate(order):
            for cores in (1, 2) if run % 2 else (2, 1):
                found[name, cores].append(rates[name](cores))
    return found


class Agent:
    """The sealed pipeline. What else the machine does for it besides computing is in `note`."""

    def __init__(self, stage: Stage, loop: Worker, requests: int, cores: Sequence[int]) -> None:
        self._loop, self._requests, self._cores = loop, requests, cores
        self._enclave = enclave_of(stage.troupe.pid("agent"))
        self._used: list[tuple[float, float]] = []

    def rate(self, cores: int) -> float:
        """Requests a second with all threads of the enclave's process on so many cores."""
        with pinned([self._enclave], self._cores[2 - cores :]):
            before, began = self._seconds(), time.perf_counter()
            rate = self._loop.measure(self._requests, MANY)[1]
            taken = time.perf_counter() - began
        if cores == 2:
            enclave, others = (now - then for now, then in zip(self._seconds(), before, strict=True))
            self._used.append((enclave / taken, others / taken))
        return rate

    def _seconds(self) -> tuple[float, float]:
        """Of the enclave, and of everything else that was started for it: sensor, broker, agent."""
        enclave = seconds_on_processor(self._enclave)
        return enclave, sum(map(seconds_on_processor, family(os.getpid()))) - enclave

    @property
    def note(self) -> str:
        """Which share of the cores went where."""
        enclave, others = (sum(each) / len(self._used) for each in zip(*self._used, strict=True))
        return (
            f"{MANY} in flight, heavy model; on two cores {enclave:.2f} of them computed in the enclave, {others:.2f} "
            "were used by sensor, broker and the agent around it"
        )


def _runtime(module: Path, reading: bytes, closing: ExitStack) -> Rate:
    runtime = Runtime()
    closing.callback(runtime.close)
    loaded = runtime.load(module.read_bytes())

    def rate(threads: int) -> float:
        def work() -> None:
            for _ in range(CALLS // threads):
                loaded.run(reading)

        running = [threading.Thread(target=work) for _ in range(threads)]
        began = time.perf_counter()
        for each in running:
            each.start()
        for each in running:
            each.join()
        return CALLS / (time.perf_counter() - began)

    rate(2)
    return rate


def _native(folder: Path, reading: bytes, closing: ExitStack) -> Rate:
    library, kept = folder / "heavy.so", folder / "reading"
    kept.write_bytes(reading)
    source = str(HERE / "heavy.c")
    subprocess.run([sys.executable, "-m", "ziglang", "cc", *NATIVE_FLAGS, source, "-o", str(library)], check=True)
    arguments = ("bench.cores", str(library), str(kept))
    processes = [closing.enter_context(serving(*arguments)) for _ in range(2)]

    def rate(count: int) -> float:
        for each in processes[:count]:
            print(CALLS // count, file=each.stdin, flush=True)
        return CALLS / max(_answers(processes[:count]))

    rate(2)
    return rate


def _answers(processes: Sequence["subprocess.Popen[str]"]) -> Iterator[float]:
    for each in processes:
        if each.stdout is None:
            raise RuntimeError("a process without pipes")
        yield float(each.stdout.readline())


def main(arguments: list[str]) -> int:
    """Be one process of the native control."""
    infer = ctypes.CDLL(arguments[0]).perform_inference
    reading, output = Path(arguments[1]).read_bytes(), ctypes.create_string_buffer(8)
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(int(line)):
            if infer(reading, len(reading), output, len(output)) != len(output):
                return os.EX_SOFTWARE
        print(time.perf_counter() - began, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
