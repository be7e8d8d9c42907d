"""What onnx's node tests say about the compiler: operator by operator, as a table, JSON, or docs/operators.md."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import onnx

from publisher.compiler.operators import known_operators
from tests.conformance.onnx_running import FAILED, PASSED, UNSUPPORTED, Outcome

HEAD = """# Operators

Written by `python -m tests.conformance.onnx_nodes --write docs/operators.md`: do not edit.

Each operator is held against the node tests that the `onnx` package carries (version {version}), compiled for wasm32
and run in the enclave's own runtime. Counted are the tests whose tensors are all float32, float64, integers or
booleans. What decides shapes (axes, sizes, k, pads, …) and the weights of convolutions are constants of the model.
Tests named `…_expanded` say the same in terms of other operators, and count as the operator's.

**{passed} of {total} tests pass ({percent:.1f} %), {failed} fail, {unsupported} are refused, each with its reason.**
"""
CLAIMED = """
## Claimed: all tests pass

"""
PARTLY = """
## Known in part

| operator | pass | of | the rest is refused: the operator … |
|---|---|---|---|
"""
UNTESTED = """
## Known, without a test among those

"""
UNKNOWN = """
## Refused

| operator | tests | why: the operator … |
|---|---|---|
"""


@dataclass
class Tally:
    """An operator's tests, by verdict, and why they did not pass."""

    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """How many tests there are."""
        return sum(self.verdicts.values())


@dataclass(frozen=True)
class Report:
    """All operators that have tests, and those the compiler knows."""

    tallies: dict[str, Tally]
    known: tuple[str, ...]

    @property
    def claimed(self) -> list[str]:
        """Operators that are known, and all of whose tests pass."""
        return [name for name, each in self.tallies.items() if each.verdicts[PASSED] == each.total]

    def count(self, verdict: str) -> int:
        """How many tests ended so."""
        return sum(each.verdicts[verdict] for each in self.tallies.values())

    @property
    def total(self) -> int:
        """How many tests there are."""
        return sum(each.total for each in self.tallies.values())


def report(outcomes: Iterable[Outcome]) -> Report:
    """Count."""
    tallies: dict[str, Tally] = {}
    for each in outcomes:
        tally = tallies.setdefault(each.operator, Tally())
        tally.verdicts[each.verdict] += 1
        if each.verdict != PASSED:
            tally.reasons[each.why] += 1
    # The planner's own operators are lower-case, and nobody can write them in a model.
    known = tuple(name for name in sorted(known_operators()) if name[0].isupper() or name.startswith("ml."))
    return Report(dict(sorted(tallies.items())), known)


def as_json(found: Report, outcomes: Sequence[Outcome]) -> str:
    """All that is known, for machines."""
    return json.dumps(
        {
            "onnx": onnx.__version__,
            "tests": {"total": found.total} | {each: found.count(each) for each in (PASSED, FAILED, UNSUPPORTED)},
            "claimed": found.claimed,
            "operators": {name: dict(each.verdicts) for name, each in found.tallies.items()},
            "not passed": {each.name: f"{each.verdict}: {each.why}" for each in outcomes if each.verdict != PASSED},
        },
        indent=2,
    )


def as_page(found: Report) -> str:
    """docs/operators.md."""
    lines = [HEAD.format(version=onnx.__version__, total=found.total, percent=_percent(found), **_counts(found))]
    lines += [CLAIMED, ", ".join(f"{name} ({found.tallies[name].total})" for name in found.claimed), "\n"]
    partly = [name for name, each in found.tallies.items() if 0 < each.verdicts[PASSED] < each.total]
    lines += [PARTLY, *(_row(found, name, f"{found.tallies[name].verdicts[PASSED]} | ") for name in partly)]
    untested = [name for name in found.known if name not in found.tallies]
    lines += [UNTESTED, ", ".join(untested), "\n"]
    refused = [name for name, each in found.tallies.items() if not each.verdicts[PASSED]]
    return "".join((*lines, UNKNOWN, *(_row(found, name, "") for name in refused)))


def as_table(found: Report) -> str:
    """For people: what did not pass, and the totals."""
    lines = [
        f"{name:28} {each.verdicts[PASSED]:4} of {each.total:4}  {_reasons(each)[:140]}"
        for name, each in found.tallies.items()
        if each.verdicts[PASSED] < each.total
    ]
    counts = _counts(found)
    claimed = f"claimed ({len(found.claimed)}): {' '.join(found.claimed)}"
    total = f"{found.total} tests: " + ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    return "\n".join((*lines, claimed, f"{total}; {_percent(found):.1f} %"))


def _counts(found: Report) -> dict[str, int]:
    return {each: found.count(each) for each in (PASSED, FAILED, UNSUPPORTED)}


def _percent(found: Report) -> float:
    return 100 * found.count(PASSED) / max(1, found.total)


def _row(found: Report, name: str, passed: str) -> str:
    tally = found.tallies[name]
    return f"| {name} | {passed}{tally.total} | {_reasons(tally)} |\n"


def _reasons(tally: Tally) -> str:
    """Why, most frequent first, without the names that the table has already."""
    words = (each.removeprefix("the operator ").replace("|", "/") for each, _ in tally.reasons.most_common(3))
    return "; ".join(words)
