"""Evidence of real AMD processors: each gets the verdict that the index of the vectors expects."""

import base64
import json
import os
import random
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import AuthenticationError, FreshnessError, MalformedError, RemoteError
from schemas.reason import Reason
from tests.synthetic.snp import Folder, put
from verifier.evidence.certificates import certificates_untrusted, verify_path
from verifier.evidence.examination import Examination
from verifier.evidence.interface import TeeClaims
from verifier.evidence.roots import AMD, PINNED_ROOTS
from verifier.evidence.snp import SnpAppraiser
from verifier.evidence.snp_report import report_untrusted

FOLDER = os.environ.get("SEALEDGE_VECTORS")
INDEX = "index.json"
ANY_TIME = "2026-01-01T00:00:00Z"


def entries() -> dict[str, dict[str, Any]]:
    if not FOLDER:
        return {}
    found = json.loads((Path(FOLDER) / INDEX).read_text(encoding="utf-8"))
    return {each["id"]: each for each in (found if isinstance(found, list) else found["entries"])}


ENTRIES = entries()
SNP = [pytest.param(each, id=each["id"]) for each in ENTRIES.values() if each["kind"] == "snp"]
VALID = [each for each in SNP if each.values[0]["expect"] == "valid"]


def load(vectors: Path, files: Mapping[str, str]) -> dict[str, bytes]:
    return {name: (vectors / path).read_bytes() for name, path in files.items()}


def parts_of(vectors: Path, entry: Mapping[str, Any]) -> tuple[dict[str, bytes], float]:
    """An entry that changes another one replaces its report."""
    base = ENTRIES[entry["base"]] if "base" in entry else entry
    parts = load(vectors, base["files"])
    if base is not entry:
        parts["report"] = (vectors / entry["files"]["evidence"]).read_bytes()
    time = entry["verify_at"] or base["verify_at"] or ANY_TIME
    return parts, datetime.fromisoformat(time).timestamp()


def appraise(parts: Mapping[str, bytes], now: float, examination: Examination | None = None) -> TeeClaims:
    return SnpAppraiser(Folder()).appraise_untrusted(parts, now, examination or Examination())


@pytest.mark.usefixtures("vectors")
def test_the_index_has_entries() -> None:
    assert len(SNP) >= 11


@pytest.mark.parametrize("entry", SNP)
def test_entry(vectors: Path, entry: dict[str, Any]) -> None:
    parts, now = parts_of(vectors, entry)
    examination, expect = Examination(), entry["expect"]
    if expect == "valid-chain-only":
        said = SnpAppraiser(Folder()).check_chain_only_untrusted(parts, now, examination)
        assert (said["product"], examination.signature) == ("Turin", "valid")
    elif expect == "valid":
        claims = appraise(parts, now, examination)
        assert (claims.debug, examination.signature) == (False, "valid")
        assert claims.claims["version"] == entry.get("report_version", claims.claims["version"])
        assert claims.claims["product"] == entry.get("product", claims.claims["product"])
    else:
        error = MalformedError if expect == "malformed" else (AuthenticationError, FreshnessError)
        with pytest.raises(error):
            appraise(parts, now, examination)
        assert examination.signature != "valid"


def test_why_entries_are_refused(vectors: Path) -> None:
    expected = {
        "snp-milan-v3-vlek-expired": (Reason.EXPIRED, "unchecked"),
        "snp-fake-vcek-legacy": (Reason.SIGNATURE_INVALID, "invalid"),
        "snp-tampered-report_data-flip.bin": (Reason.SIGNATURE_INVALID, "invalid"),
        "snp-lit-badlen": (Reason.MALFORMED, "unchecked"),
        "snp-lit-truncated": (Reason.MALFORMED, "unchecked"),
    }
    for name, (reason, signature) in expected.items():
        examination = Examination()
        with pytest.raises(RemoteError) as caught:
            appraise(*parts_of(vectors, ENTRIES[name]), examination)
        assert (caught.value.reason, examination.signature) == (reason, signature), name


