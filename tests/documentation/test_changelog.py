"""CHANGELOG.md keeps to its format, knows the version of pyproject.toml, and names commands that exist."""

import re
import tomllib
from pathlib import Path

from sealedge.cli.application import COMMANDS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CHANGELOG.md").read_text("utf-8")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
HEADINGS = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
RELEASE = re.compile(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d{2}-\d{2}")
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_what_is_unreleased_stands_first_and_releases_go_back() -> None:
    assert HEADINGS[0] == "[Unreleased]"
    found = [RELEASE.fullmatch(heading) for heading in HEADINGS[1:]]
    releases = [tuple(map(int, each.groups())) for each in found if each]
    assert len(releases) == len(found)
    assert releases == sorted(set(releases), reverse=True)
    assert all(release <= tuple(map(int, VERSION.split("."))) for release in releases)


def test_the_kinds_of_change_are_those_of_the_format() -> None:
    assert set(re.findall(r"^### (.+)$", TEXT, re.MULTILINE)) <= KINDS


def test_the_commands_that_it_names_exist() -> None:
    named = [each.split()[0] for each in re.findall(r"`([a-z]+(?: [a-z]+)?)`", TEXT)]
    assert len(named) > 5
    assert set(named) <= set(COMMANDS)
