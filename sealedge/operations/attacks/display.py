"""What a person sees of the attacks: each as it ends, then the table by family, and the count."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sealedge.operations.attacks.run import Report, play
from sealedge.operations.attacks.scenario import Outcome, Scenario, Tried, Verdict
from sealedge.operations.telling import Telling

STYLES: Final = {
    Outcome.SUCCEEDED: "bold red",
    Outcome.BLOCKED: "green",
    Outcome.DETECTED: "green",
    Outcome.NOT_APPLICABLE: "dim",
    Outcome.UNCLEAR: "bold yellow",
}


class Display(Telling):
    """`with Display(n) as display:` shows a bar and each verdict; with `quiet` it shows nothing."""

    def __init__(self, count: int, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self._task = self._bars.add_task("attacks", total=count)

    def tell(self, tried: Tried) -> None:
        """One attack has ended."""
        self._bars.advance(self._task)
        line = Text(f"{self._moment()}  {tried.scenario.name:28} before ")
        line.append_text(_said(tried.before, before=True)).append("   now ").append_text(_said(tried.now))
        self._console.print(line)

    def show(self, report: Report) -> None:
        """The table, and what it comes to."""
        self._console.print()
        self._console.print(table_of(report.tried))
        for name in report.failures:
            self._console.print(f"NOT HELD: {name}", style="bold red")
        self._console.print(summary(report))


def played(scenarios: Sequence[Scenario], broker: str | None, *, quiet: bool) -> Report:
    """Play them, and show how; with `quiet`, in silence. Raises as `play` does."""
    with Display(len(scenarios), quiet=quiet) as display:
        report = play(scenarios, broker, display.tell)
    display.show(report)
    return report


def table_of(tried: Sequence[Tried]) -> Table:
    """One row for each attack, grouped by family."""
    table = Table(box=None, padding=(0, 1))
    for name in ("attack", "by", "breaks", "before", "now", "stopped by"):
        table.add_column(name, no_wrap=name == "attack")
    for family, found in groupby(tried, lambda each: each.scenario.family):
        table.add_section()
        table.add_row(Text(family, style="bold"))
        for each in found:
            scenario = each.scenario
            about = (scenario.name, str(scenario.attacker), " ".join(scenario.properties))
            table.add_row(*about, _outcome(each.before, before=True), _outcome(each.now), each.now.by)
    return table


def summary(report: Report) -> str:
    """The count, in one line, and where it comes from."""
    return f"{counted(report)}. Each was run, on {report.broker}, in {report.seconds:.0f} s together."


def counted(report: Report) -> str:
    """How many succeed before, and how many are held now."""
    count, without = len(report.tried), len(report.tried) - report.applicable
    aside = f" ({without} had nothing to attack)" if without else ""
    return (
        f"before: {report.succeeded_before} of {report.applicable} succeed{aside}; "
        f"now: {report.held_now} of {count} blocked or detected"
    )


def show_list(scenarios: Sequence[Scenario]) -> None:
    """Every attack and what it is after, without running any."""
    table = Table(box=None, padding=(0, 1))
    for name in ("attack", "by", "breaks", "wants to"):
        table.add_column(name, no_wrap=name == "attack")
    for family, found in groupby(scenarios, lambda each: each.family):
        table.add_row(Text(family, style="bold"))
        for each in found:
            table.add_row(each.name, str(each.attacker), " ".join(each.properties), each.goal)
    Console(highlight=False, soft_wrap=True).print(table)


def _outcome(verdict: Verdict, *, before: bool = False) -> Text:
    # What succeeded before is the point of the table, and no alarm.
    style = "yellow" if before and verdict.outcome is Outcome.SUCCEEDED else STYLES[verdict.outcome]
    return Text(str(verdict.outcome), style=style)


def _said(verdict: Verdict, *, before: bool = False) -> Text:
    said = _outcome(verdict, before=before)
    return said.append(f" by {verdict.by}") if verdict.by and not before else said