@pytest.mark.parametrize("entry", VALID)
def test_the_wrong_endorsements(vectors: Path, entry: dict[str, Any]) -> None:
    """Another chip's certificate, another line's chain, and none."""
    parts, now = parts_of(vectors, entry)
    kind = "vlek" if "vlek" in parts else "vcek"
    for other in ENTRIES.values():
        leaf = other.get("files", {}).get(kind) if other["kind"] == "snp" else None
        if leaf and (vectors / leaf).read_bytes() != parts[kind]:
            with pytest.raises(RemoteError):
                appraise({**parts, kind: (vectors / leaf).read_bytes()}, now)
    for chain in sorted((vectors / "snp/go-sev-guest").glob("*.pem")):
        if chain.read_bytes() != parts["chain"]:
            with pytest.raises(RemoteError):
                appraise({**parts, "chain": chain.read_bytes()}, now)
    with pytest.raises(AuthenticationError):
        appraise({name: part for name, part in parts.items() if name != kind}, now)


@pytest.mark.slow
@pytest.mark.parametrize("entry", VALID)
def test_damage_to_real_evidence(vectors: Path, entry: dict[str, Any]) -> None:
    parts, now = parts_of(vectors, entry)
    rng = random.Random(entry["id"])
    for name in ("report", "vlek" if "vlek" in parts else "vcek"):
        if not parts[name].startswith(b"-----"):
            for _ in range(150):
                changed = bytearray(parts[name])
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
                with pytest.raises(RemoteError):
                    appraise({**parts, name: bytes(changed)}, now)


@pytest.mark.parametrize("name", ["milan", "milan_vlek", "genoa", "genoa_vlek", "turin_vcek", "turin_vlek"])
def test_amds_chains_end_in_pinned_roots(vectors: Path, name: str) -> None:
    path = certificates_untrusted((vectors / f"snp/go-sev-guest/ask_ark_{name}.pem").read_bytes(), "chain")
    examination = Examination()
    verify_path(path, PINNED_ROOTS[AMD], datetime.fromisoformat(ANY_TIME).timestamp(), examination, "chain")
    assert len(path) == 2
    assert all(line.holds for line in examination.lines)


def test_a_report_without_a_published_certificate(vectors: Path) -> None:
    """Its fields are read; without a certificate it is refused, and not for its signature."""
    data = (vectors / "snp/sev-snp-utils/parse/guest_report.bin").read_bytes()
    report = report_untrusted(data)
    assert (report.version, report.policy, report.vmpl) == (2, 0x30000, 0)
    assert report.reported_tcb == bytes((2, 0, 0, 0, 0, 0, 5, 0x73))
    examination = Examination()
    with pytest.raises(AuthenticationError) as caught:
        appraise({"report": data}, 0, examination)
    assert (caught.value.reason, examination.signature) == (Reason.UNKNOWN_SIGNER, "unchecked")


@pytest.mark.parametrize("version", [1, 2])
def test_reports_inside_azure_evidence(vectors: Path, version: int) -> None:
    path = vectors / f"azure-vtpm/coco-trustee/az-snp-evidence-v{version}.json"
    evidence = json.loads(path.read_text(encoding="utf-8"))
    parts = {
        "report": unpadded(evidence["hcl_report"])[32 : 32 + 1184],
        "vcek": unpadded(evidence["vcek"]),
        "chain": (vectors / "snp/go-sev-guest/ask_ark_milan.pem").read_bytes(),
    }
    claims = appraise(parts, datetime.fromisoformat("2025-06-01T00:00:00Z").timestamp())
    assert claims.claims["product"] == "Milan"
    assert claims.report_data[32:] == bytes(32)


def unpadded(text: str) -> bytes:
    standard = text.replace("-", "+").replace("_", "/")
    return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)


def test_a_certificate_with_its_issuers_behind_it(vectors: Path) -> None:
    bundle = (vectors / "azure-vtpm/coco-trustee/vcek.pem").read_bytes()
    examination = Examination()
    now = datetime.fromisoformat("2025-06-01T00:00:00Z").timestamp()
    said = SnpAppraiser(Folder()).check_chain_only_untrusted({"vcek": bundle}, now, examination)
    assert said["tcb"] == {"reported": {"bootloader": 3, "tee": 0, "snp": 8, "microcode": 0x73}}
    assert examination.signature == "valid"


def test_another_nonce_is_another_claim(vectors: Path) -> None:
    parts, now = parts_of(vectors, ENTRIES["snp-genoa-v5"])
    assert appraise(parts, now).report_data == b"hello-attestation".ljust(64, b"\0")
    changed = bytearray(parts["report"])
    put(changed, "report_data", b"another".ljust(64, b"\0"))
    with pytest.raises(AuthenticationError):
        appraise({**parts, "report": bytes(changed)}, now)
