"""Plots of the rows as SVG: text stays text, and the same rows give the same bytes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.bars import bar_of
from bench.table import Row
from protocol.errors import ConfigurationError

try:
    import matplotlib as mpl
except ImportError as missing:
    raise ConfigurationError("matplotlib is missing: install sealedge[bench]") from missing

mpl.use("svg")
from matplotlib import pyplot

STYLE: Final[Any] = {"svg.fonttype": "none", "svg.hashsalt": "sealedge", "font.size": 9, "axes.spines.top": False}


def draw(rows: Sequence[Row], path: Path, scale: str = "linear") -> None:
    """One plot of ratios, each with its quartiles and its bar. `scale` is linear or log."""
    with mpl.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(7, 0.6 + 0.3 * len(rows)))
        places = range(len(rows))
        values = [row.value for row in rows]
        errors = [[row.value - row.low for row in rows], [row.high - row.value for row in rows]]
        colours = [{True: "#3a7d44", False: "#b3402e", None: "#8a8f98"}[row.met] for row in rows]
        axes.barh(places, values, xerr=errors, color=colours, height=0.6, error_kw={"linewidth": 1})
        _mark_bars(axes, rows)
        axes.set_xscale(scale)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_yticks(places, [row.name for row in rows])
        axes.invert_yaxis()
        axes.set_xlabel("ratio: median and quartiles; green meets its bar (dotted), red misses it, grey has none")
        figure.savefig(path, bbox_inches="tight", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
    path.write_text("\n".join(line.rstrip() for line in path.read_text("utf-8").splitlines()) + "\n", "utf-8")


def _mark_bars(axes: Any, rows: Sequence[Row]) -> None:
    for place, row in enumerate(rows):
        bar = bar_of(row.name)
        if bar is not None:
            axes.plot([bar.bound, bar.bound], [place - 0.45, place + 0.45], color="black", linestyle=":")
