"""models.md, its plot, and the table in docs/models.md, written from models.json alone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.models_rows import ModelRow, Results
from bench.report import machine_table, table, verdicts
from bench.table import verdict_of

PLOT: Final = "models.svg"
PLOTTED: Final = ("onnxruntime", "native128", "float")
PAGE: Final = Path("docs", "models.md")
BEGIN, END = "<!-- measured: `python -m bench.models` writes what follows -->\n", "<!-- end of what was measured -->\n"

WORDS: Final = """\
Written by `make bench-models` together with [models.json](models.json), which has the same figures. What is compared is
measured in turn on one thread, each run beginning with another one. Of each, a run takes the shortest of three times,
since what else the machine does can only make them longer. A ratio is taken run by run, and the row is the median with
its quartiles. A module runs as the enclave runs it: bytes in, bytes out, the way back to its first state included.

- `onnxruntime` is one session on one thread, with all of its optimisations and the widest vectors of this processor,
  and the call of `session.run`.
- `native128` is the same C, compiled for this machine with vectors of 128 bits, bytes in, bytes out.
- `float` is the float model that an int8 model was made of, also as a module.

The error is the largest difference from onnxruntime's answer on random inputs of four kinds and a real one, relative to
the output's range. In int8 models a sum that is next to a half becomes one quantum or the next, which later layers
multiply: behind theirs stands what onnxruntime differs from itself by, with its optimisations on and off.
"""
AGAIN: Final = "Again: `make bench-models`. One part alone, printed and not written: `make bench-models ARGS=accuracy`."


def write_report(results: Results, folder: Path) -> None:
    """Write models.md, the plot, and the table of the user's page. Raises `ConfigurationError` without matplotlib."""
    # Imported here: what the report says can be checked without the extra `bench`.
    from bench.plots import draw  # noqa: PLC0415

    if results.rows:
        draw([each.row for each in results.rows if each.against in PLOTTED], folder / PLOT, "log")
    (folder / "models.md").write_text(report(results), "utf-8")
    page = folder.parent / PAGE
    page.write_text(with_table(page.read_text("utf-8"), results), "utf-8")


def report(results: Results) -> str:
    """The report in Markdown."""
    lines = ["# Models, measured", "", WORDS, *machine_table(results.machine), AGAIN, "", *verdicts(results.verdicts)]
    lines += ["## Time", "", f"![the ratios and their bars]({PLOT})", "", *_times(results.rows), ""]
    lines += ["## Modules", "", *_modules(results.rows), ""]
    lines += ["## Answers, builds and operators", "", *table(results.figures), ""]
    if results.operators:
        lines += [f"Operators all of whose node tests pass ({len(results.operators)}): {', '.join(results.operators)}."]
    return "\n".join(lines).rstrip() + "\n"


def with_table(page: str, results: Results) -> str:
    """A page with the short table between its marks renewed."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the page has no marks of a table")
    return f"{before}{BEGIN}{short_table(results)}{END}{after}"


def short_table(results: Results) -> str:
    """What a reader of the user's page wants to know: one line a model."""
    lines = ["| model | module | ÷ onnxruntime | largest error | module bytes | build |", "|---|---|---|---|---|---|"]
    for row in results.rows:
        if row.against == "onnxruntime":
            spread = f"{row.ratio:.3g} ({row.low:.3g} to {row.high:.3g})"
            cells = (row.model, f"{row.module_ms:.3g} ms", spread, f"{row.max_error:.1e}", f"{row.wasm_bytes}")
            lines.append(f"| {' | '.join(cells)} | {row.build_seconds:.2g} s |")
    return "\n".join(lines) + "\n"


def _times(rows: Sequence[ModelRow]) -> list[str]:
    lines = [
        "| model | against | ratio | quartiles | module | against | bar | | runs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        spread, times = f"{row.low:g} to {row.high:g}", (f"{row.module_ms:g} ms", f"{row.against_ms:g} ms")
        cells = (row.model, row.against, f"{row.ratio:g}", spread, *times, row.bar or "", verdict_of(row.row))
        lines.append(f"| {' | '.join(cells)} | {row.runs} |")
    return lines


def _modules(rows: Sequence[ModelRow]) -> list[str]:
    lines = ["| model | largest error | onnxruntime's own | module | build | compiler |", "|---|---|---|---|---|---|"]
    for row in {each.model: each for each in rows}.values():
        own = "" if row.reference_error is None else f"{row.reference_error:.1e}"
        cells = (row.model, f"{row.max_error:.1e}", own, f"{row.wasm_bytes} bytes", f"{row.build_seconds:g} s")
        lines.append(f"| {' | '.join(cells)} | {row.compiler} |")
    return lines
