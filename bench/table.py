"""Rows, as JSON for machines and as a table for people."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.bars import bar_of


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `value` is the median over the runs, `low` and `high` their quartiles.

    Of a comparison (`unit` is `ratio`) `a` and `b` are the medians of what was compared, in the unit `of`. `bar` is
    what `value` is held against and `met` whether it holds; both are None where no bar is set.
    """

    name: str
    value: float
    unit: str
    runs: int
    low: float
    high: float
    a: float | None = None
    b: float | None = None
    of: str | None = None
    bar: str | None = None
    met: bool | None = None
    note: str = ""


def ratio(name: str, a: Sequence[float], b: Sequence[float], of: str, factor: float = 1.0, note: str = "") -> Row:
    """a ÷ b, run by run: what the machine did besides in a run meets both."""
    found = figure(name, [one / other for one, other in zip(a, b, strict=True)], "ratio", note=note)
    both = {"a": rounded(factor * statistics.median(a)), "b": rounded(factor * statistics.median(b)), "of": of}
    return Row(**{**asdict(found), **both})


def figure(name: str, found: Sequence[float], unit: str, factor: float = 1.0, note: str = "") -> Row:
    """Something measured once a run."""
    values = [factor * each for each in found]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    bar = bar_of(name)
    return Row(
        name=name,
        value=rounded(middle),
        unit=unit,
        runs=len(values),
        low=rounded(low),
        high=rounded(high),
        bar=None if bar is None else str(bar),
        met=None if bar is None else bar.holds(middle),
        note=note,
    )


def rounded(value: float) -> float:
    """Four significant digits: more than any of these figures has."""
    return float(f"{value:.4g}")


def write(rows: Sequence[Row], machine: dict[str, str], path: Path) -> None:
    """One JSON document: the machine, and the rows."""
    found = {"machine": machine, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read(path: Path) -> tuple[list[Row], dict[str, str]]:
    """What `write` wrote."""
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return [Row(**each) for each in found["rows"]], found["machine"]


def show(rows: Sequence[Row]) -> str:
    """A table for the terminal."""
    widest = max(len(row.name) for row in rows)
    lines = [f"{'':{widest}}  {'median':>10}  {'quartiles':>19}  {'unit':9}  bar"]
    for row in rows:
        spread = f"{row.low:g} to {row.high:g}"
        verdict = "" if row.bar is None else f"{row.bar}  {verdict_of(row)}"
        lines.append(f"{row.name:{widest}}  {row.value:10g}  {spread:>19}  {row.unit:9}  {verdict}".rstrip())
    return "\n".join(lines)


def verdict_of(row: Row) -> str:
    """One word, or nothing where there is no bar."""
    return {True: "met", False: "missed", None: ""}[row.met]
