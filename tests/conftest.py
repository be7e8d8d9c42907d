"""The default run tries fewer examples of each property; a run of every test tries as many as each says."""

import gc
import logging
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.examples import QUICK, QUICK_EXAMPLES

SLOW_ALONE = re.compile(r"^pytestmark = pytest\.mark\.slow\b", re.MULTILINE)
"""Stands in files of which the default run takes nothing."""

# How long an example takes, or takes to be drawn, says what else the machine does.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
settings.register_profile(QUICK, settings.get_profile("patient"), max_examples=QUICK_EXAMPLES)


def pytest_configure(config: pytest.Config) -> None:
    """Until all is collected, the garbage collector would walk what stays again and again."""
    gc.disable()
    if _default(config):
        settings.load_profile(QUICK)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files of slow tests alone are not imported in the default run: what they import takes seconds."""
    if _default(config) and collection_path.name.startswith("test_"):
        return SLOW_ALONE.search(collection_path.read_text(encoding="utf-8")) is not None or None
    return None


def pytest_runtest_teardown() -> None:
    """A command of this process leaves its handler behind, whose stream ends with its test."""
    logger = logging.getLogger("sealedge")
    logger.handlers, logger.propagate = [], True


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end."""
    gc.collect()
    gc.freeze()
    gc.enable()


def _default(config: pytest.Config) -> bool:
    """Whether this is the default run, `-m "not slow"` (Makefile)."""
    return bool(config.option.markexpr == "not slow")
