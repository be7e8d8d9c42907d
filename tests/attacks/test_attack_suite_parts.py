"""What `sealedge attack` is made of: its catalogue, its judgement, its broker's packets, its search, its command."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import ConfigurationError, TransportError
from protocol.party import Publication
from sealedge.cli.application import main
from sealedge.operations.attacks import display
from sealedge.operations.attacks.catalogue import CATALOGUE, chosen
from sealedge.operations.attacks.display import summary
from sealedge.operations.attacks.page import MARK, updated
from sealedge.operations.attacks.run import Report, attempt
from sealedge.operations.attacks.scenario import (
    Attacker,
    Outcome,
    Scenario,
    Tried,
    Verdict,
    blocked,
    judged,
    not_applicable,
    succeeded,
)
from sealedge.operations.attacks.stage import Stage, found_in
from sealedge.operations.attacks.targets.modules import expected, model
from sealedge.operations.attacks.targets.owned_broker import OwnedBroker
from sealedge.operations.attacks.targets.packets import Packet, decode_publish, encode_publish, read_packet
from tests.support.examples import examples

SECRET = bytes(range(100, 164))
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
PUBLICATIONS = st.builds(
    Publication,
    topic=st.from_regex(r"[a-z/]{1,40}", fullmatch=True),
    payload=st.binary(max_size=300),
    qos=st.just(1),
    retain=st.booleans(),
    expiry=st.none() | st.integers(1, 2**32 - 1),
    response_topic=st.none() | TEXTS,
    correlation=st.none() | st.binary(max_size=200),
    content_type=st.none() | TEXTS,
)


def scenario(name: str = "an-attack") -> Scenario:
    def attack(_stage: Stage) -> Verdict:
        return blocked("check")

    return Scenario(name, "family", ("P1",), Attacker.BROKER, "get something", attack, attack)


def tried(before: Verdict, now: Verdict) -> Tried:
    return Tried(scenario(), before, now, 0.5)


# The catalogue


def test_there_are_as_many_attacks_as_promised_and_each_has_a_name_of_its_own() -> None:
    names = [each.name for each in CATALOGUE]
    assert len(names) == len(set(names)) >= 40
    assert not set(names) & {each.family for each in CATALOGUE}


def test_they_try_every_property_but_the_one_that_all_show() -> None:
    """P13, a refusal that says why, is what `now_by` is made of."""
    tried = {each for scenario in CATALOGUE for each in scenario.properties}
    assert tried == {f"P{number}" for number in range(1, 15)} - {"P13"}


def test_some_are_chosen_by_name_or_family_in_the_order_of_the_catalogue() -> None:
    found = [each.name for each in chosen(["rollback", "replay"])]
    assert found == [each.name for each in CATALOGUE if each.family == "replay" or each.name == "rollback"]
    with pytest.raises(ConfigurationError, match="no such attack"):
        chosen(["rollback", "nonsense"])


def test_the_page_names_them_all_in_their_order() -> None:
    page = (Path(__file__).parents[2] / "docs" / "attacks.md").read_text("utf-8")
    rows = [line.split(" | ") for line in page.partition(MARK)[2].splitlines() if line.startswith("| `")]
    assert [row[0].strip("| `") for row in rows] == [each.name for each in CATALOGUE]
    assert [row[2] for row in rows] == [each.goal for each in CATALOGUE]


def test_a_page_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match="no line"):
        updated("# Attacks\n", Report([], "mosquitto", 1.0))


# What is said of them


def test_neither_success_nor_what_stopped_it_is_never_safe() -> None:
    assert judged(True, "won", "check").outcome is Outcome.SUCCEEDED
    assert judged(False, "won", "check", "said") == Verdict(Outcome.BLOCKED, "check", "said")
    assert judged(False, "won", "check", detected=True).outcome is Outcome.DETECTED
    assert judged(False, "won", None).outcome is Outcome.UNCLEAR
    assert judged(False, "won", "").outcome is Outcome.UNCLEAR


@pytest.mark.parametrize(
    "error", [TransportError("gone"), KeyError("x"), ValueError("y"), OSError("z"), TimeoutError()]
)
def test_a_scenario_that_breaks_down_is_unclear(error: Exception) -> None:
    def attack(_stage: Stage) -> Verdict:
        raise error

    assert attempt(attack, Stage()).outcome is Outcome.UNCLEAR


def test_the_count() -> None:
    report = Report(
        [
            tried(succeeded("read"), blocked("encryption")),
            tried(not_applicable("none"), blocked("stale")),
            tried(blocked("trap"), Verdict(Outcome.DETECTED, "revoked")),
            tried(succeeded("read"), succeeded("read")),
        ],
        "mosquitto",
        12.3,
    )
    assert (report.succeeded_before, report.applicable, report.held_now) == (2, 3, 3)
    assert report.failures == ["an-attack"]
    assert summary(report).startswith(
        "before: 2 of 3 succeed (1 had nothing to attack); now: 3 of 4 blocked or detected."
    )
    said = report.to_json()["scenarios"][0]
    assert {"name", "property", "before", "now", "now_by"} <= said.keys()


@pytest.mark.parametrize("before", [Outcome.UNCLEAR, Outcome.SUCCEEDED])
@pytest.mark.parametrize("now", list(Outcome))
def test_only_what_is_clear_and_held_is_no_failure(before: Outcome, now: Outcome) -> None:
    report = Report([tried(Verdict(before), Verdict(now))], "mosquitto", 1.0)
    held = before is Outcome.SUCCEEDED and now in {Outcome.BLOCKED, Outcome.DETECTED}
    assert (report.failures == []) == held


# The search


@pytest.mark.parametrize("shift", range(3))
def test_a_secret_is_found_in_whatever_form_it_stands(shift: int) -> None:
    before = b"x" * shift
    for hay in (SECRET, SECRET.hex().encode(), base64.b64encode(before + SECRET + b"y")):
        assert found_in(b"some " + hay + b" more", SECRET) > 0
    assert found_in(SECRET[20:52], SECRET) == 1
    assert found_in(SECRET[::-1] * 3, SECRET) == 0


def test_modules_are_told_apart_by_their_answers() -> None:
    assert model(SECRET, 1) != model(SECRET, 2)
    assert SECRET in model(SECRET, 1)
    assert expected(b"abc", 0) == b"cba"
    assert expected(bytes(40) + b"a" * 32, 1) == b"`" * 32


# The broker


async def _read(data: bytes) -> Packet:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await read_packet(reader)


@settings(max_examples=examples(50), deadline=None)
@given(publication=PUBLICATIONS, identifier=st.integers(1, 65_535))
def test_a_publication_passes_as_it_is(publication: Publication, identifier: int) -> None:
    packet = asyncio.run(_read(encode_publish(publication, identifier)))
    assert decode_publish(packet) == (publication, identifier)
    assert packet.raw == encode_publish(publication, identifier)


def test_a_broker_that_speaks_tls_cannot_be_owned() -> None:
    with pytest.raises(ConfigurationError, match="between TLS and the broker"):
        OwnedBroker("mqtts://localhost:8883")


# The command


def status_of(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["attack", *arguments])
    return int(ended.value.code or 0)


def test_the_list_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--list", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found] == [each.name for each in CATALOGUE]
    assert status_of("--list", "--only", "replay") == 0
    assert "redeliver-request" in capsys.readouterr().out


def test_an_attack_that_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--only", "nonsense") == 2
    assert "no such attack" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("now", "status"), [(blocked("stale"), 0), (succeeded("read"), 1), (Verdict(Outcome.UNCLEAR), 1)]
)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_the_status_says_whether_all_is_held(
    now: Verdict,
    status: int,
    options: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def play(_scenarios: Any, _broker: Any, tell: Any) -> Report:
        found = tried(succeeded("read"), now)
        tell(found)
        return Report([found], "mosquitto", 1.0)

    monkeypatch.setattr(display, "play", play)
    assert status_of(*options) == status
    out = capsys.readouterr().out
    if options:
        assert json.loads(out)["failures"] == (["an-attack"] if status else [])
    else:
        assert ("NOT HELD: an-attack" in out) == bool(status)
