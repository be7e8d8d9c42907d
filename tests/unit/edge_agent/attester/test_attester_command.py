"""A program that signs: small shell scripts in place of a vendor's tool; no hardware was there."""

import base64
import json
import os
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_agent.attester import AttesterError, Platform, choose_attester
from edge_agent.attester.command import MAX_OUTPUT, CommandAttester, parts_of_json
from edge_agent.attester.settings import CommandSettings
from protocol.cmw import unwrap_untrusted
from protocol.errors import ConfigurationError, ProtocolMisuseError
from schemas.evidence import AZURE_VTPM, EAR, PSA, SNP
from schemas.kinds import Tier
from schemas.reason import Reason
from tests.synthetic import snp as made
from verifier.evidence.examination import Examination

REPORT_DATA = bytes(range(100, 164))
SHELL = "/bin/sh"


def attester_of(script: str, **settings: object) -> CommandAttester:
    """An attester that runs this script. The shell is here the program, and no part of the attester."""
    chosen = {"kind": "psa", "part": "token", "timeout_seconds": 20.0, **settings}
    return CommandAttester(CommandSettings(argv=(SHELL, "-c", script), **chosen))  # type: ignore[arg-type]


# What a program is given, and what it gives


def test_report_data_comes_on_stdin_and_evidence_goes_to_stdout() -> None:
    """A script in place of a tool: no hardware was there."""
    attester = attester_of("printf 'signed '; cat")
    assert unwrap_untrusted(PSA, attester.collect(REPORT_DATA)) == {"token": b"signed " + REPORT_DATA}
    assert (attester.name, attester.tier, attester.media_type) == ("command", Tier.PSA, PSA.media_type)


def test_report_data_comes_in_the_environment_and_as_an_argument() -> None:
    script = 'printf "%s" "$SEALEDGE_REPORT_DATA"; test "$0" = "x$SEALEDGE_REPORT_DATA"'
    settings = CommandSettings(argv=(SHELL, "-c", script, "x{report_data_hex}"), kind="psa", part="token")
    evidence = CommandAttester(settings).collect(REPORT_DATA)
    assert unwrap_untrusted(PSA, evidence) == {"token": REPORT_DATA.hex().encode()}


def test_an_snp_report_reaches_the_verifier_in_json(tmp_path: Path) -> None:
    """A script under a made-up ARK: no hardware was there."""
    exhibit = made.snp(report_data=REPORT_DATA)
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps({name: base64.b64encode(part).decode() for name, part in exhibit.parts.items()}))
    attester = attester_of(f"cat {file}", kind="snp", part=None)
    parts = unwrap_untrusted(SNP, attester.collect(REPORT_DATA))
    claims = exhibit.appraiser.appraise_untrusted(parts, exhibit.now, Examination())
    assert (claims.report_data, claims.tier) == (REPORT_DATA, attester.tier)


def test_an_argument_is_no_shell_text() -> None:
    program = (sys.executable, "-c", "import sys; sys.stdout.write(sys.argv[1] + sys.argv[2])")
    settings = CommandSettings(argv=(*program, "$(id);`id`|", "{report_data_hex}"), kind="psa", part="token")
    (token,) = unwrap_untrusted(PSA, CommandAttester(settings).collect(REPORT_DATA)).values()
    assert token == b"$(id);`id`|" + REPORT_DATA.hex().encode()


def test_the_agents_environment_stays_with_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALEDGE_BROKER__PASSWORD", "geheim")
    (token,) = unwrap_untrusted(PSA, attester_of("env; cat").collect(REPORT_DATA)).values()
    assert b"geheim" not in token
    names = {line.partition(b"=")[0] for line in token.replace(REPORT_DATA, b"").splitlines() if b"=" in line}
    assert names <= {b"PATH", b"LC_ALL", b"SEALEDGE_REPORT_DATA", b"PWD", b"OLDPWD", b"SHLVL", b"_"}


def test_a_program_that_reads_nothing_is_fine() -> None:
    assert attester_of('exec 0<&-; sleep 0.05; printf "%s" "$SEALEDGE_REPORT_DATA"').collect(REPORT_DATA)


def test_an_evidence_that_encodes_report_data_leaves_it_to_the_verifier() -> None:
    evidence = attester_of("printf header.payload.signature", kind="ear").collect(REPORT_DATA)
    assert unwrap_untrusted(EAR, evidence) == {"token": b"header.payload.signature"}


# Programs that fail


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo first >&2; echo no such key >&2; exit 3", "no such key"),
        ("exit 1", "it says nothing"),
        ("kill -9 $$", "it says nothing"),
        (r"printf 'a\033[31mred\a' >&2; exit 1", r"a\?\[31mred\?"),
    ],
)
def test_a_program_that_fails_is_told_in_its_last_words(script: str, said: str) -> None:
    with pytest.raises(AttesterError, match=said) as caught:
        attester_of(script + "; cat").collect(REPORT_DATA)
    assert "exit code" in caught.value.diagnostics
    assert "first" not in caught.value.diagnostics


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    ["sleep 60", "exec >&- 2>&-; sleep 60", "sleep 60 & echo done", "while :; do echo noise >&2; done"],
    ids=["silent", "streams closed", "left behind", "noisy"],
)
def test_a_program_that_is_late_is_ended(script: str) -> None:
    started = time.monotonic()
    with pytest.raises(AttesterError, match="too long") as caught:
        attester_of(script, timeout_seconds=0.3).collect(REPORT_DATA)
    assert caught.value.reason == Reason.TIMEOUT
    assert time.monotonic() - started < 10


