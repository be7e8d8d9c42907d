"""docs/sdk.md says what the code does: its names exist, its defaults are true, its reasons are the code's."""

import re
from pathlib import Path

from sealedge.client.aio import AsyncConsumer, AsyncSensor
from sealedge.client.api import Consumer, Sensor
from sealedge.client.consumer import SEEN
from sealedge.client.outbox import Outbox
from sealedge.client.outcome import ReceivedResult, Result
from sealedge.client.refusals import ELSEWHERE, LATER
from sealedge.client.settings import ConsumerSettings, SensorSettings

TEXT = (Path(__file__).parents[2] / "docs" / "sdk.md").read_text(encoding="utf-8")


def test_the_calls_of_the_table_exist() -> None:
    rows = re.findall(r"^\| (`.+?`) \|", TEXT.partition("### How a request ends")[0], re.MULTILINE)
    calls = [name for row in rows for name in re.findall(r"`(\w+)", row)]
    assert {"infer", "send", "claim", "pending", "start", "close"} <= set(calls)
    assert [name for name in calls if not hasattr(Sensor, name)] == []


def test_the_names_of_results_exist() -> None:
    for name in ("output", "array", "values", "labels", "raw", "receipt", "agent", "model", "version", "tier"):
        assert hasattr(Result, name)
        assert f"`{name}" in TEXT
    assert {"sender", "sender_key"} <= set(ReceivedResult.__slots__)
    assert hasattr(Consumer, "receive")
    assert hasattr(AsyncSensor, "infer")
    assert hasattr(AsyncConsumer, "__aiter__")


def test_the_reasons_that_never_end_a_request_are_those_of_the_code() -> None:
    sentence = TEXT.partition("These reasons never end a request:")[2].partition(".")[0]
    assert set(re.findall(r"`([a-z-]+)`", sentence)) == {str(reason) for reason in LATER | ELSEWHERE}


def test_the_defaults_of_the_table_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", TEXT, re.MULTILINE)
    assert len(rows) == 8
    words = {"any": None, "false": False}
    for name, default in rows:
        expected = words[default] if default in words else float(default)
        assert SensorSettings.model_fields[name].default == expected


def test_the_settings_that_are_shown_exist() -> None:
    block = TEXT.partition("```toml")[2].partition("[broker]")[0]
    for name in re.findall(r"^(\w+) =", block, re.MULTILINE):
        assert name in SensorSettings.model_fields
    assert {"kem_key", "models"} <= set(ConsumerSettings.model_fields)


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"{SEEN:,}" in TEXT
    assert Outbox.__init__.__defaults__ == (1024, 64 * 2**20)
