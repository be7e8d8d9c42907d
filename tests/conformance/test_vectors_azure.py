"""Evidence of real Azure confidential VMs: each entry of the vectors' index gets its verdict."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import FreshnessError, RemoteError
from schemas.kinds import Tier
from tests.conformance.conftest import Load
from tests.synthetic.tpm import Folder
from verifier.evidence.azure import AzureAppraiser
from verifier.evidence.dcap import TdxAppraiser
from verifier.evidence.examination import Examination
from verifier.evidence.interface import TcbStatus, TeeClaims
from verifier.evidence.snp import SnpAppraiser

TIERS = {
    "az-az-snp-evidence-v1": Tier.AZURE_SEV_SNP,
    "az-az-snp-evidence-v2": Tier.AZURE_SEV_SNP,
    "az-az-tdx-evidence-v1": Tier.AZURE_TDX,
}
YEAR = 366 * 86_400


@pytest.fixture
def appraiser(vectors: Path) -> AzureAppraiser:
    """AMD's intermediate is in no evidence: it is the verifier's own."""
    chain = (vectors / "snp/go-sev-guest/ask_ark_milan.pem").read_bytes()
    folder = Folder({"snp/chain/milan-vcek": chain})
    return AzureAppraiser(SnpAppraiser(folder), TdxAppraiser(folder))


def entry_of(load_vectors: Load, name: str) -> tuple[dict[str, Any], float]:
    entry = next(each for each in load_vectors("index.json") if each["id"] == name)
    return entry, datetime.fromisoformat(entry["verify_at"]).timestamp()


def appraise(appraiser: AzureAppraiser, evidence: bytes, now: float) -> TeeClaims:
    examination = Examination()
    claims = appraiser.appraise_untrusted({"evidence": evidence}, now, examination)
    assert examination.signature == "valid"
    assert all(line.holds for line in examination.lines)
    return claims


def test_every_entry_is_tried(load_vectors: Load) -> None:
    assert {entry["id"] for entry in load_vectors("index.json") if entry["kind"] == "azure-vtpm"} == set(TIERS)


@pytest.mark.parametrize("name", TIERS)
def test_entry(vectors: Path, load_vectors: Load, appraiser: AzureAppraiser, name: str) -> None:
    entry, now = entry_of(load_vectors, name)
    assert entry["expect"] == "valid"
    claims = appraise(appraiser, (vectors / entry["files"]["evidence"]).read_bytes(), now)
    assert (claims.tier, claims.debug) == (TIERS[name], False)
    assert claims.tcb_status is (TcbStatus.UNDETERMINED if claims.tier is Tier.AZURE_TDX else None)
    assert claims.claims["vm"]["secure_boot"] is True  # type: ignore[index,call-overload]
    if "nonce_hex" in entry:
        assert claims.report_data.hex() == entry["nonce_hex"]


@pytest.mark.parametrize("name", TIERS)
def test_out_of_time(vectors: Path, load_vectors: Load, appraiser: AzureAppraiser, name: str) -> None:
    entry, now = entry_of(load_vectors, name)
    evidence = (vectors / entry["files"]["evidence"]).read_bytes()
    with pytest.raises(FreshnessError):
        appraise(appraiser, evidence, now + 50 * YEAR)
    with pytest.raises(FreshnessError):
        appraise(appraiser, evidence, now - 50 * YEAR)


def test_parts_of_another_machine(vectors: Path, load_vectors: Load, appraiser: AzureAppraiser) -> None:
    """The same kind of machine, the same cloud, the same paravisor: not the same evidence."""
    folder = vectors / "azure-vtpm/coco-trustee"
    one, other = (json.loads((folder / f"az-snp-evidence-v{version}.json").read_bytes()) for version in (1, 2))
    _, now = entry_of(load_vectors, "az-az-snp-evidence-v1")
    for name in ("hcl_report", "tpm_quote", "vcek"):
        with pytest.raises(RemoteError):
            appraise(appraiser, json.dumps({**one, name: other[name]}).encode(), now)
    older = {**one, "vcek": (folder / "vcek.pem").read_text()}
    with pytest.raises(RemoteError):
        appraise(appraiser, json.dumps(older).encode(), now)
