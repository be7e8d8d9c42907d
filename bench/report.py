"""report.md and its plots, written from results.json alone: the same results give the same bytes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.table import Row, verdict_of

CHAPTERS: Final = (
    ("What sealing costs", ("sealed/", "clear/", "plain bytes/")),
    ("The loop over TLS", ("tls/",)),
    ("The agent and its enclave", ("agent ", "enclave ", "two cores/one")),
    ("The runtime", ("limits/", "epochs/", "kept/new ", "reset ", "fresh ", "read ", "two threads/")),
    ("Homomorphic encryption in its place", ("homomorphic",)),
    ("Appraisals", ("one ", "appraisals ")),
)
"""Headings, and how the names of their rows begin."""

PLOTS: Final = {
    "What sealing costs": ("sealing.svg", ("sealed/clear ", "sealed/plain bytes ", "clear/plain bytes ")),
    "The runtime": ("runtime.svg", ("limits/", "epochs/")),
    "Homomorphic encryption in its place": ("homomorphic.svg", ("homomorphic/",)),
}
"""By heading: the file, and how the names of the ratios in it begin."""

WORDS: Final = """\
Written by `make bench` together with [results.json](results.json), which has the same figures; what the rows are is
described in [README.md](README.md). Each figure is the median of its runs, with the quartiles behind it. A ratio is
taken run by run, of what was measured in turn in that run.
"""

AGAIN: Final = "Again: `make bench`. One part alone: `make bench ARGS=runtime`."


def write_report(rows: Sequence[Row], machine: dict[str, str], folder: Path) -> None:
    """Write report.md and the plots to a folder. Raises `ConfigurationError` where matplotlib is missing."""
    # Imported here: what the report says can be checked without the extra `bench`.
    from bench.plots import draw  # noqa: PLC0415

    for name, beginnings in PLOTS.values():
        chosen = [row for row in rows if row.unit == "ratio" and row.name.startswith(beginnings)]
        if chosen:
            draw(chosen, folder / name)
    (folder / "report.md").write_text(report(rows, machine), "utf-8")


def report(rows: Sequence[Row], machine: dict[str, str]) -> str:
    """The report in Markdown."""
    parts = ["# Measured", "", WORDS, *machine_table(machine), AGAIN, "", *verdicts(rows)]
    for heading, beginnings in CHAPTERS:
        chosen = [row for row in rows if row.name.startswith(beginnings)]
        if chosen:
            parts += [f"## {heading}", "", *_plot(heading), *table(chosen), ""]
    return "\n".join(parts).rstrip() + "\n"


def machine_table(machine: dict[str, str]) -> list[str]:
    """What was measured on."""
    listed = [f"| {name} | {value} |" for name, value in machine.items()]
    return ["| | |", "|---|---|", *listed, ""]


def verdicts(rows: Sequence[Row]) -> list[str]:
    """Which bars are missed."""
    missed = [row for row in rows if row.met is False]
    held = sum(row.met is not None for row in rows)
    if not missed:
        return [f"All {held} bars are met.", ""]
    named = [f"- `{row.name}`: {row.value:g} {row.unit} where {row.bar} is asked" for row in missed]
    return [f"Of {held} bars {len(missed)} are missed:", "", *named, ""]


def _plot(heading: str) -> list[str]:
    return [f"![the ratios and their bars]({PLOTS[heading][0]})", ""] if heading in PLOTS else []


def table(rows: Sequence[Row]) -> list[str]:
    """All that rows say."""
    lines = ["| | median | quartiles | unit | bar | | runs | |", "|---|---|---|---|---|---|---|---|"]
    return [*lines, *(_line(row) for row in rows)]


def _line(row: Row) -> str:
    compared = f"{row.a:g} and {row.b:g} {row.of}" if row.a is not None and row.b is not None else ""
    told = "; ".join(each for each in (compared, row.note) if each)
    spread = f"{row.low:g} to {row.high:g}" if row.runs > 1 else ""
    cells = (row.name, f"{row.value:g}", spread, row.unit, row.bar or "", verdict_of(row), str(row.runs), told)
    return f"| {' | '.join(cells)} |"
