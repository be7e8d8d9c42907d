"""Every test that THREAT_MODEL.md names exists, and every property is tried by at least one."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TEXT = (TESTS.parent / "THREAT_MODEL.md").read_text("utf-8")
ROWS = re.findall(r"^\| (P\d+) \|.*$", TEXT, re.MULTILINE)


def named() -> list[tuple[str, str]]:
    """(file, test) pairs; a file named alone has an empty test."""
    found, file = [], ""
    for token in re.findall(r"`((?:[\w/]+\.py(?:: \w+)?)|test_\w+)`", TEXT):
        if ".py" in token:
            file, _, test = token.partition(": ")
            found.append((file, test))
        else:
            found.append((file, token))
    return found


def test_each_property_is_tried() -> None:
    assert [f"P{number}" for number in range(1, 15)] == ROWS
    assert len(named()) >= len(ROWS)


def test_what_it_names_exists() -> None:
    absent = [(file, test) for file, test in named() if not is_there(TESTS / file, test)]
    assert absent == []


def is_there(file: Path, test: str) -> bool:
    return file.is_file() and (not test or f"def {test}(" in file.read_text("utf-8"))
