"""`python -m bench`: measure everything, and write results.json, report.md and the plots beside them.

`python -m bench PART ...` measures and prints only those parts, and writes nothing: pipelines, heavy, tls, runtime,
appraisals, homomorphic. `python -m bench report` writes the report of the results that are there.

BENCH_RUNS and BENCH_REQUESTS make it shorter. Read the ratios: times are those of one machine at one moment. What is
compared is measured in turn, in one run of this program, on one broker.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench import agent, appraisals, pipelines, runtime, tls
from bench.fleets import progress, settled, workers
from bench.machine import broker_version, machine
from bench.report import write_report
from bench.table import Row, read, show, write
from broker.embedded import Embedded
from sealedge.operations.demo.display import Display
from sealedge.operations.demo.kept import demo_folder

RUNS: Final = int(os.environ.get("BENCH_RUNS", "15"))
REQUESTS: Final = int(os.environ.get("BENCH_REQUESTS", "200"))
HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "results.json"
PARTS: Final = ("pipelines", "heavy", "tls", "runtime", "appraisals", "homomorphic")


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write. Returns the exit status: 2 for a part that does not exist."""
    if not set(arguments) <= {*PARTS, "report"}:
        print(f"parts: {' '.join(PARTS)}, or report", file=sys.stderr)
        return os.EX_USAGE
    if list(arguments) != ["report"]:
        os.environ["PYTHONPATH"] = str(HERE.parent)
        # Where Python keeps no bytecode of its own, every program compiles itself at each start.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        load = os.getloadavg()[0]
        with Embedded() as broker:
            rows = measured(arguments or PARTS, broker)
            described = machine(broker_version(broker.kind), load)
        print(show(rows))
        if arguments:
            return 0
        write(rows, described, RESULTS)
    write_report(*read(RESULTS), HERE)
    return 0


def measured(parts: Sequence[str], broker: Embedded) -> list[Row]:
    """The rows of these parts, one part after the other."""
    rows: list[Row] = []
    if {"pipelines", "heavy", "tls"} & set(parts):
        rows += _pipelines(parts, broker)
    if "runtime" in parts:
        progress("runtime")
        rows += runtime.rows(RUNS)
    if "appraisals" in parts:
        progress("appraisals")
        rows += appraisals.rows(min(RUNS, 9))
    if "homomorphic" in parts:
        progress("homomorphic")
        from bench import homomorphic  # noqa: PLC0415 - needs the extra `bench`

        medians = {row.name: row for row in rows}
        rows += homomorphic.rows(medians.get("sealed/clear p50 tiny"))
    return rows


def _pipelines(parts: Sequence[str], broker: Embedded) -> list[Row]:
    rows: list[Row] = []
    with Display(quiet=True) as display:
        model = display.build(demo_folder())
    reading = model.patients().inputs[0].tobytes()
    if "pipelines" in parts:
        with ExitStack() as closing:
            stage = settled(model, closing, broker)
            rows += agent.started(stage, RUNS)
            loops = workers(stage, model, reading, closing)
            rows += pipelines.tiny(loops, RUNS, REQUESTS)
            rows += agent.work(stage, model.path, reading, loops["sealed"], min(RUNS, 9), 5 * REQUESTS)
            rows += agent.memory(stage)
    if "heavy" in parts:
        with tempfile.TemporaryDirectory() as folder:
            rows += pipelines.heavy(broker, Path(folder), reading, RUNS, REQUESTS)
    if "tls" in parts:
        rows += tls.rows(model, reading, RUNS, REQUESTS)
    return rows


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
