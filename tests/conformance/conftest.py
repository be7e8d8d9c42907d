"""The standards' vectors are not in this repository: SEALEDGE_VECTORS names the folder that holds them."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Load = Callable[[str], Any]


@pytest.fixture(scope="session")
def vectors() -> Path:
    folder = os.environ.get("SEALEDGE_VECTORS")
    if not folder:
        pytest.skip("SEALEDGE_VECTORS is not set: the standards' vectors are not here")
    return Path(folder)


@pytest.fixture(scope="session")
def load_vectors(vectors: Path) -> Load:
    return lambda name: json.loads((vectors / name).read_text(encoding="utf-8"))
