"""docs/attacks.md below its mark: every attack and how it went, written by running them.

python -m sealedge.operations.attacks.page docs/attacks.md
"""

import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from sealedge.operations.attacks.catalogue import CATALOGUE
from sealedge.operations.attacks.display import counted
from sealedge.operations.attacks.run import Report, play
from sealedge.operations.attacks.scenario import Tried

MARK: Final = "<!-- Below: written by `python -m sealedge.operations.attacks.page docs/attacks.md` -->\n"
HEAD: Final = "| attack | by | wants to | breaks | before | now | stopped by |\n|---|---|---|---|---|---|---|\n"


def updated(page: str, report: Report) -> str:
    """The page with this in place of what stands below the mark. Raises `ValueError` for a page without one."""
    above, mark, _below = page.partition(MARK)
    if not mark:
        raise ValueError("no line of the page says where the table begins")
    return f"{above}{MARK}\n{counted(report).capitalize()}.\n{table(report.tried)}"


def table(tried: Sequence[Tried]) -> str:
    """Markdown: one table for each family."""
    parts = []
    for family, found in groupby(tried, lambda each: each.scenario.family):
        parts.append(f"\n### {family.capitalize()}\n{HEAD}" + "".join(map(_row, found)))
    return "".join(parts)


def _row(tried: Tried) -> str:
    scenario = tried.scenario
    cells = (
        f"`{scenario.name}`",
        str(scenario.attacker),
        scenario.goal,
        ", ".join(scenario.properties),
        str(tried.before.outcome),
        str(tried.now.outcome),
        tried.now.by,
    )
    return f"| {' | '.join(cells)} |\n"


def main(path: Path) -> None:
    """Run all of them, and write the page."""
    report = play(CATALOGUE, None, lambda _tried: None)
    path.write_text(updated(path.read_text("utf-8"), report), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
