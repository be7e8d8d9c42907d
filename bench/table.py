"""Rows, as JSON for machines and as a table for people."""

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. `ratio` is a / b: the median of the runs' own ratios where there are pairs of runs."""

    name: str
    ratio: float
    a: float
    b: float
    unit: str
    runs: int


def write(rows: list[Row], path: Path) -> None:
    """Write the rows as a JSON list."""
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")


def show(rows: list[Row]) -> str:
    """A table for the terminal, with the machine that was measured."""
    widest = max(len(row.name) for row in rows)
    lines = [f"{'':{widest}}  {'ratio':>7}  {'a':>10}  {'b':>10}  unit"]
    lines += [f"{row.name:{widest}}  {row.ratio:7.3f}  {row.a:10.3f}  {row.b:10.3f}  {row.unit}" for row in rows]
    return "\n".join([*lines, f"Python {platform.python_version()}, {platform.machine()}, {platform.system()}"])
