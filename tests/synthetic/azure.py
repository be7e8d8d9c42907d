"""Evidence of an Azure confidential VM on made-up hardware: valid by default, or with the faults that are asked for."""

import base64
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.synthetic import snp, tpm
from tests.synthetic.dcap import tdx
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.pki import START
from verifier.endorsements import NO_ENDORSEMENTS
from verifier.evidence.azure import AzureAppraiser
from verifier.evidence.dcap import TdxAppraiser
from verifier.evidence.interface import Appraiser
from verifier.evidence.snp import SnpAppraiser

VM = {"console-enabled": True, "secure-boot": True, "tpm-enabled": True, "vmUniqueId": "an id", "nested": {"a": []}}
VALUES = {index: bytes([index]) * 32 for index in range(24)}

TD_REPORT_UNSIGNED = (
    (range(32, 160), "REPORTMACSTRUCT before REPORTDATA: a MAC that only its own machine can check"),
    (range(224, 296), "REPORTMACSTRUCT after it, and TEE_TCB_INFO.VALID"),
    (range(416, 544), "TEE_TCB_INFO after ATTRIBUTES, and reserved"),
    (range(944, 1056), "TDINFO after RTMR3"),
)
"""Bytes of the HCL report of a TDX machine that the quote does not hold."""


def ak(name: str = "vtpm") -> rsa.RSAPrivateKey:
    made = tpm.key("rsa2048", name)
    if not isinstance(made, rsa.RSAPrivateKey):
        raise TypeError("the vTPM's key is RSA")
    return made


def jwk(name: str = "vtpm", kid: str = "HCLAkPub") -> dict[str, Any]:
    numbers = ak(name).public_key().public_numbers()
    modulus = b64(numbers.n.to_bytes(256, "big"))
    return {"kid": kid, "key_ops": ["sign"], "kty": "RSA", "e": "AQAB", "n": modulus}


def runtime_data(**replaced: Any) -> bytes:
    keys = [jwk(), jwk("ek", "HCLEkPub")]
    return json.dumps({"keys": keys, "vm-configuration": VM, "user-data": "00" * 64} | replaced).encode()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def hcl_report(hardware: bytes, runtime: bytes, filler: int = 200, **fields: int | bytes) -> bytes:
    """The report; `fields` replaces what its two headers say."""
    known: dict[str, Any] = {"magic": b"HCLA", "version": 1, "request": 2, "reserved": bytes(16)}
    known |= {"whole": 32 + 1184 + 20 + len(runtime), "runtime_version": 1, "hash": 1}
    known |= {"kind": 2 if len(hardware) == 1184 else 4}
    known |= {"size": len(runtime), "data_size": 20 + len(runtime), "pad": bytes(1184 - len(hardware))}
    known |= fields
    head = known["magic"] + struct.pack("<III", known["version"], known["whole"], known["request"]) + known["reserved"]
    second = [known[name] for name in ("data_size", "runtime_version", "kind", "hash", "size")]
    return head + hardware + known["pad"] + struct.pack("<5I", *second) + runtime + bytes(filler)


def td_report(body: bytes, report_data: bytes) -> bytes:
    """TDREPORT_STRUCT of what a quote's body says."""
    report = bytearray(b"\xaa" * 1024)
    report[128:192], report[264:384], report[512:912] = report_data, body[:120], body[120:520]
    return bytes(report)


def quoted(signer: str = "vtpm", values: Mapping[int, bytes] | None = None, **attested: Any) -> dict[str, Any]:
    """The vTPM's quote of all its PCRs, as version 1 has it."""
    found = values or VALUES
    digest = hashlib.sha256(b"".join(found.values())).digest()
    message = tpm.attest({"sha256": sorted(found)}, attested.pop("digest", digest), **attested)
    signature = tpm.sign(ak(signer), message, "rsassa", "sha256")[6:]
    return {"message": message.hex(), "signature": signature.hex(), "pcrs": [each.hex() for each in found.values()]}


def azure(
    tee: str = "snp",
    *,
    runtime: bytes | None = None,
    bound: bytes | None = None,
    header: Mapping[str, int | bytes] | None = None,
    hardware: Mapping[str, Any] | None = None,
    vtpm: Mapping[str, Any] | None = None,
    document: Mapping[str, Any] | None = None,
) -> Exhibit:
    """`bound` is what the hardware signed in place of the hash of `runtime`.

    `header` replaces fields of the HCL report, `hardware` of the report or quote, `vtpm` of the vTPM's quote, and
    `document` of the JSON.
    """
    data = runtime_data() if runtime is None else runtime
    report_data = hashlib.sha256(data).digest() + bytes(32) if bound is None else bound
    made = _snp(report_data, hardware or {}) if tee == "snp" else _tdx(report_data, hardware or {})
    evidence = {
        "version": 1,
        "tpm_quote": quoted(**(vtpm or {})),
        "hcl_report": b64(hcl_report(made.report, data, **(header or {}))),  # type: ignore[arg-type]
        **{name: b64(value) for name, value in made.beside.items()},
    }
    replaced = {name: value for name, value in {**evidence, **(document or {})}.items() if value is not None}
    parts = {"evidence": json.dumps(replaced).encode(), **made.parts}
    return Exhibit(AzureAppraiser(made.snp, made.tdx), parts, START, tpm.NONCE)


@dataclass(frozen=True)
class Made:
    """A hardware report, what is with it in the document, the other parts, and appraisers that pin its root."""

    report: bytes
    beside: dict[str, bytes]
    parts: dict[str, bytes]
    snp: Appraiser = field(default_factory=lambda: SnpAppraiser(NO_ENDORSEMENTS))
    tdx: Appraiser = field(default_factory=lambda: TdxAppraiser(NO_ENDORSEMENTS))


def _snp(report_data: bytes, fields: Mapping[str, Any]) -> Made:
    exhibit = snp.snp(**{"vmpl": 0, "report_data": report_data, **fields})
    others = {name: exhibit.parts[name] for name in ("chain", "crl") if name in exhibit.parts}
    return Made(exhibit.parts["report"], {"vcek": exhibit.parts["vcek"]}, others, snp=exhibit.appraiser)


def _tdx(report_data: bytes, deviations: Mapping[str, Any]) -> Made:
    """`report` among the deviations replaces the TDREPORT's report data."""
    reported = deviations.get("report", report_data)
    others = {name: value for name, value in deviations.items() if name not in ("report", "body")}
    exhibit = tdx(body={"report_data": report_data, **deviations.get("body", {})}, **others)
    quote = exhibit.parts["quote"]
    body = quote[54 if deviations.get("version") == 5 else 48 :][:584]
    collateral = {"collateral": exhibit.parts["collateral"]}
    return Made(td_report(body, reported), {"td_quote": quote}, collateral, tdx=exhibit.appraiser)
