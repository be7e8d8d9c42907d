"""Readings out of a file or a pipe, one at a time: CSV rows of numbers, or JSON lines of arrays.

A file named *.jsonl or *.json holds JSON lines; anything else is CSV, also the standard input unless its first line
begins with a bracket. Empty lines are skipped, and so is a CSV file's first line where it is no number at all.
"""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Final

from protocol.errors import ConfigurationError

MAX_LINE: Final = 2**24
"""Characters of one reading."""

Reading = list[object]


def readings(source: str) -> Iterator[Reading]:
    """The readings in this file, `-` for the standard input. Raises `ConfigurationError` naming the line."""
    with _opened(source) as stream:
        lines = _numbered(source, stream)
        first = next(lines, None)
        if first is None:
            return
        every = chain([first], lines)
        is_json = source.endswith((".json", ".jsonl")) or (source == "-" and first[1].startswith("["))
        yield from _json_lines(source, every) if is_json else _csv_rows(source, every)


@contextmanager
def _opened(source: str) -> Iterator[IO[str]]:
    if source == "-":
        yield sys.stdin
        return
    try:
        stream = Path(source).open(encoding="utf-8-sig", newline="")  # noqa: SIM115 - closed below
    except OSError as error:
        raise ConfigurationError(f"{source}: cannot be read: {error.strerror}") from error
    with stream:
        yield stream


def _numbered(source: str, stream: IO[str]) -> Iterator[tuple[int, str]]:
    """Lines that hold something, with their numbers, none longer than `MAX_LINE`."""
    number = 0
    while True:
        number += 1
        try:
            line = stream.readline(MAX_LINE + 1)
        except (OSError, UnicodeDecodeError):
            raise ConfigurationError(f"{source}: line {number} cannot be read as text") from None
        if not line:
            return
        if len(line) > MAX_LINE:
            raise ConfigurationError(f"{source}: line {number} is longer than {MAX_LINE} characters")
        if line.strip():
            yield number, line.strip()


def _json_lines(source: str, lines: Iterable[tuple[int, str]]) -> Iterator[Reading]:
    for number, line in lines:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list):
            raise ConfigurationError(f"{source}: line {number} is not a JSON array")
        yield found


def _csv_rows(source: str, lines: Iterable[tuple[int, str]]) -> Iterator[Reading]:
    is_first = True
    for number, line in lines:
        row = [_number(cell) for cell in _cells(source, number, line)]
        heading, is_first = is_first and all(cell is None for cell in row), False
        if heading:
            continue
        if None in row:
            column = row.index(None) + 1
            raise ConfigurationError(f"{source}: line {number}, column {column} is not a number")
        yield list[object](row)


def _cells(source: str, number: int, line: str) -> list[str]:
    try:
        return next(csv.reader([line]))
    except csv.Error as error:
        raise ConfigurationError(f"{source}: line {number} is not CSV: {error}") from None


def _number(cell: str) -> int | float | None:
    """An integer stays one: the model may take integers alone."""
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return None
