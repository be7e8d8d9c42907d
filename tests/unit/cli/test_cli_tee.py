"""`sealedge tee`, and what else a person types to run an agent on a TPM. Against swtpm: no hardware was there."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_agent.attester.tpm_settings import DEFAULT_TCTI
from sealedge.cli.application import main
from tests.support.tpms import Machine, machine

Run = Callable[..., tuple[int, str, str]]
ONE_LINE = re.compile(r"sealedge: [a-z-]+: [^\n]+\n")


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command in this process, in an empty folder: its exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capfd.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("machine")) as found:
        yield found


@pytest.fixture
def plant(run: Run, tpm: Machine) -> Path:
    """A fleet whose only agent is led to the TPM."""
    code, said, _ = run("init", "plant", "--fleet", "plant", "--agents", "east", "--tee", "tpm")
    assert code == 0
    assert "hides nothing from the machine's owner" in said
    assert "sealedge tee enrol east --fleet plant" in said
    settings = Path("plant/agents/east/agent.toml")
    assert DEFAULT_TCTI in settings.read_text()
    settings.write_text(settings.read_text().replace(DEFAULT_TCTI, tpm.tpm.tcti))
    return settings


def test_one_command_enrols_a_tpm_of_this_machine(run: Run, plant: Path) -> None:
    before = plant.with_name("enrolment.cwt").read_bytes()
    code, said, warned = run("tee", "enrol", "east", "--fleet", "plant")
    assert code == 0
    assert "Nobody vouches for the endorsement key" in warned
    assert re.search(r"chip +[0-9a-f]{64}\n", said)
    assert plant.with_name("enrolment.cwt").read_bytes() != before
    assert list(Path("plant/authority/tpm").iterdir()) == []


@pytest.mark.slow
def test_three_files_enrol_a_tpm_elsewhere(run: Run, plant: Path) -> None:
    steps = (
        ("tee", "identity", "--config", str(plant), "--out", "identity.json"),
        ("tee", "challenge", "identity.json", "--fleet", "plant", "--out", "challenge.json"),
        ("tee", "activate", "challenge.json", "--config", str(plant), "--out", "answer.json"),
        ("enrol", "agent", "east", "--tpm-answer", "answer.json", "--fleet", "plant"),
    )
    before = plant.with_name("enrolment.cwt").read_bytes()
    for step in steps:
        code, _, warned = run(*step)
        assert code == 0, warned
    assert plant.with_name("enrolment.cwt").read_bytes() != before
    code, _, warned = run(*steps[-1])
    assert code == 1
    assert "nonce-unknown" in warned


@pytest.mark.slow
def test_a_certificate_is_asked_for_in_vain(run: Run, plant: Path) -> None:
    Path("roots.pem").write_text("")
    code, _, warned = run("tee", "enrol", "east", "--fleet", "plant", "--ek-roots", "roots.pem")
    assert code == 1
    assert ONE_LINE.fullmatch(warned)
    assert "no EK certificate" in warned


@pytest.mark.slow
def test_an_identity_is_shown_and_kept(run: Run, plant: Path) -> None:
    first, second = (run("tee", "identity", "--config", str(plant))[1] for _ in range(2))
    assert first == second
    assert "ek certificate  none in the TPM" in first


def test_a_tpm_that_is_not_there_is_one_line(run: Run, plant: Path) -> None:
    plant.write_text(re.sub('tcti = ".*"', 'tcti = "device:/dev/no-tpm"', plant.read_text()))
    code, _, warned = run("tee", "identity", "--config", str(plant))
    assert code == 2
    assert ONE_LINE.fullmatch(warned)
    assert "no TPM answers at device:/dev/no-tpm" in warned


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        '{"type":"sealedge-tpm-identity-1"}',
        '{"chip":"%s","ak":"AAAA","ek":"AAAA"}' % ("00" * 32),
    ],
    ids=["empty", "no fields", "few fields", "no structures"],
)
def test_a_file_that_is_no_identity_is_one_line(run: Run, plant: Path, content: str) -> None:
    Path("identity.json").write_text(content)
    code, _, warned = run("tee", "challenge", "identity.json", "--fleet", "plant", "--out", "c.json")
    assert code == 2
    assert ONE_LINE.fullmatch(warned)
    assert "identity.json" in warned
    assert not Path("c.json").exists()


def test_chips_are_named_by_hand(run: Run, plant: Path) -> None:
    before = plant.with_name("enrolment.cwt").read_bytes()
    code, said, _ = run("enrol", "agent", "east", "--fleet", "plant", "--chip", "0a" * 32, "--chip", "0B" * 32)
    assert (code, "2 chip(s)" in said) == (0, True)
    assert plant.with_name("enrolment.cwt").read_bytes() != before
    code, _, _ = run("enrol", "agent", "west", "--fleet", "plant", "--chip", "0a" * 32)
    assert code == 0
    assert Path("plant/agents/west/enrolment.cwt").exists()


@pytest.mark.parametrize("chip", ["", "0a", "0a" * 33, "zz" * 32])
def test_a_chip_is_a_sha256(run: Run, plant: Path, chip: str) -> None:
    code, _, warned = run("enrol", "agent", "east", "--fleet", "plant", "--chip", chip)
    assert code == 2
    assert "64 hex digits" in warned


def test_the_demo_falls_back_to_nothing(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEALEDGE_TEE", "sev-snp")
    code, _, warned = run("demo", "--json")
    assert code == 2
    assert ONE_LINE.fullmatch(warned)
    assert "SEALEDGE_TEE" in warned
