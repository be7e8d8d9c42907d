"""Evidence inside other people's JSON and folders: pure, from bytes to parts. Nothing is trusted after the call.

Confidential Containers prints {"evidence": {...}}, dstack's GetQuote {"quote": hex}, Intel's quote verification
library and go-tpm-tools keep one file a piece. All raise `MalformedError` and nothing else.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from verifier.evidence.certificates import certificates_untrusted
from verifier.evidence.documents import (
    MAX_DOCUMENT,
    base64_untrusted,
    hex_untrusted,
    json_object_untrusted,
    octets_untrusted,
)

_HEX: Final = re.compile(rb"(0[xX])?([0-9a-fA-F]{2})+")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_BLANK: Final = re.compile(rb"[ \t\r\n]+")

QVL: Final = {
    "quote": ("quote.dat",),
    "pck_chain": ("pckCert.pem", "pckSignChain.pem"),
    "tcb_info": ("tcbInfo.json",),
    "qe_identity": ("qeIdentity.json",),
    "tcb_signing_chain": ("tcbSignChain.pem",),
    "root_crl": ("rootCaCrl.der", "rootCaCrl.pem"),
    "pck_crl": ("intermediateCaCrl.der", "intermediateCaCrl.pem"),
}
"""Which files of a sample of Intel's library make up each part: the certificates all, of the lists the first."""


def binary_of(data: bytes) -> bytes:
    """`data`, or the bytes that it is the hex or base64 of, in one alphabet or the other, padded or not.

    For evidence whose first bytes are never letters, so that no two readings of it are possible.
    """
    text = _BLANK.sub(b"", data) if data.isascii() else data
    if _HEX.fullmatch(text) is not None:
        return bytes.fromhex(text.decode()[2:] if text[:2] in {b"0x", b"0X"} else text.decode())
    if _BASE64.fullmatch(text) is None:
        return data
    text = text.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (ValueError, binascii.Error):
        return data


def field_untrusted(data: bytes, path: str) -> bytes:
    """The bytes of the text at `path` (names between dots), in hex or base64."""
    value: object = json_object_untrusted(data, "json")
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return _bytes(value, path)


def coco_snp_untrusted(data: bytes) -> dict[str, bytes]:
    """`report`, and `vcek` or `vlek` and `chain` where they are there, of Confidential Containers' SNP evidence."""
    evidence = _evidence(data)
    parts = {"report": _bytes(evidence.get("attestation_report"), "attestation_report")}
    chain = evidence.get("cert_chain")
    if isinstance(chain, dict):
        named = {str(name).lower(): _bytes(each, "cert_chain") for name, each in chain.items() if each is not None}
        parts |= {name: named[name] for name in ("vcek", "vlek") if name in named}
        issuers = [named[name] for name in ("ask", "asvk", "ark") if name in named]
        if issuers:
            parts["chain"] = pem_of(issuers)
    return parts


def coco_quote_untrusted(data: bytes) -> dict[str, bytes]:
    """`quote` of Confidential Containers' and dstack's TDX and SGX evidence, `eventlog` where it is the CCEL."""
    evidence = _evidence(data)
    parts = {"quote": _bytes(evidence.get("quote"), "quote")}
    if isinstance(evidence.get("cc_eventlog"), str):
        parts["eventlog"] = _bytes(evidence["cc_eventlog"], "cc_eventlog")
    return parts


def qvl_untrusted(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The parts of one of Intel's samples: those whose files are there."""
    parts: dict[str, bytes] = {}
    for name, sources in QVL.items():
        found = [files[source] for source in sources if source in files]
        if found:
            parts[name] = b"\n".join(found) if name == "pck_chain" else found[0]
    return parts


def pem_of(certificates: list[bytes]) -> bytes:
    """One PEM of certificates each in DER or PEM. Raises `MalformedError`."""
    parsed = [one for each in certificates for one in certificates_untrusted(each, "certificate")]
    return b"".join(one.public_bytes(Encoding.PEM) for one in parsed)


def _evidence(data: bytes) -> dict[str, object]:
    found = json_object_untrusted(data, "json")
    inner = found.get("evidence")
    return inner if isinstance(inner, dict) else found


def _bytes(value: object, name: str) -> bytes:
    """Of text in hex or base64; of numbers too, as Rust's serde writes bytes."""
    if isinstance(value, list):
        return octets_untrusted(value, name, MAX_DOCUMENT)
    if isinstance(value, str) and _HEX.fullmatch(value.encode("utf-8", "replace")) is not None:
        return hex_untrusted(value.removeprefix("0x"), name)
    return base64_untrusted(value, name)
