"""What the benchmark says of what it measured: medians, verdicts, and a report that is of the committed results."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.__main__ import RESULTS
from bench.bars import BARS, Bar
from bench.processes import family, pinned, resident
from bench.report import PLOTS, report
from bench.table import figure, ratio, read, show, write

POSITIVE = st.floats(0.01, 1000)


@given(POSITIVE, POSITIVE)
def test_a_bar_holds_up_to_its_bound_and_no_further(bound: float, value: float) -> None:
    assert Bar(bound).holds(bound)
    assert Bar(bound, is_floor=True).holds(bound)
    if value != bound:
        assert Bar(bound).holds(value) == (value < bound) != Bar(bound, is_floor=True).holds(value)


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=20))
def test_what_slows_both_sides_of_a_run_does_not_move_a_ratio(runs: list[tuple[float, float]]) -> None:
    row = ratio(
        "sealed/clear p50 tiny", [1.5 * slow * own for slow, own in runs], [slow * own for slow, own in runs], "ms"
    )
    assert row.value == row.low == row.high == 1.5
    assert row.met is False


@given(st.lists(POSITIVE, min_size=1, max_size=20))
def test_a_figure_lies_between_its_quartiles(values: list[float]) -> None:
    row = figure("agent start to first attested result, warm", values, "s")
    assert row.low <= row.value <= row.high
    assert row.runs == len(values)
    assert row.bar == "<= 1"


def test_a_row_without_a_bar_has_no_verdict() -> None:
    row = figure("something else", [1.0, 2.0, 3.0], "s")
    assert (row.value, row.bar, row.met) == (2.0, None, None)


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [figure("a", [1.0], "µs", note="one"), ratio("two cores/one", [3.0, 2.0], [1.0, 2.0], "requests/s")]
    write(rows, {"cores": "2"}, tmp_path / "rows.json")
    assert read(tmp_path / "rows.json") == (rows, {"cores": "2"})
    assert "two cores/one" in show(rows)


def test_the_committed_results_have_every_bar_and_tell_the_truth_about_it() -> None:
    rows, machine = read(RESULTS)
    found = {row.name: row for row in rows}
    assert set(BARS) <= set(found)
    assert len(found) == len(rows)
    for name, bar in BARS.items():
        assert (found[name].bar, found[name].met) == (str(bar), bar.holds(found[name].value))
    assert not any("/" in value and Path(value).is_absolute() for value in machine.values())


def test_the_committed_report_is_that_of_the_committed_results() -> None:
    rows, machine = read(RESULTS)
    assert RESULTS.with_name("report.md").read_text("utf-8") == report(rows, machine)
    assert all(RESULTS.with_name(name).read_text("utf-8").lstrip().startswith("<?xml") for name, _ in PLOTS.values())


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells")
def test_pages_are_counted_once_and_threads_come_back_to_all_cores() -> None:
    own = os.getpid()
    once, everywhere = resident([own])
    twice, doubled = resident([own, own])
    assert 0 < once <= everywhere
    assert doubled == pytest.approx(2 * everywhere, rel=0.2)
    assert once <= twice
    assert family(own)[0] == own
    cores = os.sched_getaffinity(0)
    with pinned([own], sorted(cores)[:1]):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == cores
