"""`python -m bench.models`: measure compiled models, and write models.json, models.md, models.svg beside this file.

`python -m bench.models PART ...` measures and prints only those parts, and writes nothing: speed, accuracy,
conformance. `python -m bench.models report` writes the report of the results that are there. ONLY=REGEX leaves out
models of other names, BENCH_RUNS=3 is a short run.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.efficientnet import efficientnet_lite0
from bench.fleets import progress
from bench.machine import machine_of
from bench.models_report import write_report
from bench.models_rows import ModelRow, Module, Results, model_row, read, write
from bench.models_subjects import WHOLE, first, subjects
from bench.models_timed import Built, in_turn, wide_runtime
from bench.table import Row, figure, show
from edge_agent.enclave.running.runtime import Runtime
from sealedge.operations.build import Wanted, build

RUNS: Final = int(os.environ.get("BENCH_RUNS", "15"))
ONLY: Final = os.environ.get("ONLY", "")
HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "models.json"
PARTS: Final = ("speed", "accuracy", "conformance")
PACKAGES: Final = ("onnx", "onnxruntime", "wasmtime", "ziglang", "numpy", "scikit-learn", "skl2onnx")


def main(arguments: Sequence[str]) -> int:
    """Measure, print, write. Returns the exit status: that of wrong usage for a part that does not exist."""
    if not set(arguments) <= {*PARTS, "report"}:
        print(f"parts: {' '.join(PARTS)}, or report", file=sys.stderr)
        return os.EX_USAGE
    if list(arguments) != ["report"]:
        found = measured(arguments or PARTS)
        print(show(found.verdicts))
        if arguments or ONLY:
            return 0
        write(found, RESULTS)
    write_report(read(RESULTS), HERE)
    return 0


def measured(parts: Sequence[str]) -> Results:
    """The rows of these parts, one part after the other."""
    described = machine_of(os.getloadavg()[0], PACKAGES)
    rows: list[ModelRow] = []
    figures: list[Row] = []
    operators: tuple[str, ...] = ()
    runtime = wide_runtime()
    if "speed" in parts:
        rows += speed(runtime)
        figures += [_largest_error(rows), whole_build()]
    if "accuracy" in parts:
        from bench import models_accuracy  # noqa: PLC0415 - a part of its own

        progress("accuracy")
        figures += models_accuracy.rows(runtime)
    if "conformance" in parts:
        progress("onnx's node tests")
        found, operators = conformance()
        figures += found
    runtime.close()
    return Results(described, tuple(rows), tuple(figures), operators)


def speed(runtime: Runtime) -> list[ModelRow]:
    """Every model, against whatever it is compared with."""
    rows: list[ModelRow] = []
    built: dict[str, Built] = {}
    Built(first(), runtime)
    for subject in subjects():
        if re.search(ONLY, subject.name):
            progress(subject.name)
            built[subject.name] = Built(subject, runtime)
            rows += _compared(built[subject.name], built.get(subject.float_form or ""))
    return rows


def _compared(built: Built, float_form: Built | None) -> Iterator[ModelRow]:
    subject, compiled = built.subject, built.compiled
    acts = built.acts()
    if float_form is not None:
        acts["float"] = float_form.acts()["module"]
    taken = in_turn(acts, RUNS)
    own = built.reference_error() if subject.float_form else None
    module = Module(subject.name, built.max_error(), own, len(compiled.wasm), built.seconds, compiled.compiler)
    yield model_row(module, "onnxruntime", taken["module"], taken["onnxruntime"])
    if "native128" in taken:
        yield model_row(module, "native128", taken["module"], taken["native128"])
    if "float" in taken:
        yield model_row(module, "float", taken["module"], taken["float"])


def _largest_error(rows: Sequence[ModelRow]) -> Row:
    worst = max((row for row in rows if row.reference_error is None), key=lambda row: row.max_error)
    return figure("largest error of a float model", [worst.max_error], "of the range", note=worst.model)


def whole_build() -> Row:
    """`sealedge build` of the whole EfficientNet-Lite0, from the file to the file, checks and measurement included."""
    progress(f"sealedge build of {WHOLE}")
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "model.onnx"), Path(folder, "model.wasm")
        source.write_bytes(efficientnet_lite0(224).SerializeToString())
        for _ in range(3):
            started = time.perf_counter()
            build(Wanted(source, output), lambda _: None)
            taken.append(time.perf_counter() - started)
    return figure(f"{WHOLE}, built and checked", taken, "s", note="the C library compiled before")


def conformance() -> tuple[list[Row], tuple[str, ...]]:
    """What onnx's own node tests say, and the operators all of whose tests pass."""
    said = subprocess.run(
        [sys.executable, "-m", "tests.conformance.onnx_nodes", "--json"],
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    found = json.loads(said)
    total, tests = found["tests"]["total"], found["tests"]
    note = f"{tests['passed']} of {total}, onnx {found['onnx']}; the rest is refused, each with its reason"
    return [
        figure("onnx node tests passed", [100 * tests["passed"] / total], "%", note=note),
        figure("onnx node tests failed", [tests["failed"]], "tests", note=f"{len(found['claimed'])} operators claimed"),
    ], tuple(found["claimed"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
