"""deploy/provision.py: each volume gets its own folder and nothing else, whole or not at all, and once."""

import importlib.util
import stat
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
OPTIONS = ["--fleet=plant", "--tee=simulated", "--agents=east,west"]


@pytest.fixture
def provision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, with its folders below `tmp_path`; volumes are the folders that have no folder in them at first."""
    specification = importlib.util.spec_from_file_location("provision", ROOT / "deploy" / "provision.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    module.MADE, module.VOLUMES = tmp_path / "authority" / "fleet", tmp_path / "fleet"
    volumes = [module.VOLUMES / each for each in ("trust", "verifier", "agents/east")]
    for volume in volumes:
        volume.mkdir(parents=True)
    monkeypatch.setattr(Path, "is_mount", lambda self: self in volumes)
    return module


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_volume_gets_its_folder_with_its_modes(provision: ModuleType) -> None:
    assert provision.main(OPTIONS) == 0
    for place in ("trust", "verifier", "agents/east"):
        there = files(provision.VOLUMES / place)
        assert there == files(provision.MADE / place)
        assert {stat.S_IMODE((provision.VOLUMES / place / name).stat().st_mode) for name in there} == {0o600}
    assert sorted(path.name for path in provision.VOLUMES.iterdir()) == ["agents", "trust", "verifier"]


def test_a_fleet_that_is_there_stays(provision: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert provision.main(OPTIONS) == 0
    before = files(provision.VOLUMES)
    assert provision.main(OPTIONS) == 0
    assert files(provision.VOLUMES) == before
    assert capsys.readouterr().out == "the fleet is there already\n"


@pytest.mark.slow
def test_what_an_interrupted_start_left_is_made_anew(provision: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    copied, copy = [], provision.shutil.copy2

    def interrupted(source: Path, target: Path) -> None:
        if source.name == provision.DONE:
            raise KeyboardInterrupt
        copied.append(copy(source, target))

    monkeypatch.setattr(provision.shutil, "copy2", interrupted)
    with pytest.raises(KeyboardInterrupt):
        provision.main(OPTIONS)
    monkeypatch.setattr(provision.shutil, "copy2", copy)
    before = (provision.VOLUMES / "verifier" / "signing.pem").read_bytes()
    (provision.VOLUMES / "verifier" / "left").mkdir()
    assert len(copied) > 5
    assert provision.main(OPTIONS) == 0
    assert (provision.VOLUMES / "verifier" / "signing.pem").read_bytes() != before
    assert files(provision.VOLUMES / "verifier") == files(provision.MADE / "verifier")
    assert not (provision.VOLUMES / "verifier" / "left").exists()


@pytest.mark.slow
def test_a_volume_for_nobody_ends_it_before_anything_is_handed_over(
    provision: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert provision.main(["--fleet=plant", "--agents=west"]) == 2
    assert "the fleet has no agents/east" in capsys.readouterr().err
    assert files(provision.VOLUMES) == {}


def test_a_fleet_that_cannot_be_made_is_handed_to_nobody(provision: ModuleType) -> None:
    assert provision.main(["--fleet=Not A Name"]) == 2
    assert files(provision.VOLUMES) == {}
