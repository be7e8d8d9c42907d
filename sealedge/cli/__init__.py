"""The command line: one thin file per command, imported when it is typed (`sealedge.cli.application`)."""

from sealedge.cli.application import main

__all__ = ["main"]
