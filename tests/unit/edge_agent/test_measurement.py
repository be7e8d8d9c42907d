"""The measurement: the same for the same files, another for any change to what the enclave runs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.host import command
from edge_agent.measurement import DISTRIBUTIONS, SOURCES, measure
from protocol.errors import ConfigurationError

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the measured sources, and some that are not."""
    root = tmp_path_factory.mktemp("installation")
    for name in (*SOURCES, "edge_agent/agent.py"):
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    return root


def value(root: Path) -> bytes:
    return measure(root, distributions=()).digest


@pytest.mark.slow
def test_the_same_files_have_the_same_measurement_wherever_they_lie(installation: Path) -> None:
    assert measure(installation) == measure(ROOT) == measure()


@pytest.mark.parametrize(
    "name",
    [
        "schemas/base.py",
        "protocol/hpke.py",
        "edge_agent/__init__.py",
        "edge_agent/enclave/enclave.py",
        "edge_agent/enclave/confinement/seccomp.py",
    ],
)
def test_one_changed_byte_changes_it(installation: Path, name: str) -> None:
    before, path = value(installation), installation / name
    content = path.read_bytes()
    path.write_bytes(content + b"\n")
    assert value(installation) != before
    path.write_bytes(content)
    assert value(installation) == before


@pytest.mark.parametrize("name", ["protocol/added.py", "edge_agent/enclave/deep/added.so", "schemas/base.pyc"])
def test_an_added_module_changes_it(installation: Path, name: str) -> None:
    before, path = value(installation), installation / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    assert value(installation) != before
    path.unlink()


def test_a_renamed_module_changes_it(installation: Path) -> None:
    before = value(installation)
    path = installation / "protocol/hpke.py"
    renamed = path.rename(path.with_name("hpke2.py"))
    assert value(installation) != before
    renamed.rename(path)


def test_what_the_enclave_does_not_run_does_not_change_it(installation: Path) -> None:
    before = value(installation)
    (installation / "edge_agent/agent.py").write_text("changed")
    (installation / "protocol/__pycache__").mkdir()
    (installation / "protocol/__pycache__/hpke.cpython-311.pyc").write_bytes(b"x")
    (installation / "protocol/notes.txt").write_text("x")
    assert value(installation) == before


def test_a_changed_distribution_changes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of its own, since the installed ones are not ours to change."""
    info = tmp_path / "measured_example-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: measured-example\nVersion: 1.0\n")
    (info / "RECORD").write_text(
        "measured_example/__init__.py,sha256=x,0\nmeasured_example-1.0.dist-info/RECORD,,\n../bin/x,,\n"
    )
    package = tmp_path / "measured_example"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))

    def found() -> tuple[str, str]:
        return dict(measure(distributions=["measured-example"]).entries)["measured-example==1.0"]

    before = found()
    (package / "__init__.py").write_text("changed = True")
    changed = found()
    (package / "unrecorded.py").write_text("")
    assert len({before, changed, found()}) == 3


def test_what_is_missing_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing to measure"):
        measure(tmp_path)
    with pytest.raises(ConfigurationError, match="no-such-distribution is not installed"):
        measure(distributions=["no-such-distribution"])


def test_every_entry_stands_by_its_name(installation: Path) -> None:
    entries = dict(measure(installation).entries)
    assert list(entries) == sorted(entries)
    assert entries["python"].split() == [sys.implementation.name, sys.version.split()[0]]
    assert {name.split("==")[0] for name in entries if "==" in name} == set(DISTRIBUTIONS)
    assert all(len(bytes.fromhex(digest)) == 32 for name, digest in entries.items() if name != "python")


@pytest.mark.slow
def test_all_that_the_enclave_imports_is_measured() -> None:
    """Ask an enclave's own interpreter, started as an enclave's is, which files it loaded."""
    *python, start = (each for each in command() if not Path(each).is_dir())
    folders = [each for each in command() if Path(each).is_dir()]
    program = (
        "import sys; sys.path += sys.argv[1:]; assert 'site' not in sys.modules; before = set(sys.modules)\n"
        "from schemas.plugins import without_plugins; without_plugins()\n"
        "import edge_agent.enclave.start, edge_agent.enclave.__main__, edge_agent.enclave.serving, json\n"
        "assert 'email' not in sys.modules and 'importlib.metadata' not in sys.modules\n"
        "found = [getattr(sys.modules[name], '__file__', None) for name in set(sys.modules) - before]\n"
        "print(json.dumps([[each for each in found if each], sys.base_prefix]))"
    )
    output = subprocess.run([*python, "-c", program, *folders], check=True, capture_output=True, text=True).stdout
    files, prefix = json.loads(output)
    measured = {ROOT / name for name, _ in measure().entries if "/" in name}
    assert Path(start) in measured
    library = Path(prefix, "lib")
    foreign = set()
    for path in map(Path, files):
        in_library = (
            path.is_relative_to(library) and "site-packages" not in path.parts and "dist-packages" not in path.parts
        )
        if in_library or path in measured:
            continue
        assert "site-packages" in path.parts, path
        foreign.add(path.parts[path.parts.index("site-packages") + 1].partition(".")[0])
    assert foreign - {name.replace("-", "_") for name in DISTRIBUTIONS} - {"_cffi_backend"} == set()
