"""The vectors' index, by kind of evidence. It lies in the folder that SEALEDGE_VECTORS names, and not here."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

Entry = dict[str, Any]


def entries_of(kind: str) -> list[Any]:
    """The entries of a kind, for `parametrize`; one that is skipped where the folder is not."""
    folder = os.environ.get("SEALEDGE_VECTORS")
    if not folder:
        skipped = pytest.mark.skip(reason="SEALEDGE_VECTORS is not set: the vectors are not here")
        return [pytest.param({"id": f"no {kind} vectors", "expect": "", "files": {}}, marks=skipped)]
    index = json.loads((Path(folder) / "index.json").read_text(encoding="utf-8"))
    return [entry for entry in index if entry["kind"] == kind]


def parts_of(vectors: Path, entry: Entry) -> Mapping[str, bytes]:
    """The files of an entry, by the names of the kind's parts."""
    names = {"jwk": "key"}
    return {names.get(name, name): (vectors / file).read_bytes() for name, file in entry["files"].items()}
