"""The JavaScript programs of this folder, installed once; skipped where there is no node, unless in CI."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

JAVASCRIPT = Path(__file__).parent / "javascript"
Run = Callable[..., list[dict[str, Any]]]


def _missing(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have {what}: without it no other implementation is tried")
    pytest.skip(f"{what} is not here: no other implementation is tried")


@pytest.fixture(scope="session")
def javascript() -> Path:
    """The folder of the programs, their packages as package-lock.json has them."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        _missing("node with npm")
    version = subprocess.run([str(node), "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip().lstrip("v").split(".")[0]) < 20:
        _missing("node 20 or newer")
    if not _is_installed():
        command = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=JAVASCRIPT, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            _missing(f"npm's registry ({done.stderr.strip().splitlines()[-1:]})")
    return JAVASCRIPT


def _is_installed() -> bool:
    """npm keeps a copy of the lock file beside what it has installed; it differs in its own name only."""
    installed = JAVASCRIPT / "node_modules" / ".package-lock.json"
    if not installed.exists():
        return False
    wanted = json.loads((JAVASCRIPT / "package-lock.json").read_text("utf-8"))["packages"]
    return {name: each for name, each in wanted.items() if name} == json.loads(installed.read_text("utf-8"))["packages"]


@pytest.fixture(scope="session")
def run(javascript: Path) -> Run:
    """Run a program: what it printed, a value for each line. Fails with its last words unless it ends with `status`."""

    def run(program: str, *arguments: str | Path, status: int = 0) -> list[dict[str, Any]]:
        command = ["node", f"src/{program}", *map(str, arguments)]
        done = subprocess.run(command, cwd=javascript, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == status, done.stderr[-2000:] or done.stdout[-2000:]
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run
