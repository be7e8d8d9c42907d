"""What the benchmark of models says of its rows, and of the committed results."""

from pathlib import Path

import pytest

from bench.bars import MODEL_BARS, bar_of
from bench.models_report import BEGIN, END, PAGE, PLOT, report, short_table, with_table
from bench.models_rows import Module, Results, model_row, read, write
from bench.models_timed import in_turn
from bench.table import figure

RESULTS = Path(__file__).parents[3] / "bench" / "models.json"
MODULE = Module("MLP 30-16-1", 1e-7, None, 4096, 0.5, "sealedge")


def results() -> Results:
    row = model_row(MODULE, "onnxruntime", [4e-5, 6e-5, 5e-5], [2e-5, 2e-5, 2e-5])
    return Results({"cores": "2"}, (row,), (figure("EEG, right of 293", [262], "right"),), ("Add", "Conv"))


def test_a_ratio_is_held_against_its_bar() -> None:
    found = results()
    assert (found.rows[0].ratio, found.rows[0].met, found.rows[0].module_ms) == (2.5, True, 0.05)
    slower = model_row(MODULE, "onnxruntime", [5.1e-5], [2e-5])
    assert (slower.bar, slower.met) == ("<= 2.5", False)
    assert found.figures[0].met is False


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    write(results(), tmp_path / "rows.json")
    assert read(tmp_path / "rows.json") == results()


def test_the_page_keeps_all_but_its_table() -> None:
    page = with_table(f"before\n{BEGIN}old\n{END}after\n", results())
    assert page == f"before\n{BEGIN}{short_table(results())}{END}after\n"
    assert "MLP 30-16-1" in page
    assert with_table(page, results()) == page
    with pytest.raises(ValueError, match="no marks"):
        with_table("a page without marks", results())


def test_each_run_begins_with_another() -> None:
    called: list[str] = []
    taken = in_turn({name: lambda name=name: called.append(name) for name in "ab"}, 2)
    firsts = [name for before, name in zip(["", *called], called, strict=False) if before != name]
    assert {name: len(each) for name, each in taken.items()} == {"a": 2, "b": 2}
    assert firsts[-3:] == ["a", "b", "a"]


def test_the_committed_results_have_every_bar_and_tell_the_truth_about_it() -> None:
    found = {row.name: row for row in read(RESULTS).verdicts}
    assert set(MODEL_BARS) <= set(found)
    for name, row in found.items():
        bar = bar_of(name)
        assert (row.bar, row.met) == ((None, None) if bar is None else (str(bar), bar.holds(row.value)))


def test_the_committed_report_is_that_of_the_committed_results() -> None:
    found = read(RESULTS)
    assert RESULTS.with_name("models.md").read_text("utf-8") == report(found)
    assert RESULTS.with_name(PLOT).read_text("utf-8").lstrip().startswith("<?xml")
    page = (RESULTS.parents[1] / PAGE).read_text("utf-8")
    assert with_table(page, found) == page
    assert not any("/" in value and Path(value).is_absolute() for value in found.machine.values())
