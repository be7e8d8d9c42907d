"""Docker's own program, for the tests of containers: what it prints, and what a container tells about itself."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
IMAGE = "sealedge:dev"
BROKER_IMAGE = "eclipse-mosquitto:2"
USER = "10001:10001"
SECONDS = 300


class DockerFailure(AssertionError):
    """A command ended with a status that nobody expected; holds what it wrote."""


def run(*words: str, status: int = 0, seconds: float = SECONDS, **environment: str) -> str:
    """What `docker WORDS` writes to its standard output."""
    found = subprocess.run(
        ["docker", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if found.returncode != status:
        raise DockerFailure(f"docker {' '.join(words)}: {found.returncode}\n{found.stdout}\n{found.stderr}")
    return found.stdout


def inspected(*names: str) -> list[dict[str, Any]]:
    return list(json.loads(run("inspect", *names)))


def python(container: str, program: str, *arguments: str) -> Any:
    """What a program prints as JSON in a container that runs: there is no shell to be relied upon."""
    return json.loads(run("exec", container, "python", "-c", program, *arguments))


def python_beside(volumes: dict[str, str], program: str) -> Any:
    """The same in a container of its own, without a network, with these volumes by the folders they are mounted on."""
    mounts = [word for folder, volume in volumes.items() for word in ("--volume", f"{volume}:{folder}:ro")]
    flags = ["--rm", "--network", "none", "--read-only", "--cap-drop", "ALL"]
    return json.loads(run("run", *flags, *mounts, "--entrypoint", "python", IMAGE, "-c", program))


def fault() -> str | None:
    """What is missing for these tests, in one line."""
    for words, what in ((["info"], "no Docker engine answers"), (["compose", "version"], "no `docker compose`")):
        try:
            run(*words, seconds=30)
        except (OSError, DockerFailure, subprocess.TimeoutExpired) as error:
            return f"{what}: {str(error).splitlines()[-1] if str(error) else type(error).__name__}"
    return None
