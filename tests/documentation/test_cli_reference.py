"""docs/cli.md says what `--help` says, of every command there is."""

from pathlib import Path

import click
import pytest

from sealedge.cli import application
from sealedge.cli.application import COMMANDS, program
from sealedge.cli.reference import MARK, reference, updated

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "cli.md"
NOT_COMMANDS = {"__init__", "application", "options", "reference"}


def commands(command: click.Command, *path: str) -> list[tuple[tuple[str, ...], click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found += commands(command.get_command(context, name), *path, name)
    return found


ALL = commands(program)


def test_the_page_is_what_the_commands_say() -> None:
    page = PAGE.read_text("utf-8")
    assert page == updated(page), "run: python -m sealedge.cli.reference docs/cli.md"


def test_another_help_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(application.COMMANDS, "watch", "Something else.")
    page = PAGE.read_text("utf-8")
    assert page != updated(page)


def test_a_page_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no line"):
        updated("# The command line\n")


def test_every_file_of_the_command_line_is_a_command() -> None:
    files = {path.stem for path in (ROOT / "sealedge" / "cli").glob("*.py")} - NOT_COMMANDS
    assert files == set(COMMANDS)


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) or "sealedge" for path, _ in ALL])
def test_every_command_has_a_section_and_an_example(path: tuple[str, ...], command: click.Command) -> None:
    words = " ".join(("sealedge", *path))
    assert f"## `{words}`\n" in reference()
    assert path == () or "Example:" in (command.help or "")
    assert f"{words} " in (command.help or "") or not path or path == ("demo",)


def test_what_follows_the_mark_is_generated_alone() -> None:
    assert PAGE.read_text("utf-8").count(MARK) == 1
