"""Installed distributions: the same as Python's own answer, and an error where there is none."""

import importlib.metadata
from pathlib import Path

import pytest

from edge_agent.installed import installed
from edge_agent.measurement import DISTRIBUTIONS
from protocol.errors import ConfigurationError


def test_it_says_what_pythons_own_search_says() -> None:
    for each in installed(DISTRIBUTIONS):
        found = importlib.metadata.distribution(each.name)
        assert (each.version, each.folder) == (found.version, Path(str(found.locate_file(""))))
        assert all((each.folder / top).exists() for top in each.tops)
        recorded = {path.parts[0] for path in found.files or () if path.suffix in {".py", ".so"}}
        assert recorded <= set(each.tops)


def put(folder: Path, name: str, record: str, version: str = "Version: 1.5") -> Path:
    information = folder / name
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.4\nName: x\n{version}\n")
    (information / "RECORD").write_text(record)
    return information


def test_the_first_folder_that_has_it_counts(tmp_path: Path) -> None:
    put(tmp_path / "one", "Some_Thing-1.5.dist-info", 'a/b.py,,\n"c,d/e.py",,\nf.py,,\n../../bin/x,,\n/etc/y,,\n')
    put(tmp_path / "two", "some.thing-2.dist-info", "z.py,,\n")
    folders = [str(tmp_path / each) for each in ("none", "one", "two")]
    [found] = installed(["some-thing"], folders)
    assert (found.version, found.folder, found.tops) == ("1.5", tmp_path / "one", ("a", "c", "f.py"))


@pytest.mark.parametrize(("record", "version"), [("", "Version: 1"), ("../x,,\n", "Version: 1"), ("a.py,,\n", "")])
def test_one_that_says_nothing_of_what_it_installed_is_no_empty_one(tmp_path: Path, record: str, version: str) -> None:
    put(tmp_path, "x-1.dist-info", record, version)
    with pytest.raises(ConfigurationError, match="does not say"):
        installed(["x"], [str(tmp_path)])


def test_what_is_not_there_or_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="x is not installed"):
        installed(["x"], [str(tmp_path)])
    (put(tmp_path, "x-1.dist-info", "a.py,,\n") / "RECORD").unlink()
    with pytest.raises(ConfigurationError, match="RECORD: cannot be read"):
        installed(["x"], [str(tmp_path)])
