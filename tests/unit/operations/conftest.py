"""A fleet's folder for the tests of one file, made once at the file's own `NOW`, copied for each test."""

import os
import shutil
from pathlib import Path

import pytest

from schemas.kinds import Tier
from sealedge.operations.fleet import Fleet, open_fleet
from sealedge.operations.init import FleetPlan, create_fleet


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "plant"
    create_fleet(folder, FleetPlan("plant", tee=Tier.SIMULATED), now=request.module.NOW, randomness=os.urandom)
    return folder


@pytest.fixture
def fleet(made: Path, tmp_path: Path) -> Fleet:
    """A copy that a test may spoil."""
    return open_fleet(shutil.copytree(made, tmp_path / "plant"))
