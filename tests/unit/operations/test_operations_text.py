"""What comes in as text and what goes out as text: readings, descriptions, event lines."""

import io
import json
import logging
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ConfigurationError
from protocol.party import Noted, Publication
from schemas.kinds import Tier
from schemas.model import Manifest, ModuleLimits, TensorSpec
from schemas.reason import Reason
from schemas.status import Refusal
from sealedge.client.events import Answered, RequestRefused, TimedOut
from sealedge.operations import texts
from sealedge.operations.describe import LIMITS, load_description
from sealedge.operations.log import EventLog, LogHandler
from sealedge.operations.readings import readings
from sealedge.operations.send import described

# Readings


def read(path: Path, text: str) -> list[list[object]]:
    path.write_text(text, encoding="utf-8")
    return list(readings(str(path)))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "1,2.5\n-3,4e2\n", [[1, 2.5], [-3, 400.0]]),
        ("a.csv", "radius,texture\n1,2\n", [[1, 2]]),
        ("a.csv", "\ufeff1,2\r\n\r\n3,4", [[1, 2], [3, 4]]),
        ("a.csv", "", []),
        ("a.csv", ' 1 , "2" \n', None),
        ("a.jsonl", "[1, 2.5]\n\n[[1], [2]]\n", [[1, 2.5], [[1], [2]]]),
    ],
)
def test_readings_are_read(name: str, text: str, expected: list[list[object]] | None, tmp_path: Path) -> None:
    if expected is None:
        with pytest.raises(ConfigurationError, match="column 2"):
            read(tmp_path / name, text)
    else:
        assert read(tmp_path / name, text) == expected


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "1,2\n1,two\n", "line 2, column 2"),
        ("a.csv", "1,\n", "line 1, column 2"),
        ("a.csv", "a,b\nc,d\n", "line 2, column 1"),
        ("a.csv", "1," + "2" * 200_000, "line 1 is not CSV"),
        ("a.jsonl", "[1]\n{}\n", "line 2 is not a JSON array"),
        ("a.jsonl", "[" * 100_000, "line 1 is not a JSON array"),
    ],
)
def test_a_wrong_line_is_named(name: str, text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=said):
        read(tmp_path / name, text)


def test_the_standard_input_is_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("[1, 2]\n"))
    assert list(readings("-")) == [[1, 2]]
    monkeypatch.setattr("sys.stdin", io.StringIO("1,2\n"))
    assert list(readings("-")) == [[1, 2]]


def test_a_file_that_is_not_there_or_no_text_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        list(readings(str(tmp_path / "none.csv")))
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="line 1"):
        list(readings(str(tmp_path / "a.csv")))


# Descriptions

DESCRIPTION = """
name = "echo"
tiers = ["simulated"]
[[inputs]]
name = "x"
dtype = "float32"
shape = [3]
[[outputs]]
name = "y"
dtype = "float32"
shape = [3]
labels = ["a", "b", "c"]
"""


