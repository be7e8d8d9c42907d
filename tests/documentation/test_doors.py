"""The doors between the rooms, as pyproject.toml draws them, are kept; and every room has doors at all."""

import tomllib
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]
PYPROJECT = ROOT / "pyproject.toml"

WITHOUT_DOORS = {"bench", "guests", "proof", "soak"}
"""Nothing imports the benchmarks and the soak, and a guest is C source with a builder around it."""

FORBIDDEN = """
[tool.importlinter]
root_packages = ["storage", "protocol"]

[[tool.importlinter.contracts]]
name = "A door that is open in the code"
type = "forbidden"
source_modules = ["storage"]
forbidden_modules = ["protocol"]
"""


def broken(config: Path) -> bool:
    return lint_imports(config_filename=str(config), no_cache=True, no_logo=True) != 0


def test_no_import_goes_through_a_closed_door(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert not broken(PYPROJECT), capsys.readouterr().out


def test_a_closed_door_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "pyproject.toml").write_text(FORBIDDEN)
    assert broken(tmp_path / "pyproject.toml")


def test_every_room_has_doors() -> None:
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    configured = tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["root_packages"]
    assert rooms - WITHOUT_DOORS == set(configured)
