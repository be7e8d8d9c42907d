"""`sealedge evidence` and `sealedge endorsements` as commands: exit status, JSON, one line for each way to fail."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealedge.cli.application import main
from sealedge.operations.endorsements import ISSUERS
from tests.support.examples import examples
from tests.synthetic.ear import NONCE, NOW, claims, jwt, pem
from tests.synthetic.pki import START
from tests.synthetic.snp import MEASUREMENT, ark, ask, snp

Run = Callable[..., tuple[int, str, str]]
ONE_LINE = re.compile(r"sealedge: [a-z-]+: [^\n]+\n")
KEYS = {
    "kind",
    "verdict",
    "signature",
    "tier",
    "tcb_status",
    "advisories",
    "debug",
    "chip",
    "measurement",
    "report_data",
    "claims",
    "trace",
    "reason",
    "error",
    "at",
}


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


@pytest.fixture
def token(tmp_path: Path) -> Callable[..., list[str]]:
    """An EAR and its key, as arguments."""

    def write(data: bytes | None = None) -> list[str]:
        (tmp_path / "ear.jwt").write_bytes(jwt(claims()) if data is None else data)
        (tmp_path / "key.pem").write_bytes(pem())
        return ["ear", f"token={tmp_path / 'ear.jwt'}", f"key={tmp_path / 'key.pem'}"]

    return write


def verify(run: Run, *arguments: str) -> tuple[int, dict[str, Any]]:
    status, out, err = run("evidence", "verify", *arguments, "--json")
    assert bool(ONE_LINE.fullmatch(err)) == (status != 0)
    found = json.loads(out)
    assert found.keys() == KEYS
    return status, found


def test_accept_refuse_malformed(run: Run, token: Callable[..., list[str]]) -> None:
    at = ("--at", str(NOW))
    assert verify(run, *token(), *at)[1]["verdict"] == "accept"
    status, found = verify(run, *token(), "--at", str(NOW + 300))
    assert (status, found["verdict"], found["signature"], found["reason"]) == (1, "refuse", "valid", "expired")
    status, found = verify(run, *token(b"eyJ.e30.?"), *at)
    assert (status, found["verdict"], found["signature"], found["reason"]) == (2, "malformed", "unchecked", "malformed")


def test_nonces(run: Run, token: Callable[..., list[str]]) -> None:
    at = ("--at", str(NOW))
    assert verify(run, *token(), *at, "--nonce", NONCE.hex())[0] == 0
    status, found = verify(run, *token(), *at, "--nonce", "00")
    assert (status, found["reason"]) == (1, "nonce-unknown")


def test_for_people(run: Run, token: Callable[..., list[str]]) -> None:
    status, out, err = run("evidence", "verify", *token(), "--at", str(NOW))
    assert (status, err) == (0, "")
    assert out.startswith("ACCEPTED: ear evidence, as of 2025-06-15")
    status, out, err = run("evidence", "verify", *token(), "--at", str(NOW + 999))
    assert status == 1
    assert out.startswith("REFUSED: ear evidence")
    assert ONE_LINE.fullmatch(err)


@pytest.mark.parametrize(
    "text", ["2025-06-15T15:06:40Z", "2025-06-15T15:06:40", "2025-06-15T17:06:40+02:00", "1750000000.0"]
)
def test_times(run: Run, token: Callable[..., list[str]], text: str) -> None:
    assert verify(run, *token(), "--at", text)[1]["at"] == NOW


@pytest.mark.parametrize(
    "arguments",
    [
        ["ear"],
        ["frobnicate", "token=x"],
        ["ear", "token=/no/such/file"],
        ["ear", "frobnicate=x"],
        ["ear", "token"],
        ["ear", "{token}", "--at", "yesterday"],
        ["ear", "{token}", "--at", "-5"],
        ["ear", "{token}", "--at", "1e9"],
        ["ear", "{token}", "--at", "253402300800"],
        ["ear", "{token}", "--at", "9" * 400],
        ["ear", "{token}", "--at", "0001-01-01T00:00:00Z"],
        ["ear", "{token}", "--nonce", ""],
        ["ear", "{token}", "--nonce", "xyz"],
        ["ear", "{token}", "--nonce", "00" * 65],
        ["ear", "{token}", "--policy", "/no/such/policy"],
        ["ear", "{token}", "--policy", "{file}"],
        ["ear", "{token}", "--endorsements", "/no/such/folder"],
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
def test_unusable_input_is_one_line(run: Run, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "token").write_bytes(jwt(claims()))
    places = {"token": f"token={tmp_path / 'token'}", "file": str(tmp_path / "token")}
    for more in ((), ("--json",)):
        status, out, err = run("evidence", "verify", *(each.format(**places) for each in arguments), *more)
        assert (status, out) == (2, "")
        assert ONE_LINE.fullmatch(err)


def test_kinds(run: Run) -> None:
    _, out, _ = run("evidence", "kinds")
    found = json.loads(run("evidence", "kinds", "--json")[1])
    for kind, parts in found.items():
        assert f"\n{kind}\n" in f"\n{out}"
        assert all(f"  {part['name']}=" in out for part in parts)


def test_policy_and_folder(run: Run, tmp_path: Path) -> None:
    """A laboratory's root by [roots], its certificates from the folder, the report alone as argument."""
    exhibit = snp()
    folder, files = str(tmp_path / "kept"), []
    for name, content in exhibit.parts.items():
        (tmp_path / name).write_bytes(content)
        files.append(f"{name}={tmp_path / name}")
    chain = ask().pem + ark().pem
    (tmp_path / "chain").write_bytes(chain)
    policy = tmp_path / "policy.toml"
    policy.write_text(
        f'[roots]\namd = ["{ark().fingerprint.hex()}"]\n[tiers]\naccept = ["sev-snp"]\n'
        f'[reference_values]\nmeasurements = ["{MEASUREMENT.hex()}"]\n[tcb.minimum."sev-snp"]\nsnp = 24\n'
    )
    at = ("--at", str(START))
    assert verify(run, "snp", *files, *at)[1]["reason"] == "unknown-signer"
    status, found = verify(run, "snp", *files, *at, "--policy", str(policy))
    assert (status, found["verdict"]) == (0, "accept")
    assert any("tcb.minimum" in str(line["policy"]) for line in found["trace"])
    kept = tmp_path / "kept" / "snp" / "chain"
    kept.mkdir(parents=True)
    (kept / "milan-vcek.pem").write_bytes(chain)
    some = [each for each in files if not each.startswith("chain=")]
    assert verify(run, "snp", *some, *at, "--policy", str(policy))[0] == 1
    assert verify(run, "snp", *some, *at, "--policy", str(policy), "--endorsements", folder)[0] == 0
    policy.write_text(policy.read_text().replace("snp = 24", "snp = 25"))
    status, found = verify(run, "snp", *files, *at, "--policy", str(policy))
    assert (status, found["signature"]) == (1, "valid")


