"""Latency and throughput of the pipelines, with a tiny model and with a heavy one; and what a second core brings."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench import cores
from bench.fleets import Worker, in_turn, progress, settled, workers
from bench.table import Row, ratio
from broker.embedded import Embedded
from guests.breast_cancer.build import BuiltModel
from guests.toolchain import compile_c

MANY: Final = 32
WARM_UP: Final = 600
COMPARED: Final = (
    ("sealed", "clear"),
    ("sealed", "plain"),
    ("clear", "plain"),
    ("sealed", "echo"),
    ("plain", "echo"),
)
NAMES: Final = {"plain": "plain bytes"}
SHORT: Final = 25
"""Requests of a run with one in flight: what the machine does besides meets all alike where they take turns often."""

HEAVY: Final = Path(__file__).with_name("heavy.c")
HEAVY_REQUESTS: Final = 20


def tiny(loops: dict[str, Worker], runs: int, requests: int) -> list[Row]:
    """The demonstration's model, which computes for about a microsecond."""
    for loop in loops.values():
        loop.measure(WARM_UP, MANY)
    turns = max(runs, runs * requests // SHORT)
    rows: list[Row] = []
    for flight, which, what, unit, times, many in (
        (1, 0, "p50 tiny", "ms", turns, SHORT),
        (MANY, 1, f"throughput {MANY}", "requests/s", runs, 5 * requests),
    ):
        progress(f"{what}: {times} runs of {many} requests, {flight} in flight")
        rows += _compared(in_turn_of(loops, times, many, flight, which), what, unit)
    return rows


def heavy(broker: Embedded, folder: Path, reading: bytes, runs: int, requests: int) -> list[Row]:
    """A model of about 50 ms, with the same input and output."""
    few = max(5, min(HEAVY_REQUESTS, requests // 10))
    with ExitStack() as closing:
        model = built_heavy(folder)
        stage = settled(model, closing, broker)
        loops = workers(stage, model, reading, closing)
        del loops["echo"]
        for loop in loops.values():
            loop.measure(2 * few, 2)
        progress(f"p50 heavy: {runs} runs of {few} requests, 1 in flight")
        rows = _compared(in_turn_of(loops, runs, few, 1, 0), "p50 heavy", "ms")
        return [*rows, *cores.rows(stage, loops["sealed"], reading, folder, runs, 2 * few)]


def built_heavy(folder: Path) -> BuiltModel:
    """`heavy.c`, compiled. Of its output nobody says that it is right."""
    path = folder / "heavy.wasm"
    compile_c(HEAVY, path)
    return BuiltModel(path, b"", 0, 1)


def in_turn_of(loops: dict[str, Worker], runs: int, requests: int, flight: int, which: int) -> dict[str, list[float]]:
    """What each loop measured in each run: its p50 in milliseconds (`which` 0), or requests a second (1)."""
    found: dict[str, list[float]] = {kind: [] for kind in loops}
    for order in in_turn(tuple(loops), runs):
        for kind in order:
            found[kind].append(loops[kind].measure(requests, flight)[which])
    return found


def _compared(found: dict[str, Sequence[float]] | dict[str, list[float]], what: str, unit: str) -> list[Row]:
    return [
        ratio(f"{NAMES.get(a, a)}/{NAMES.get(b, b)} {what}", found[a], found[b], unit)
        for a, b in COMPARED
        if a in found and b in found
    ]
