"""`python -m bench.containers [ROUNDS]`: the image's size, and how long `docker compose up` takes to a first result.

The image is built before, and every round begins without containers and volumes: keys are made, too. Needs an engine:
`scripts/with-docker .venv/bin/python -m bench.containers`.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = "sealedge-bench"
IMAGE, BASE = "sealedge:dev", "python:3.11-slim-bookworm"
STAND_IN = "org.sealedge.stand-in"


def docker(*words: str) -> str:
    environment = {**os.environ, "COMPOSE_PROJECT_NAME": PROJECT, "COMPOSE_PROGRESS": "quiet"}
    found = subprocess.run(["docker", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise SystemExit(f"docker {' '.join(words)}: {found.stderr}")
    return found.stdout


def megabytes(image: str) -> float:
    """Unpacked, in units of 1,000,000 bytes, as `docker images` tells it."""
    return int(docker("image", "inspect", "--format", "{{.Size}}", image)) / 1e6


def is_stand_in(image: str) -> bool:
    return STAND_IN in (json.loads(docker("image", "inspect", image))[0]["Config"]["Labels"] or {})


def first_result_after(began: float) -> float:
    """Seconds from `began` to the consumer's first line of JSON, by the time that the engine gave it."""
    for line in docker("logs", "--timestamps", f"{PROJECT}-consumer-1").splitlines():
        at, _, said = line.partition(" ")
        if said.startswith("{"):
            return datetime.fromisoformat(at).timestamp() - began
    raise SystemExit("the consumer has no result")


def one_round() -> float:
    docker("compose", "down", "--volumes", "--timeout", "2")
    began = time.time()
    docker("compose", "up", "--detach", "--no-build", "--quiet-pull")
    docker("wait", f"{PROJECT}-consumer-1")
    return first_result_after(began)


def main(rounds: int) -> None:
    docker("compose", "build", "--quiet")
    about = "a stand-in, see scripts/base-images" if is_stand_in(BASE) else "as pulled"
    print(f"image     {megabytes(IMAGE):.0f} MB, of which {BASE} ({about}) {megabytes(BASE):.0f} MB")
    try:
        taken = []
        for _ in range(rounds):
            taken.append(one_round())
            print(f"up        {taken[-1]:.1f} s to the first result, load {os.getloadavg()[0]:.1f}", flush=True)
    finally:
        docker("compose", "down", "--volumes", "--timeout", "2")
    print(f"up        median {statistics.median(taken):.1f} s, longest {max(taken):.1f} s, of {rounds}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
