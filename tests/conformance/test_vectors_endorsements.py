"""Vendors' real files through `sealedge endorsements import`: recognised, verified, and enough for evidence alone."""

import json
from pathlib import Path

import pytest

from sealedge.cli.application import main

AMD = (
    *(
        f"snp/go-sev-guest/ask_ark_{each}.pem"
        for each in ("milan", "milan_vlek", "genoa", "genoa_vlek", "turin_vcek", "turin_vlek")
    ),
    "snp/coco-trustee/milan-v2-vcek/vcek.der",
    "snp/lunal-attestation-rs/genoa-v5/vcek.der",
    "snp/virtee-sev/turin-vcek-only/vcek.der",
    "snp/dstack/milan-v3/vcek.pem",
)
AUTOMATA = "tdx/automata-dcap/v4-outofdate"
INTEL = (
    "intel-root/tcb-signing/tcb_signing_chain_2025.pem",
    f"{AUTOMATA}/tcb_info.json",
    f"{AUTOMATA}/qe_identity.json",
    f"{AUTOMATA}/root_ca_crl.der",
)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in arguments])
    return int(ended.value.code or 0)


def imported(vectors: Path, files: tuple[str, ...], into: Path, at: str) -> int:
    return run("endorsements", "import", *(vectors / each for each in files), "--into", into, "--at", at, "--json")


def test_amd(vectors: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Every report whose VCEK was imported needs nothing beside it."""
    assert imported(vectors, AMD, tmp_path, "2026-07-01") == 0
    found = json.loads(capfd.readouterr().out)
    assert len(found) == 10
    assert all(each["warning"] is None for each in found)
    for report in ("coco-trustee/milan-v2-vcek", "lunal-attestation-rs/genoa-v5", "dstack/milan-v3"):
        file = vectors / "snp" / report / "report.bin"
        assert run("evidence", "verify", "snp", f"report={file}", "--at", "2026-07-01", "--endorsements", tmp_path) == 0


def test_intel_piece_by_piece(vectors: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert imported(vectors, INTEL, tmp_path, "2025-07-20") == 0
    found = {each["name"]: each["warning"] for each in json.loads(capfd.readouterr().out)}
    assert found == dict.fromkeys(
        ("intel/tcb-signing-chain", "intel/tcb-info/tdx-00806f050000", "intel/qe-identity/tdx", "intel/root-crl")
    )
    assert imported(vectors, (f"{AUTOMATA}/pck_crl.der",), tmp_path, "2025-07-20") == 0
    assert "not verified yet" in capfd.readouterr().out
    quote = f"quote={vectors / AUTOMATA / 'quote.bin'}"
    assert run("evidence", "verify", "tdx", quote, "--at", "2025-07-20", "--endorsements", tmp_path, "--json") == 0
    assert json.loads(capfd.readouterr().out)["tcb_status"] == "OutOfDate"


@pytest.mark.parametrize(("kind", "name"), [("tdx", "v4"), ("sgx", "v3")])
def test_intel_in_one(vectors: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str, name: str) -> None:
    folder = f"{kind}/phala-dcap-qvl/{name}"
    assert imported(vectors, (f"{folder}/collateral.json",), tmp_path, "2025-07-01") == 0
    found = json.loads(capfd.readouterr().out)
    assert len(found) == 5
    assert all(each["warning"] is None for each in found)
    quote = f"quote={vectors / folder / 'quote.bin'}"
    assert run("evidence", "verify", kind, quote, "--at", "2025-07-01", "--endorsements", tmp_path, "--json") == 0
    assert json.loads(capfd.readouterr().out)["tcb_status"] != "undetermined"


def test_what_was_changed_or_is_anothers_is_not_kept(vectors: Path, tmp_path: Path) -> None:
    text = (vectors / AUTOMATA / "tcb_info.json").read_text()
    changed = tmp_path / "tcb_info.json"
    changed.write_text(text.replace('"OutOfDate"', '"UpToDate"', 1))
    into = tmp_path / "kept"
    chain = vectors / INTEL[0]
    assert run("endorsements", "import", chain, changed, "--into", into, "--at", "2025-07-20") == 1
    fake = "snp/coco-trustee/invalid/vcek-invalid-legacy.der"
    assert imported(vectors, (fake,), into, "2024-06-01") == 1
    assert imported(vectors, ("sgx/intel-qvl/tcbSignChain.pem",), into, "2024-06-01") == 1
    assert imported(vectors, ("nitro/evervault/aws-nitro-root-g1.pem",), into, "2024-06-01") == 2
    assert not into.exists()
