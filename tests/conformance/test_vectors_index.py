"""Every entry of the vectors' index through `sealedge evidence verify`, as anybody would type it.

AMD's intermediate certificates come with sealedge; nothing else is added to what the index names.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sealedge.cli.application import main

FOLDER = os.environ.get("SEALEDGE_VECTORS")
SIGNATURE_INVALID = {"INVALID", "invalid", "invalid under real Intel root"}


def entries() -> dict[str, dict[str, Any]]:
    if not FOLDER:
        return {}
    found = json.loads((Path(FOLDER) / "index.json").read_text(encoding="utf-8"))
    return {each["id"]: each for each in found}


ENTRIES = entries()


def arguments_of(entry: dict[str, Any], folder: Path) -> list[str]:
    """A changed copy of another entry's evidence keeps its endorsements, and its time."""
    base = ENTRIES.get(entry.get("base", ""), {"files": {}, "verify_at": None})
    kept = {name: file for name, file in base["files"].items() if name not in {"report", "quote"}}
    files = {**kept, **entry["files"]}
    named = [f"{name}={file if name == 'field' else folder / file}" for name, file in files.items()]
    at = entry["verify_at"] or base["verify_at"]
    return [
        entry["kind"],
        *named,
        *(["--at", at] if at else []),
        *(["--nonce", entry["nonce_hex"]] if "nonce_hex" in entry else []),
    ]


def expected_of(entry: dict[str, Any]) -> tuple[set[str], set[str]]:
    """The verdicts and signature states that fit the index's words."""
    words = entry["expect"]
    if words == "malformed":
        return {"malformed"}, {"unchecked"}
    if words in SIGNATURE_INVALID or words == "refuse":
        return {"refuse"}, {"invalid", "unchecked"}
    if "refuse" in words or "claims-invalid" in words:
        return {"refuse"}, {"valid"}
    # What a synthetic token is worth beyond its signature the index leaves open.
    return {"accept", "refuse"} if words.startswith("signature-valid;") else {"accept"}, {"valid"}


@pytest.mark.usefixtures("vectors")
def test_the_index_is_there() -> None:
    assert len(ENTRIES) >= 54


@pytest.mark.parametrize("entry", [pytest.param(each, id=each["id"]) for each in ENTRIES.values()])
def test_entry(entry: dict[str, Any], vectors: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["evidence", "verify", *arguments_of(entry, vectors), "--json"])
    found = json.loads(capfd.readouterr().out)
    verdicts, signatures = expected_of(entry)
    assert found["verdict"] in verdicts, found["error"]
    assert found["signature"] in signatures
    assert ended.value.code == {"accept": 0, "refuse": 1, "malformed": 2}[found["verdict"]]
    if "tcb_status" in entry:
        assert found["tcb_status"] == entry["tcb_status"]


@pytest.mark.parametrize(
    "entry", [each for each in ENTRIES.values() if "nonce_hex" in each], ids=lambda each: each["id"]
)
def test_another_nonce_is_refused(entry: dict[str, Any], vectors: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = arguments_of({**entry, "nonce_hex": "00" + entry["nonce_hex"][2:]}, vectors)
    with pytest.raises(SystemExit):
        main(["evidence", "verify", *arguments, "--json"])
    found = json.loads(capfd.readouterr().out)
    assert (found["verdict"], found["signature"], found["reason"]) == ("refuse", "valid", "nonce-unknown")
