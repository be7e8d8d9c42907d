"""The default run tries fewer examples of each property; a run of every test tries as many as each says."""

import gc

import pytest
from hypothesis import settings

from tests.support.examples import QUICK, QUICK_EXAMPLES

settings.register_profile(QUICK, max_examples=QUICK_EXAMPLES)


def pytest_configure(config: pytest.Config) -> None:
    """The default run is `-m "not slow"` (Makefile)."""
    if config.option.markexpr == "not slow":
        settings.load_profile(QUICK)


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the garbage collector need not walk it again and again."""
    gc.collect()
    gc.freeze()
