"""docs/soak.md is written from docs/soak.json alone, tells of a run that lost nothing, and would tell of another."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from soak.__main__ import main
from soak.report import holds, page
from soak.wounds import VICTIMS

DOCS = Path(__file__).parents[3] / "docs"
FOUND: dict[str, Any] = json.loads((DOCS / "soak.json").read_text("utf-8"))


def test_the_committed_page_says_what_was_found() -> None:
    assert (DOCS / "soak.md").read_text("utf-8") == page(FOUND)


def test_the_committed_run_lasted_killed_everybody_and_lost_nothing() -> None:
    assert holds(FOUND)
    assert FOUND["seconds"] >= 900
    assert [row["victim"] for row in FOUND["kills"]] == list(VICTIMS)
    assert len({row["kills"] for row in FOUND["kills"]}) == 1
    requests = FOUND["requests"]
    ended = requests["answered"] + sum(requests["refused"].values()) + sum(requests["timed_out"].values())
    assert ended == requests["sent"] > 10_000
    assert abs(requests["refused"]["input-invalid"] - requests["sent"] / 25) <= 2


@pytest.mark.parametrize(
    ("where", "what", "value"),
    [
        ("requests", "doubled", 1),
        ("requests", "lost_in_silence", 1),
        ("requests", "answered_wrongly", 1),
        ("requests", "answered", 0),
        ("consumer", "missing", 10_000),
    ],
)
def test_what_must_not_be_ends_with_a_status(where: str, what: str, value: int) -> None:
    found = copy.deepcopy(FOUND)
    found[where][what] = value
    assert not holds(found)
    assert page(found) != page(FOUND)


def test_whoever_does_not_come_back_ends_with_a_status() -> None:
    found = copy.deepcopy(FOUND)
    found["kills"][0]["not_recovered"] = 1
    assert not holds(found)


def test_what_the_consumer_was_told_of_is_not_lost_in_silence() -> None:
    found = copy.deepcopy(FOUND)
    found["consumer"] |= {"missing": 3, "told_missing": 3}
    assert holds(found)


def test_a_party_that_was_never_seen_has_no_figures() -> None:
    found = copy.deepcopy(FOUND)
    found["parties"]["enclave"] = {
        "memory": None,
        "descriptors": {"highest": None, "first_warm": None, "last": None},
        "threads": {"highest": None, "first_warm": None, "last": None},
    }
    assert "| enclave | none | none | none | none | none | none |" in page(found)


def test_the_page_can_be_written_again(tmp_path: Path) -> None:
    (tmp_path / "soak.json").write_text(json.dumps(FOUND), "utf-8")
    assert main(["--again", "--folder", str(tmp_path)]) == 0
    assert (tmp_path / "soak.md").read_text("utf-8") == page(FOUND)
