"""Rules of CONTRIBUTING.md that no linter knows."""

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = sorted(path.parent for path in ROOT.glob("*/__init__.py"))
SOURCES = sorted(path for room in ROOMS for path in room.rglob("*.py"))

MAX_LINES = 400
FORBIDDEN_NAMES = re.compile(r"manager|utils|^_*get_", re.IGNORECASE)
ABSENT_WORDS = re.compile(r"\b(TODO|FIXME|XXX)\b")
BARE_IGNORE = re.compile(r"type:\s*ignore(?!\[[\w, -]+\]\s+#?\s*\w)")


IN_COMMENTS = re.compile(rf"{ABSENT_WORDS.pattern}|ignore")
IN_CODE = re.compile(r"\bassert\b|\b(def|class)\s+(\w*(manager|utils)|_*get_)", re.IGNORECASE)
"""Without one of these words, a file need not be parsed, which takes most of the time."""


def asserts(tree: ast.AST) -> list[int]:
    """Lines of `assert`, which `python -O` removes: a check of untrusted input must not be one."""
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]


def forbidden_names(tree: ast.AST) -> list[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = (node.name for node in ast.walk(tree) if isinstance(node, kinds))
    return [name for name in names if FORBIDDEN_NAMES.search(name)]


def comments(path: Path) -> Iterator[str]:
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.string


def test_the_rules_find_what_breaks_them() -> None:
    tree = ast.parse("def get_key():\n    assert True\nclass KeyManager: pass\ndef budget_(): pass")
    assert asserts(tree) == [2]
    assert forbidden_names(tree) == ["get_key", "KeyManager"]
    assert ABSENT_WORDS.search("# TODO: later")
    assert BARE_IGNORE.search("# type: ignore")
    assert BARE_IGNORE.search("# type: ignore[arg-type]")
    assert not BARE_IGNORE.search("# type: ignore[arg-type]  # the stub forgets None")


def broken(path: Path) -> Iterator[str]:
    """What a file does against the rules."""
    text = path.read_text(encoding="utf-8")
    if IN_CODE.search(text):
        tree = ast.parse(text)
        yield from (f"assert in line {line}" for line in asserts(tree))
        yield from forbidden_names(tree)
    if FORBIDDEN_NAMES.search(path.stem):
        yield "its name"
    if len(text.splitlines()) > MAX_LINES:
        yield "its length"
    if IN_COMMENTS.search(text):
        yield from (each for each in comments(path) if ABSENT_WORDS.search(each) or BARE_IGNORE.search(each))


def test_source_files_keep_the_rules() -> None:
    assert len(SOURCES) > 300
    found = {str(path.relative_to(ROOT)): list(broken(path)) for path in SOURCES}
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_a_file_that_breaks_the_rules_is_found(tmp_path: Path) -> None:
    path = tmp_path / "key_manager.py"
    path.write_text("def get_key():\n    assert True  # TODO: say why\n" + "\n" * MAX_LINES, encoding="utf-8")
    assert list(broken(path)) == ["assert in line 2", "get_key", "its name", "its length", "# TODO: say why"]


@pytest.mark.parametrize("name", ["_get_key", "KeyManager", "text_utils"])
def test_a_name_alone_is_found(name: str, tmp_path: Path) -> None:
    path = tmp_path / "keys.py"
    path.write_text(f"class Keys:\n    def {name}(self): pass\n", encoding="utf-8")
    assert list(broken(path)) == [name]


def test_every_room_says_that_it_is_typed() -> None:
    assert [room.name for room in ROOMS if not (room / "py.typed").exists()] == []
