"""Rows of models.json: ratios of models, and single figures in the form of bench.table."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.table import Row, ratio, rounded


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model against one other way to run it: `ratio` is module ÷ `against`, the median over `runs`.

    `low` and `high` are its quartiles, `module_ms` and `against_ms` the medians of what was compared. `max_error` is
    the largest difference from onnxruntime relative to the output's range; `reference_error`, of quantised models, the
    same of onnxruntime from itself with its optimisations off. `build_seconds` is from ONNX to the module.
    """

    model: str
    against: str
    ratio: float
    low: float
    high: float
    runs: int
    module_ms: float
    against_ms: float
    max_error: float
    reference_error: float | None
    wasm_bytes: int
    build_seconds: float
    compiler: str
    bar: str | None
    met: bool | None

    @property
    def row(self) -> Row:
        """As a row of bench.table, for plots and verdicts."""
        return Row(
            name=f"{self.model}/{self.against}",
            value=self.ratio,
            unit="ratio",
            runs=self.runs,
            low=self.low,
            high=self.high,
            a=self.module_ms,
            b=self.against_ms,
            of="ms",
            bar=self.bar,
            met=self.met,
        )


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that a run found."""

    machine: dict[str, str]
    rows: tuple[ModelRow, ...]
    figures: tuple[Row, ...]
    operators: tuple[str, ...]

    @property
    def verdicts(self) -> list[Row]:
        """All rows, in one form."""
        return [*(each.row for each in self.rows), *self.figures]


@dataclass(frozen=True, slots=True)
class Module:
    """What is said of a module in each of its rows."""

    name: str
    max_error: float
    reference_error: float | None
    wasm_bytes: int
    build_seconds: float
    compiler: str


def model_row(module: Module, against: str, a: Sequence[float], b: Sequence[float]) -> ModelRow:
    """a ÷ b, run by run, both in seconds."""
    found = ratio(f"{module.name}/{against}", a, b, "ms", 1e3)
    return ModelRow(
        model=module.name,
        against=against,
        ratio=found.value,
        low=found.low,
        high=found.high,
        runs=found.runs,
        module_ms=found.a or 0.0,
        against_ms=found.b or 0.0,
        max_error=rounded(module.max_error),
        reference_error=None if module.reference_error is None else rounded(module.reference_error),
        wasm_bytes=module.wasm_bytes,
        build_seconds=rounded(module.build_seconds),
        compiler=module.compiler,
        bar=found.bar,
        met=found.met,
    )


def write(results: Results, path: Path) -> None:
    """One JSON document."""
    path.write_text(json.dumps(asdict(results), indent=1, ensure_ascii=False) + "\n", "utf-8")


def read(path: Path) -> Results:
    """What `write` wrote."""
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    rows = tuple(ModelRow(**each) for each in found["rows"])
    figures = tuple(Row(**each) for each in found["figures"])
    return Results(found["machine"], rows, figures, tuple(found["operators"]))
