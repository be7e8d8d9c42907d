"""How a command ends: one line for each way to fail, the right exit status, and never a traceback."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from protocol.errors import AuthenticationError, ConfigurationError, Finding, TransportError
from sealedge.cli import application, broker, measure
from sealedge.cli.application import main

Run = Callable[..., tuple[int, str, str]]
ONE_LINE = re.compile(r"sealedge: [a-z-]+: [^\n]+\n")


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process: its exit status, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        captured = capfd.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "plant"
    with pytest.raises(SystemExit) as ended:
        main(["init", str(folder), "--fleet", "plant", "--tee", "simulated", "--broker", "mqtt://127.0.0.1:9"])
    assert ended.value.code == 0
    return folder


def broken(path: Path, old: str, new: str) -> str:
    """A copy of a settings file beside it, with one thing changed."""
    text = path.read_text()
    assert old in text
    copy = path.with_name(f"broken-{path.name}")
    copy.write_text(text.replace(old, new))
    return str(copy)


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


WRONG: dict[str, Callable[[Path, Path], list[str]]] = {
    "no command": lambda f, t: [],
    "unknown command": lambda f, t: ["frobnicate"],
    "unknown option": lambda f, t: ["--frobnicate"],
    "no subcommand": lambda f, t: ["sensor"],
    "missing argument": lambda f, t: ["init"],
    "missing option": lambda f, t: ["init", str(t / "x")],
    "missing file": lambda f, t: ["verifier", "--config", str(t / "none.toml")],
    "a folder for a file": lambda f, t: ["verifier", "--config", str(t)],
    "not TOML": lambda f, t: ["verifier", "--config", write(t / "a.toml", "fleet = ")],
    "empty TOML": lambda f, t: ["agent", "--config", write(t / "b.toml", "")],
    "not text": lambda f, t: ["measure", "--config", sys.executable],
    "unknown key": lambda f, t: [
        "verifier",
        "--config",
        broken(f / "verifier/verifier.toml", "policy =", "police = 1\npolicy ="),
    ],
    "wrong type": lambda f, t: [
        "publisher",
        "serve",
        "--config",
        broken(f / "publisher/publisher.toml", '"plant"', "7"),
    ],
    "no such policy": lambda f, t: [
        "verifier",
        "--config",
        broken(f / "verifier/verifier.toml", "policy.toml", "none.toml"),
    ],
    "another party's credential": lambda f, t: [
        "verifier",
        "--config",
        broken(f / "verifier/verifier.toml", '"credential.cwt"', '"../publisher/credential.cwt"'),
    ],
    "another party's key": lambda f, t: [
        "publisher",
        "serve",
        "--config",
        broken(f / "publisher/publisher.toml", '"signing.pem"', '"../verifier/signing.pem"'),
    ],
    "a public file for a key": lambda f, t: [
        "publisher",
        "serve",
        "--config",
        broken(f / "publisher/publisher.toml", '"signing.pem"', '"credential.cwt"'),
    ],
    "no TEE": lambda f, t: [
        "agent",
        "--config",
        broken(f / "agents/agent-1/agent.toml", 'attester = "simulated"', 'attester = ""'),
    ],
    "unknown TEE": lambda f, t: [
        "agent",
        "--config",
        broken(f / "agents/agent-1/agent.toml", 'attester = "simulated"', 'attester = "abacus"'),
    ],
    "bad URL": lambda f, t: ["verifier", "--config", str(f / "verifier/verifier.toml"), "--broker", "http://x"],
    "a password in the URL": lambda f, t: ["watch", "--fleet", str(f), "--broker", "mqtt://u:geheim@x"],
    "sensor without settings": lambda f, t: ["sensor", "send", "-", "--config", str(t / "none.toml")],
    "consumer without tiers": lambda f, t: [
        "consumer",
        "--config",
        broken(f / "consumers/consumer-1/consumer.toml", '["simulated"]', "[]"),
    ],
    "two of a name": lambda f, t: ["init", str(t / "y"), "--fleet", "p", "--agents", "a,a"],
    "no fleet name": lambda f, t: ["init", str(t / "y"), "--fleet", "Plant West"],
    "a wildcard for a name": lambda f, t: ["init", str(t / "y"), "--fleet", "+"],
    "too many": lambda f, t: ["init", str(t / "y"), "--fleet", "p", "--agents", "1001"],
    "unknown TEE in a plan": lambda f, t: ["init", str(t / "y"), "--fleet", "p", "--tee", "abacus"],
    "certificates without TLS": lambda f, t: ["init", str(t / "y"), "--fleet", "p", "--tls", "--broker", "mqtt://x"],
    "an existing fleet": lambda f, t: ["init", str(f), "--fleet", "plant"],
    "a folder with something in it": lambda f, t: ["init", str(Path(write(t / "z", "z")).parent), "--fleet", "plant"],
    "a file for a folder": lambda f, t: ["init", str(Path(write(t / "z", "z")) / "y"), "--fleet", "p"],
    "a folder that cannot be": lambda f, t: ["init", "/proc/sealedge/y", "--fleet", "p"],
    "enrol nowhere": lambda f, t: ["enrol", "sensor", "s", "--fleet", str(t)],
    "enrol twice": lambda f, t: ["enrol", "sensor", "sensor-1", "--fleet", str(f)],
    "enrol a way out": lambda f, t: ["enrol", "sensor", "../x", "--fleet", str(f)],
    "enrol no role": lambda f, t: ["enrol", "king", "x", "--fleet", str(f)],
    "revoke no kind": lambda f, t: ["revoke", "king", "00", "--fleet", str(f)],
    "revoke too short": lambda f, t: ["revoke", "chip", "00" * 8, "--fleet", str(f)],
    "revoke no such file": lambda f, t: ["revoke", "credential", str(t / "none.cwt"), "--fleet", str(f)],
    "revoke a measurement's file": lambda f, t: ["revoke", "measurement", str(f / "fleet.toml"), "--fleet", str(f)],
    "no receipt": lambda f, t: ["receipt", "verify", write(t / "r", "garbage"), "--fleet", str(f)],
    "no anchor": lambda f, t: ["receipt", "verify", write(t / "r", "garbage")],
    "two anchors": lambda f, t: ["receipt", "verify", "r", "--fleet", str(f), "--authority", "x"],
    "no key for an anchor": lambda f, t: [
        "receipt",
        "verify",
        write(t / "r", "x"),
        "--authority",
        str(f / "fleet.toml"),
    ],
    "no module": lambda f, t: [
        "publisher",
        "publish",
        write(t / "m.wasm", "not one"),
        "--describe",
        write(t / "m.json", DESCRIPTION),
        "--config",
        str(f / "publisher/publisher.toml"),
    ],
    "no description": lambda f, t: [
        "publisher",
        "publish",
        write(t / "m.wasm", "not one"),
        "--describe",
        write(t / "m.json", "[]"),
        "--config",
        str(f / "publisher/publisher.toml"),
    ],
    "watch nothing": lambda f, t: ["watch"],
    "doctor of no party": lambda f, t: ["doctor", "--config", str(t / "none.toml")],
    "no port": lambda f, t: ["broker", "--port", "70000"],
    "no kind of broker": lambda f, t: ["broker", "--config", write(t / "b.toml", 'kind = "abacus"')],
}

DESCRIPTION = json.dumps(
    {
        "name": "m",
        "tiers": ["simulated"],
        "inputs": [{"name": "x", "dtype": "float32", "shape": [1]}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": [1]}],
    }
)


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_line_and_status_2(case: str, run: Run, fleet: Path, tmp_path: Path) -> None:
    status, _, error = run(*WRONG[case](fleet, tmp_path))
    assert status == 2
    assert ONE_LINE.fullmatch(error), error
    assert "geheim" not in error


def test_a_key_file_open_to_others_is_refused_by_name(run: Run, fleet: Path) -> None:
    key = fleet / "verifier" / "signing.pem"
    key.chmod(0o644)
    try:
        status, _, error = run("verifier", "--config", str(fleet / "verifier" / "verifier.toml"))
    finally:
        key.chmod(0o600)
    assert status == 2
    assert ONE_LINE.fullmatch(error)
    assert "0644" in error
    assert "0600" in error
    assert str(key) in error


def test_the_environment_is_named_where_it_is_at_fault(run: Run, fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALEDGE_NAME", "Not A Name")
    status, _, error = run("verifier", "--config", str(fleet / "verifier" / "verifier.toml"))
    assert status == 2
    assert error.startswith("sealedge: configuration: SEALEDGE_NAME: ")


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    @click.command("measure")
    def command() -> None:
        raise error

    monkeypatch.setattr(measure, "command", command)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ConfigurationError("no\nfile"), 2, "sealedge: configuration: no file\n"),
        (
            AuthenticationError("forged", finding=Finding("kid", "a", "b")),
            1,
            "sealedge: signature-invalid: forged (kid: expected a, found b)\n",
        ),
        (TransportError("gone"), 1, "sealedge: transport-failed: gone\n"),
        (KeyboardInterrupt(), 130, "sealedge: interrupted\n"),
        (click.Abort(), 130, "sealedge: interrupted\n"),
        (ValueError("a secret"), 70, "sealedge: internal: ValueError (SEALEDGE_DEBUG=1 shows where)\n"),
        (RecursionError("a secret"), 70, "sealedge: internal: RecursionError (SEALEDGE_DEBUG=1 shows where)\n"),
    ],
)
def test_each_failure_has_its_status_and_one_line(
    error: BaseException, status: int, line: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, error)
    found, out, said = run("measure")
    # click ends the line of a terminal's ^C first.
    assert (found, out, said.lstrip("\n")) == (status, "", line)


def test_a_fault_is_shown_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ValueError("a secret"))
    monkeypatch.setenv("SEALEDGE_DEBUG", "1")
    with pytest.raises(ValueError, match="a secret"):
        main(["measure"])


def test_the_status_that_a_command_returns_is_the_processs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "command", click.Command("broker", callback=lambda: 1))
    assert run("broker")[0] == 1


def test_help_and_version_end_well(run: Run) -> None:
    assert run("--help")[0] == 0
    status, out, _ = run("--version")
    assert (status, out.split()[0]) == (0, "sealedge")


def test_help_imports_no_command() -> None:
    """Each party starts as a process: what `--help` need not know costs every start."""
    script = """
import sys
from sealedge.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
print([name for name in ("pydantic", "cryptography", "paho", "wasmtime", "sealedge.cli.init") if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_went_away_is_no_fault() -> None:
    """`sealedge measure | head -1`, with a reader that is gone before the first line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sealedge", "measure"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(20) == application.UNFULFILLED
