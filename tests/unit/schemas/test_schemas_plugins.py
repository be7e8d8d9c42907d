"""Plugins of pydantic: code of any installed package, which must not run in an enclave."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import sys
sys.path[:0] = sys.argv[1:3]
if sys.argv[3] == "without":
    from schemas.plugins import without_plugins
    without_plugins()
import schemas.status
print("planted" in sys.modules)
"""


def planted(folder: Path) -> None:
    information = folder / "planted-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: planted\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[pydantic]\nplanted = planted:plugin\n")
    (folder / "planted.py").write_text(
        "class Plugin:\n    def new_schema_validator(self, *_args, **_named):\n        return None, None, None\n\n"
        "plugin = Plugin()\n"
    )


@pytest.mark.parametrize(("how", "runs"), [("without", "False"), ("as usual", "True")])
def test_a_planted_plugin_runs_in_programs_that_ask_for_plugins_alone(tmp_path: Path, how: str, runs: str) -> None:
    planted(tmp_path)
    command = [sys.executable, "-I", "-c", PROGRAM, str(ROOT), str(tmp_path), how]
    # The program under test decides: an earlier test may have switched plugins off for its own process.
    environment = {name: value for name, value in os.environ.items() if name != "PYDANTIC_DISABLE_PLUGINS"}
    ended = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert ended.stdout.strip() == runs