def test_nothing_that_a_program_started_outlives_it(tmp_path: Path) -> None:
    file = tmp_path / "child"
    attester_of(f"sleep 60 >/dev/null 2>&1 & echo $! > {file}; cat").collect(REPORT_DATA)
    child = int(file.read_text())
    for _ in range(3000):
        if not Path(f"/proc/{child}").exists() or "\nState:\tZ" in Path(f"/proc/{child}/status").read_text():
            return
        time.sleep(0.01)
    pytest.fail("the child still runs")


@pytest.mark.slow
def test_a_program_that_may_not_be_ended_is_told_to_be_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that runs as another user; it ends by itself here."""

    def killpg(group: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "killpg", killpg)
    with pytest.raises(AttesterError, match="too long"):
        attester_of("sleep 0.3", timeout_seconds=0.1).collect(REPORT_DATA)


def test_a_program_that_prints_too_much_is_ended() -> None:
    with pytest.raises(AttesterError) as caught:
        attester_of("cat; while :; do echo 0123456789012345678901234567890123456789; done").collect(REPORT_DATA)
    assert caught.value.reason == Reason.OVERSIZED


def test_what_is_said_on_stderr_is_bounded() -> None:
    script = f"i=0; while [ $i -lt 3000 ]; do echo {'noise' * 20} >&2; i=$((i+1)); done; cat"
    assert attester_of(script).collect(REPORT_DATA)


def test_evidence_over_other_report_data_does_not_leave() -> None:
    with pytest.raises(AttesterError, match="other report data"):
        attester_of("printf replayed").collect(REPORT_DATA)


def test_an_empty_answer_does_not_leave() -> None:
    with pytest.raises(AttesterError, match="empty token"):
        attester_of("cat >/dev/null").collect(REPORT_DATA)


def test_output_up_to_its_bound_is_read_and_then_too_large_to_send() -> None:
    with pytest.raises(AttesterError, match="too large to send"):
        attester_of(f"cat; head -c {MAX_OUTPUT - 64} /dev/zero").collect(REPORT_DATA)


def test_a_program_that_is_replaced_by_none_is_told(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("not a program")
    program.chmod(0o700)
    attester = CommandAttester(CommandSettings(argv=(str(program),), kind="psa", part="token"))
    with pytest.raises(AttesterError, match="cannot be run"):
        attester.collect(REPORT_DATA)


def test_report_data_of_another_length_runs_nothing(tmp_path: Path) -> None:
    with pytest.raises(ProtocolMisuseError):
        attester_of(f"touch {tmp_path}/ran").collect(bytes(63))
    assert list(tmp_path.iterdir()) == []


# JSON


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"token": 1}', '{"token": "!"}', '{"token": "AA="}', '{"report": "AAAA"}', "[" * 100_000],
)
def test_json_of_another_shape_is_the_programs_failure(text: str) -> None:
    with pytest.raises(AttesterError):
        parts_of_json(PSA, text.encode())


@given(st.dictionaries(st.sampled_from([part.name for part in SNP.parts]), st.binary(max_size=40), min_size=1))
def test_parts_survive_their_json(parts: dict[str, bytes]) -> None:
    text = json.dumps({name: base64.b64encode(part).decode() for name, part in parts.items()})
    assert parts_of_json(SNP, text.encode()) == parts


# Settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"argv": ("sh",)}, "looked for nowhere"),
        ({"argv": ("/nonexistent/tool",)}, "no program that this user can run"),
        ({"argv": ("/etc",)}, "no program that this user can run"),
        ({"argv": ("/etc/passwd",)}, "no program that this user can run"),
        ({"kind": "simulated"}, "no such kind"),
        ({"kind": "sev"}, "no such kind"),
        ({"part": "quote"}, "no such part"),
        ({"tier": Tier.TDX}, "a tier that psa evidence can reach"),
        ({"kind": "azure-vtpm", "part": "evidence"}, "a tier that azure-vtpm evidence can reach"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_runs(settings: dict[str, object], said: str) -> None:
    chosen = {"argv": (SHELL,), "kind": "psa", "part": "token", **settings}
    with pytest.raises(ConfigurationError, match=said):
        choose_attester("command", Platform(bytes(32), command=CommandSettings(**chosen)))  # type: ignore[arg-type]


def test_a_tier_is_said_where_evidence_can_reach_several() -> None:
    attester = attester_of("cat", kind="azure-vtpm", part="evidence", tier=Tier.AZURE_TDX)
    assert (attester.tier, attester.media_type) == (Tier.AZURE_TDX, AZURE_VTPM.media_type)


@pytest.mark.parametrize(
    "wrong",
    [{"argv": ()}, {"argv": ("/bin/sh", "a\0b")}, {"timeout_seconds": 0}, {"timeout_seconds": 61}, {"shell": 1}],
)
def test_settings_of_another_form_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CommandSettings(**{"argv": (SHELL,), "kind": "psa", **wrong})  # type: ignore[arg-type]


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_no_descriptor_is_left_open() -> None:
    attester = attester_of("cat")
    before = open_descriptors()
    for _ in range(3):
        attester.collect(REPORT_DATA)
    assert open_descriptors() == before
