"""The TPM attester against swtpm: a real implementation of a TPM 2.0, in software. No hardware was there."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.attester import Platform, choose_attester
from edge_agent.attester.tpm import MAX_EVENT_LOG, TpmAttester, _read_event_log
from edge_agent.attester.tpm_settings import TpmPlace, TpmSettings
from edge_agent.attester.tpm_tools import TpmError, TpmTools
from protocol.errors import ConfigurationError, ProtocolMisuseError, RemoteError
from schemas.kinds import Tier
from schemas.reason import Reason
from tests.support.tpms import Machine, appraise, machine, parts_of
from verifier.evidence.tpm_keys import REQUIRED_ATTRIBUTES, public_area_untrusted

REPORT_DATA = bytes(range(64))
FIRST, SECOND = (hashlib.sha256(each).digest() for each in (b"first", b"second"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("machine")) as found:
        found.identify()
        yield found


@pytest.fixture
def here(made: Machine, tmp_path: Path) -> Machine:
    """The machine, just switched on, with the files of an agent that has its identity and no state yet."""
    (tmp_path / "ak.tpm").write_bytes(made.place.key.read_bytes())
    (tmp_path / "ak.tpm").chmod(0o600)
    made.restart()
    return made.in_folder(tmp_path)


# What the verifier makes of it


def test_the_verifier_finds_what_the_attester_says(here: Machine) -> None:
    attester = here.attester(FIRST)
    claims = appraise(attester.collect(REPORT_DATA))
    assert claims.report_data == hashlib.sha256(REPORT_DATA).digest()
    assert (claims.measurement, claims.earlier) == (FIRST, ())
    assert claims.chip == attester.chip == here.keys.read().chip
    assert (claims.tier, claims.opaque, claims.debug) == (Tier.TPM, False, False)
    assert claims.claims["agent_pcr"] == 15
    assert attester.tier is Tier.TPM


@pytest.mark.slow
def test_each_quote_answers_its_own_report_data(here: Machine) -> None:
    attester = here.attester(FIRST)
    found = {appraise(attester.collect(bytes([each]) * 64)).report_data for each in range(3)}
    assert found == {hashlib.sha256(bytes([each]) * 64).digest() for each in range(3)}


@pytest.mark.slow
def test_another_implementation_accepts_the_quote(here: Machine) -> None:
    parts = parts_of(here.attester(FIRST).collect(REPORT_DATA))
    with TpmTools(None).desk() as desk:
        for name in ("quote", "sig", "ak"):
            desk.write(name, parts[name])
        nonce = hashlib.sha256(REPORT_DATA).hexdigest()
        desk.run("checkquote", "-u", "ak", "-m", "quote", "-s", "sig", "-g", "sha256", "-q", nonce)
        with pytest.raises(TpmError):
            desk.run("checkquote", "-u", "ak", "-m", "quote", "-s", "sig", "-g", "sha256", "-q", "00" * 32)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quote", "sig", "pcrs", "measurements"])
def test_evidence_that_was_changed_on_its_way_is_refused(here: Machine, name: str) -> None:
    evidence = here.attester(FIRST).collect(REPORT_DATA)
    part = parts_of(evidence)[name]
    for position in {0, 1, len(part) // 3, len(part) // 2, len(part) - 1}:
        changed = bytearray(part)
        changed[position] ^= 1
        with pytest.raises(RemoteError):
            appraise(evidence.replace(part, bytes(changed)))


@pytest.mark.slow
def test_the_boot_is_quoted_beside_the_agent(here: Machine) -> None:
    pcrs = appraise(here.attester(FIRST).collect(REPORT_DATA)).claims["pcrs"]
    assert isinstance(pcrs, dict)
    assert set(pcrs["sha256"]) == {*map(str, range(8)), "15"}


# The key


@pytest.mark.slow
def test_the_key_signs_only_what_the_tpm_says(here: Machine) -> None:
    key = here.keys.read()
    area = public_area_untrusted(key.public[2:])
    assert set(area.attribute_names) == set(REQUIRED_ATTRIBUTES)
    with here.tools.desk() as desk:
        desk.write("ak.ctx", here.keys.load())
        desk.write("forged", b"\xffTCG" + bytes(100))
        with pytest.raises(TpmError):
            desk.run("sign", "-c", "ak.ctx", "-g", "sha256", "-o", "signature", "forged")


@pytest.mark.slow
def test_power_cuts_do_not_lock_the_tpm(here: Machine) -> None:
    def lockouts() -> str:
        said = here.run("getcap", "properties-variable").decode()
        return next(line for line in said.splitlines() if "LOCKOUT_COUNTER" in line)

    before = lockouts()
    for _ in range(3):
        here.attester(FIRST).collect(REPORT_DATA)
        here.restart()
    assert lockouts() == before


@pytest.mark.slow
def test_the_key_is_made_once(here: Machine) -> None:
    assert here.identify().ak == here.identify().ak == here.keys.read()
    assert here.place.key.stat().st_mode & 0o777 == 0o600


def test_an_agent_without_an_identity_says_how_to_get_one(here: Machine, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no identity yet") as refused:
        here.in_folder(tmp_path / "other").attester(FIRST)
    assert "sealedge tee identity" in refused.value.diagnostics


@pytest.mark.slow
def test_the_key_of_another_tpm_is_refused(here: Machine, tmp_path: Path) -> None:
    with machine(tmp_path / "other") as other:
        other.identify()
        other.place.key.replace(here.place.key)
    with pytest.raises(TpmError, match="is not a key of this TPM"):
        here.attester(FIRST)


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"\x83", b"\x82\x41a\x41b", b"garbage"], ids=repr)
def test_a_broken_key_file_is_named(here: Machine, content: bytes) -> None:
    here.place.key.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"ak\.tpm"):
        here.attester(FIRST)


# The measurement


def value_of(here: Machine, pcr: int = 15) -> str:
    return here.run("pcrread", f"sha256:{pcr}").decode().split(":")[-1].strip().lower()


@pytest.mark.slow
def test_an_agent_that_restarts_extends_nothing(here: Machine) -> None:
    here.attester(FIRST)
    before = value_of(here)
    assert appraise(here.attester(FIRST).collect(REPORT_DATA)).earlier == ()
    assert value_of(here) == before != "0x" + "0" * 64


@pytest.mark.slow
def test_an_agent_that_was_replaced_cannot_hide_it(here: Machine) -> None:
    here.attester(FIRST)
    claims = appraise(here.attester(SECOND).collect(REPORT_DATA))
    assert (claims.measurement, claims.earlier) == (SECOND, (FIRST,))
    back = appraise(here.attester(FIRST).collect(REPORT_DATA))
    assert (back.measurement, back.earlier) == (FIRST, (FIRST, SECOND))


@pytest.mark.slow
def test_a_list_that_leaves_something_out_is_refused(here: Machine) -> None:
    here.attester(FIRST)
    evidence = here.attester(SECOND).collect(REPORT_DATA)
    honest = bytes([15]) + FIRST + SECOND
    assert honest in evidence
    for lie in (bytes([15]) + SECOND + SECOND, bytes([15]) + SECOND + FIRST, bytes([14]) + FIRST + SECOND):
        with pytest.raises(RemoteError):
            appraise(evidence.replace(honest, lie))


@pytest.mark.slow
def test_a_machine_that_was_restarted_begins_anew(here: Machine) -> None:
    here.attester(FIRST)
    here.restart()
    claims = appraise(here.attester(SECOND).collect(REPORT_DATA))
    assert (claims.measurement, claims.earlier) == (SECOND, ())


@pytest.mark.slow
def test_an_attester_outlives_a_reset_of_its_tpm(here: Machine) -> None:
    attester = here.attester(FIRST)
    attester.collect(REPORT_DATA)
    here.restart()
    claims = appraise(attester.collect(REPORT_DATA))
    assert (claims.measurement, claims.earlier) == (FIRST, ())


@pytest.mark.slow
def test_another_program_in_the_pcr_is_named_at_the_start(here: Machine) -> None:
    here.run("pcrextend", f"15:sha256={SECOND.hex()}")
    with pytest.raises(ConfigurationError, match=r"PCR 15.*choose another of 8 to 15 as \[tpm\] pcr"):
        here.attester(FIRST)
    assert appraise(here.with_settings(pcr=14).attester(FIRST).collect(REPORT_DATA)).claims["agent_pcr"] == 14


def test_another_program_in_the_pcr_is_refused_by_the_verifier(here: Machine) -> None:
    attester = here.attester(FIRST)
    here.run("pcrextend", f"15:sha256={SECOND.hex()}")
    evidence = attester.collect(REPORT_DATA)
    with pytest.raises(RemoteError):
        appraise(evidence)


@pytest.mark.slow
def test_a_crash_between_record_and_pcr_is_mended(here: Machine) -> None:
    here.attester(FIRST)
    here.place.record.write_bytes(FIRST + SECOND)
    claims = appraise(here.attester(SECOND).collect(REPORT_DATA))
    assert (claims.measurement, claims.earlier) == (SECOND, (FIRST,))


@pytest.mark.slow
@pytest.mark.parametrize("content", [FIRST[:31], FIRST + b"x", bytes(32 * 65)], ids=len)
def test_a_broken_record_is_named(here: Machine, content: bytes) -> None:
    here.place.record.write_bytes(content)
    with pytest.raises(ConfigurationError, match="tpm-extended"):
        here.attester(FIRST)


@pytest.mark.slow
def test_a_full_record_asks_for_a_restart(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.attester.tpm_measuring.MAX_EXTENSIONS", 1)
    here.attester(FIRST)
    with pytest.raises(ConfigurationError, match="restart the machine"):
        here.attester(SECOND)


@pytest.mark.slow
def test_a_lost_record_is_an_error_and_not_a_lie(here: Machine) -> None:
    here.attester(FIRST)
    here.place.record.unlink()
    with pytest.raises(ConfigurationError, match="state is lost"):
        here.attester(FIRST)


# What is not there


@pytest.mark.slow
def test_nothing_is_left_in_the_tpm(here: Machine) -> None:
    here.identify()
    here.attester(FIRST).collect(REPORT_DATA)
    assert here.handles() == ""


@pytest.mark.slow
def test_the_registry_makes_it(here: Machine) -> None:
    attester = choose_attester("tpm", Platform(FIRST, tpm=here.place))
    assert isinstance(attester, TpmAttester)
    assert here.keys.read().chip.hex()[:16] in repr(attester)


def test_the_registry_needs_a_tpm() -> None:
    with pytest.raises(ConfigurationError, match="no TPM"):
        choose_attester("tpm", Platform(FIRST))


@pytest.mark.slow
@pytest.mark.parametrize("length", [0, 32, 63, 65])
def test_report_data_of_another_length_is_misuse(here: Machine, length: int) -> None:
    with pytest.raises(ProtocolMisuseError):
        here.attester(FIRST).collect(bytes(length))


@pytest.mark.slow
def test_a_measurement_of_another_length_is_refused(here: Machine) -> None:
    with pytest.raises(ConfigurationError, match="SHA-256"):
        here.attester(bytes(48))


@pytest.mark.slow
def test_a_tpm_that_went_away_is_one_clear_error(here: Machine) -> None:
    attester = here.attester(FIRST)
    here.tpm.stop()
    try:
        with pytest.raises(TpmError, match="no TPM answers at swtpm:") as refused:
            attester.collect(REPORT_DATA)
        assert refused.value.reason is Reason.CONFIGURATION
    finally:
        here.tpm.start()


@pytest.mark.slow
def test_tools_that_hang_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "tpm2"
    program.write_text("#!/bin/sh\nexec sleep 20\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with TpmTools("device:/dev/tpmrm0", seconds=0.1).desk() as desk, pytest.raises(TpmError) as refused:
        desk.run("pcrread")
    assert refused.value.reason is Reason.TIMEOUT


@pytest.mark.slow
def test_a_tpm_that_hangs_is_asked_once(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    attester, asked = here.attester(FIRST), []

    def hang(nonce: bytes) -> dict[str, bytes]:
        asked.append(nonce)
        raise TpmError("too slow", reason=Reason.TIMEOUT)

    monkeypatch.setattr(attester, "_quote", hang)
    with pytest.raises(TpmError, match="too slow"):
        attester.collect(REPORT_DATA)
    assert len(asked) == 1


@pytest.mark.parametrize(
    "tcti",
    ["", "cmd:sh -c id", "libtss2-tcti-cmd.so:id", "device:", "swtpm:host=a b", "device:/dev/tpm0\nx", "pcap:device"],
)
def test_ways_that_start_programs_or_load_libraries_are_refused(tcti: str) -> None:
    with pytest.raises(ConfigurationError, match="no way to a TPM"):
        TpmTools(tcti)


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match="tpm2-tools are not installed"):
        TpmTools("device:/dev/tpmrm0")


# The event log


@pytest.mark.parametrize(
    ("tcti", "name"),
    [("device:/dev/tpmrm0", "tpm0"), ("device:/dev/tpm1", "tpm1"), ("swtpm:port=2321", None), ("device:/dev/x", None)],
)
def test_only_this_machines_own_tpm_has_the_kernels_log(tcti: str, name: str | None) -> None:
    found = TpmSettings(tcti=tcti).event_log
    assert found == (None if name is None else Path(f"/sys/kernel/security/{name}/binary_bios_measurements"))


def test_a_log_that_is_too_large_or_closed_to_us_stays_at_home(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert _read_event_log(log) is None
    log.write_bytes(b"")
    assert _read_event_log(log) is None
    log.write_bytes(b"x" * MAX_EVENT_LOG)
    assert _read_event_log(log) == b"x" * MAX_EVENT_LOG
    log.write_bytes(b"x" * (MAX_EVENT_LOG + 1))
    assert _read_event_log(log) is None
    log.unlink()
    log.mkdir()
    assert _read_event_log(log) is None


def test_files_stand_where_the_settings_say(tmp_path: Path) -> None:
    place = TpmPlace(TpmSettings(key=Path("k"), record=Path("/r")), tmp_path / "a", tmp_path / "b")
    assert (place.key, place.record) == (tmp_path / "a" / "k", Path("/r"))
    assert place.sealed_key.parent == tmp_path / "b"
    assert TpmSettings(seal_pcrs=(7, 0)).sealed_to == "sha256:0,7,15"


# The sealing key


@pytest.mark.slow
def test_the_sealing_key_comes_back_after_a_restart_of_the_same_code(here: Machine) -> None:
    key = here.attester(FIRST).sealing_key(b"label")
    assert len(key) == 32
    assert here.attester(FIRST).sealing_key(b"label") == key
    assert here.attester(FIRST).sealing_key(b"another") != key
    here.restart()
    assert here.attester(FIRST).sealing_key(b"label") == key
    assert key not in here.place.sealing_secret.read_bytes()


@pytest.mark.slow
def test_other_code_gets_another_sealing_key(here: Machine) -> None:
    key = here.attester(FIRST).sealing_key(b"label")
    here.restart()
    assert here.attester(SECOND).sealing_key(b"label") != key


@pytest.mark.slow
def test_a_damaged_or_foreign_sealed_secret_is_replaced(here: Machine) -> None:
    attester = here.attester(FIRST)
    key = attester.sealing_key(b"label")
    for damaged in (b"", b"nothing", here.place.sealing_secret.read_bytes()[:-1]):
        here.place.sealing_secret.write_bytes(damaged)
        later = attester.sealing_key(b"label")
        assert later != key
        assert attester.sealing_key(b"label") == later
