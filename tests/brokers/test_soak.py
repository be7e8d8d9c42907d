"""A soak of some forty seconds: every process by the command line, over mosquitto with TLS, each victim killed once."""

import json
import os
from pathlib import Path

import pytest

from broker.children import find_mosquitto
from soak.__main__ import main
from soak.wounds import VICTIMS


@pytest.mark.slow
def test_nothing_is_lost_doubled_or_wrong_when_each_is_killed(tmp_path: Path) -> None:
    if find_mosquitto() is None:
        assert os.environ.get("CI") != "true", "CI must have mosquitto"
        pytest.skip("no mosquitto program is installed")
    status = main(["--seconds", "40", "--quiet", "20", "--interval", "4", "--folder", str(tmp_path)])
    found = json.loads((tmp_path / "soak.json").read_text("utf-8"))
    assert status == 0, {name: found[name] for name in ("requests", "consumer", "kills", "faults")}
    assert {row["victim"]: row["kills"] for row in found["kills"]} == dict.fromkeys(VICTIMS, 1)
    assert found["requests"]["answered"] > 100
    assert found["requests"]["refused"]["input-invalid"] > 0
    assert found["consumer"]["received"] > 100
    assert all(row["descriptors"]["last"] for row in found["parties"].values())
    assert str(tmp_path) not in (tmp_path / "soak.md").read_text("utf-8")
