"""The default run tries fewer examples of each property; a run of every test tries as many as hypothesis is used to."""

import pytest
from hypothesis import settings

settings.register_profile("quick", max_examples=20)


def pytest_configure(config: pytest.Config) -> None:
    """Tests that say how many examples they need keep their number."""
    if config.option.markexpr == "not slow":
        settings.load_profile("quick")
