"""The image, built once, and the fleet of compose.yaml, really started: both need an engine."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from tests.containers.engine import IMAGE, fault, inspected, run

ANSWER_SECONDS = 120
HEALTHY_SECONDS = 90


@pytest.fixture(scope="session")
def image() -> str:
    """The image that the Dockerfile makes of this checkout."""
    found = fault()
    if found is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must start containers, by scripts/with-docker: {found}")
        pytest.skip(f"containers are not tried: {found}")
    run("compose", "build")
    return IMAGE


@dataclass(frozen=True)
class Stack:
    """compose.yaml under a project name of its own."""

    project: str

    def compose(self, *words: str, status: int = 0) -> str:
        return run("compose", *words, status=status, COMPOSE_PROJECT_NAME=self.project)

    def container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def volume(self, name: str) -> str:
        return f"{self.project}_{name}"

    def lines(self, service: str) -> list[dict[str, Any]]:
        """The JSON lines that a one-shot service has printed."""
        said = run("logs", self.container(service)).splitlines()
        return [json.loads(line) for line in said if line.startswith("{")]

    def ended(self, service: str) -> int:
        """The exit status of a one-shot service, once it has one."""
        return int(run("wait", self.container(service), seconds=ANSWER_SECONDS))

    def is_healthy(self, service: str) -> bool:
        state: str = inspected(self.container(service))[0]["State"]["Health"]["Status"]
        return state == "healthy"

    def until_healthy(self, *services: str) -> None:
        until = time.monotonic() + HEALTHY_SECONDS
        while not all(self.is_healthy(service) for service in services):
            assert time.monotonic() < until, self.compose("ps", "--all")
            time.sleep(0.5)


@pytest.fixture(scope="session")
def stack(image: str) -> Iterator[Stack]:
    """A fleet that `docker compose up` started, and that has answered its first readings."""
    made = Stack(f"sealedge-test-{uuid4().hex[:8]}")
    try:
        made.compose("up", "--detach", "--no-build")
        assert made.ended("consumer") == 0, made.compose("logs")
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "5")