class TestEndorsements:
    def test_import_and_show(self, run: Run, tmp_path: Path) -> None:
        """AMD's own issuers, which come along, are files like any other."""
        _, issuers, _ = run("endorsements", "show", str(ISSUERS), "--json")
        into = str(tmp_path / "kept")
        source = str(ISSUERS / "snp/chain/genoa-vlek.pem")
        status, out, err = run("endorsements", "import", source, "--into", into)
        assert (status, out, err) == (0, "snp/chain/genoa-vlek.pem\n", "")
        (shown,) = json.loads(run("endorsements", "show", into, "--json")[1])
        assert shown in json.loads(issuers)
        assert "SEV-VLEK-Genoa, ARK-Genoa; until 2047" in run("endorsements", "show", into)[1]

    def test_a_key_is_found_by_evidence(self, run: Run, tmp_path: Path, token: Callable[..., list[str]]) -> None:
        kind, ear, key = token()
        into = str(tmp_path / "kept")
        at = ("--at", str(NOW))
        assert verify(run, kind, ear, *at)[1]["reason"] == "unknown-signer"
        name = key.removeprefix("key=")
        found = run("endorsements", "import", name, "--kind", "ear", "--id", "Key 1", "--into", into, "--json")
        assert json.loads(found[1]) == [{"name": "ear/key/key-1", "warning": None}]
        assert verify(run, kind, ear, *at, "--endorsements", into)[0] == 0

    def test_late_files_warn(self, run: Run, tmp_path: Path) -> None:
        source = str(ISSUERS / "snp/chain/milan-vcek.pem")
        _, out, _ = run("endorsements", "import", source, "--into", str(tmp_path / "a"), "--at", "2100-01-01")
        assert "warning: expired" in out

    def test_what_is_wrong_is_one_line_and_writes_nothing(self, run: Run, tmp_path: Path) -> None:
        into = tmp_path / "kept"
        forged = tmp_path / "forged.pem"
        forged.write_bytes(ask(authority="fake").pem + ark(authority="fake").pem)
        good = str(ISSUERS / "snp/chain/milan-vcek.pem")
        for files, expected in (([good, str(forged)], 1), ([good, __file__], 2), (["/no/such/file"], 2), ([], 2)):
            status, _, err = run("endorsements", "import", *files, "--into", str(into))
            assert status == expected
            assert ONE_LINE.fullmatch(err)
            assert not into.exists()
        assert run("endorsements", "show", str(into))[0] == 2


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["snp", "sgx", "tdx", "nitro", "psa", "cca", "tpm", "azure-vtpm", "ear", "simulated", "cmw"]),
    data=st.binary(max_size=80),
)
def test_never_a_traceback(tmp_path: Path, run: Run, kind: str, data: bytes) -> None:
    file = tmp_path / "x"
    file.write_bytes(data)
    for name in ("evidence", "json", "key" if kind in {"psa", "cca", "ear"} else "evidence"):
        arguments = [f"{name}={file}", *([f"evidence={file}"] if name == "key" else [])]
        status, _, err = run("evidence", "verify", kind, *arguments, "--json")
        assert status in {1, 2}
        assert ONE_LINE.fullmatch(err)
