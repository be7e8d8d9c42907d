"""`python -m sealedge.cli.reference`: writes each command's help into docs/cli.md, below the line that says so.

A test compares the two: a command that changes without its documentation fails.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from sealedge.cli.application import program

MARK: Final = "<!-- Below: `python -m sealedge.cli.reference docs/cli.md` -->\n"
WIDTH: Final = 100


def reference() -> str:
    """Every command's help, as Markdown, in the order of `sealedge --help`."""
    return "\n".join(_section(found) for found in _contexts(_context(program, "sealedge", None)))


def updated(page: str) -> str:
    """The page with its reference renewed. Raises `ValueError` where it has no mark."""
    written, mark, _ = page.partition(MARK)
    if not mark:
        raise ValueError("the page has no line where the reference begins")
    return f"{written}{MARK}\n{reference()}"


def _contexts(context: click.Context) -> Iterator[click.Context]:
    """Depth first: a group, then its commands."""
    yield context
    command = context.command
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None:
            yield from _contexts(_context(found, name, context))


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    """As when it is typed, but on a terminal of a fixed width."""
    return command.make_context(name, [], parent, resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH)


def _section(context: click.Context) -> str:
    help_text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
    return f"## `{context.command_path}`\n\n```text\n{help_text}\n```\n"


def main(path: Path) -> None:
    """Renew the reference in this page."""
    path.write_text(updated(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