def test_a_description_is_read_with_what_stands_above_it(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(DESCRIPTION + "[limits]\nmilliseconds = 5\n")
    found = load_description(path, None, ())
    assert (found.name, found.tiers, found.inputs[0].shape) == ("echo", (Tier.SIMULATED,), (3,))
    assert found.limits == ModuleLimits(**{**LIMITS, "milliseconds": 5})
    assert load_description(path, "other", ("simulated",)).name == "other"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('dtype = "float32"', 'dtype = "complex"', "dtype is wrong"),
        ("shape = [3]", "shape = [0]", "shape.0 is wrong"),
        ("shape = [3]", 'shape = ["3"]', "shape.0 is wrong"),
        ('tiers = ["simulated"]', "tiers = []", "tiers is wrong"),
        ('tiers = ["simulated"]', "", "tiers is missing"),
        ('name = "echo"', "nam = 1", "name is missing"),
        ('name = "echo"', "name = 1979-05-27", "date"),
        ('name = "echo"', 'name = "echo"\ncolour = "red"', "colour is not a setting"),
    ],
)
def test_a_wrong_description_is_one_line(old: str, new: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(DESCRIPTION.replace(old, new, 1))
    with pytest.raises(ConfigurationError, match=said) as refused:
        load_description(path, None, ())
    assert str(path) in refused.value.diagnostics


# How requests end

MANIFEST = Manifest(
    fleet="f",
    publisher="p",
    model="m",
    version=2,
    digest=bytes(32),
    size=1,
    chunks=(bytes(32),),
    index=b"i",
    inputs=(TensorSpec(name="x", dtype="uint8", shape=(1,)),),
    outputs=(TensorSpec(name="y", dtype="uint8", shape=(2,)),),
    tiers=(Tier.SIMULATED,),
    limits=ModuleLimits(**LIMITS),
    issued=0,
)


def answered(output: bytes | None, version: int = 2) -> Answered:
    return Answered(bytes(16), output, b"bundle", "agent-1", "m", version, Tier.SIMULATED)


def test_an_answer_is_shown_as_numbers_or_hex_or_not_at_all() -> None:
    assert described(answered(b"\1\2"), MANIFEST)["output"] == {"y": [1, 2]}
    assert described(answered(b"\1\2", version=3), MANIFEST)["output"] == "0102"
    assert described(answered(b"\1\2\3"), MANIFEST)["output"] == "010203"
    assert described(answered(b"\1\2"), None)["output"] == "0102"
    assert "output" not in described(answered(None), MANIFEST)
    assert "step" not in described(answered(b"\1\2"), MANIFEST)
    assert described(replace(answered(b"\1\2"), step=0), MANIFEST)["step"] == 0


def test_a_refusal_and_a_timeout_say_why() -> None:
    refusal = Refusal(reason=Reason.INPUT_INVALID, time=1, claim="x", expected="4", found="5")
    said = described(RequestRefused(bytes(16), "agent-1", refusal), None)
    assert (said["status"], said["reason"], said["expected"]) == ("refused", "input-invalid", "4")
    timed_out = described(TimedOut(bytes(16), Reason.NOT_ATTESTED), None)
    assert timed_out == {"status": "timed-out", "reason": "not-attested"}


# Event lines


def lines(format_: str, *events: object, quiet: bool = False) -> list[str]:
    stream = io.StringIO()
    log = EventLog("east", format_, clock=lambda: 3661.0, quiet=quiet, stream=stream)  # type: ignore[arg-type]  # both are
    for event in events:
        log(event)  # type: ignore[arg-type]  # all are events
    return stream.getvalue().splitlines()


def test_an_event_is_one_line() -> None:
    event = Noted("attested", {"tier": "simulated", "models": 1, "live": True, "none": None, "why": "two words"})
    assert lines("text", event) == ['01:01:01 east attested tier=simulated models=1 live=true why="two words"']
    (line,) = lines("json", event)
    assert json.loads(line)["event"] == "attested"
    assert json.loads(line)["party"] == "east"


def test_other_events_are_not_for_eyes() -> None:
    assert lines("text", Publication("t", b"secret")) == []


def test_quiet_leaves_refusals_and_faults() -> None:
    assert lines("text", Noted("attested"), Noted("refused"), quiet=True) == ["01:01:01 east refused"]


@given(st.text())
def test_what_a_stranger_says_stays_on_its_line(said: str) -> None:
    (line,) = lines("text", Noted("refused", {"topic": said}))
    assert line.isprintable()
    (line,) = lines("json", Noted("refused", {"topic": said}))
    assert json.loads(line)["topic"] == said


def test_what_the_rooms_below_log_is_a_line_like_all_failures() -> None:
    stream = io.StringIO()
    handler = LogHandler(EventLog("east", "text", clock=lambda: 0.0, stream=stream))
    handler.emit(logging.LogRecord("sealedge", logging.ERROR, "", 0, "transport-failed: a\n  %s", ("b",), None))
    assert stream.getvalue() == "sealedge: transport-failed: a b\n"


# Generated TOML


@given(st.text(st.characters(exclude_categories=["Cs"])), st.booleans(), st.integers(0, 2**31))
def test_what_is_written_as_toml_is_read_back(text: str, truth: bool, number: int) -> None:
    values = [("text", text), ("truth", truth), ("number", number), ("list", [text, "b"])]
    assert tomllib.loads(texts.table(values, "part")) == {"part": dict(values)}
