"""`sealedge attack`, run: what it says of each attack, and that it would say so if one succeeded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sealedge.client.seen import SeenResults
from sealedge.operations.attacks.catalogue import CATALOGUE, chosen
from sealedge.operations.attacks.page import updated
from sealedge.operations.attacks.run import Report, attempt, play
from sealedge.operations.attacks.scenario import Outcome
from sealedge.operations.attacks.stage import Stage
from verifier.nonces import NonceMemory

PAGE = Path(__file__).parents[2] / "docs" / "attacks.md"
BLOCKED_BEFORE = {"garbage", "nested", "oversized", "stack-bomb", "reach-outside", "import-from-host"}
"""What wasmtime and a parser that catches its errors stop in the usual way, too."""

NOTHING_BEFORE = {
    "eavesdrop-keys", "forge-receipt", "ask-for-the-key", "many-sessions", "sequence-jump", "other-encoding",
    "borrowed-enrolment", "swapped-signing-key", "swapped-kem-key", "chosen-nonce", "replayed-evidence",
    "nonce-memory-lost", "simulated-as-hardware", "simulation-not-named", "downgrade-to-simulation",
    "downgrade-algorithm", "forged-attestation-result", "stale-attestation-result", "forged-challenge",
    "substitute-wrapped-key", "forged-grant", "swap-kept-chunks", "forged-list", "revoked-sensor", "stale-list",
    "expired-lease", "held-clock", "withheld-revocation", "revoked-agent",
}  # fmt: skip
"""What attacks something that the usual way does not have."""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as found:
        yield found


def outcome(stage: Stage, name: str) -> Outcome:
    """Printed, so that a failing test shows why."""
    [scenario] = chosen([name])
    verdict = attempt(scenario.now, stage)
    print(name, verdict)
    return verdict.outcome


def held_and_weakened(stage: Stage, monkeypatch: pytest.MonkeyPatch, name: str, target: str, weak: Any) -> None:
    """The attack is held; with one check taken out of the code it succeeds, and the suite says so."""
    assert outcome(stage, name) is Outcome.BLOCKED
    with monkeypatch.context() as planted:
        planted.setattr(target, weak)
        assert outcome(stage, name) is Outcome.SUCCEEDED


def without_forgetting(self: NonceMemory, agent: str, nonce: bytes, now: float) -> Any:
    return next(each for each in self._read(agent) if each.nonce == nonce)


def taken_without_a_word(self: SeenResults, identifier: object) -> bool:
    return False


def test_a_few_attacks_on_both_targets(stage: Stage) -> None:
    found = {
        each.name: (attempt(each.before, stage).outcome, attempt(each.now, stage).by)
        for each in chosen(["eavesdrop-readings", "tamper-reading", "chosen-nonce"])
    }
    assert found == {
        "eavesdrop-readings": (Outcome.SUCCEEDED, "encryption"),
        "tamper-reading": (Outcome.SUCCEEDED, "decryption-failed"),
        "chosen-nonce": (Outcome.NOT_APPLICABLE, "nonce-unknown"),
    }


def test_a_verifier_that_takes_a_nonce_twice_is_caught(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    weak = "verifier.nonces.NonceMemory.consume"
    held_and_weakened(stage, monkeypatch, "replayed-evidence", weak, without_forgetting)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "target", "weak"),
    [
        ("measure-sizes", "sealedge.client.dispatch.padded", lambda message, _multiple: message),
        ("unknown-code", "verifier.appraisal.deciding", lambda _trace: None),
        ("debug-mode", "verifier.appraisal.deciding", lambda _trace: None),
        ("redeliver-result", "sealedge.client.seen.SeenResults.__contains__", taken_without_a_word),
        ("forge-receipt", "sealedge.operations.receipt.check_commitment", lambda *_: None),
        # Last: afterwards the sensor believes in an agent that has no model.
        ("stale-attestation-result", "protocol.attestation.PassportBook._check_sequence", lambda *_: None),
    ],
)
def test_a_check_that_is_left_out_is_caught(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, name: str, target: str, weak: Any
) -> None:
    held_and_weakened(stage, monkeypatch, name, target, weak)


@pytest.fixture(scope="module")
def report() -> Report:
    return play(CATALOGUE, None, lambda _tried: None)


@pytest.mark.slow
def test_every_attack_is_held_now(report: Report) -> None:
    assert [(each.scenario.name, each.now) for each in report.tried if not each.now.held] == []
    assert report.failures == []
    assert len(report.tried) == len(CATALOGUE) >= 40


YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
open_memory = pytest.mark.skipif(
    not Path("/proc/self/mem").exists() or (YAMA.exists() and YAMA.read_text().strip() != "0"),
    reason="this system keeps a user's programs from each other: the usual agent's memory is closed, too",
)


@pytest.mark.slow
@open_memory
def test_what_every_attack_got_before(report: Report) -> None:
    found = {each.scenario.name: str(each.before.outcome) for each in report.tried}
    expected = {
        name: "blocked" if name in BLOCKED_BEFORE else "not-applicable" if name in NOTHING_BEFORE else "succeeded"
        for name in found
    }
    assert found == expected


@pytest.mark.slow
@open_memory
def test_the_page_says_what_came_of_them(report: Report) -> None:
    page = PAGE.read_text("utf-8")
    assert page == updated(page, report), "run: python -m sealedge.operations.attacks.page docs/attacks.md"


@pytest.mark.slow
def test_whatever_stopped_an_attack_is_named_and_seen(report: Report) -> None:
    for tried in report.tried:
        said = tried.to_json()
        assert said["now_by"], said
        assert said["before"] != "succeeded" or said["before_evidence"], said
