"""The evidence document of an Azure confidential VM, as Confidential Containers' attester writes it.

Version 0 has integers in lists and PEM, versions 1 and 2 have hexadecimal and URL-safe base64. A document
`{"platform": ..., "evidence": {...}}` around it is taken off.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from protocol.errors import Finding, MalformedError, UnsupportedError
from verifier.evidence.documents import (
    base64_untrusted,
    hex_untrusted,
    json_object_untrusted,
    list_untrusted,
    object_untrusted,
    octets_untrusted,
)

MAX_PCRS: Final = 24

_VERSIONS: Final = (0, 1, 2)
_MAX_OCTETS: Final = 65_536
_PEM: Final = "-----BEGIN "


@dataclass(frozen=True, slots=True)
class AzureEvidence:
    """What the document carries. `message` is TPMS_ATTEST, `signature` a bare RSASSA one, `pcrs` from PCR 0 on."""

    hcl_report: bytes
    message: bytes
    signature: bytes
    pcrs: tuple[bytes, ...]
    vcek: bytes | None
    td_quote: bytes | None


def azure_evidence_untrusted(data: bytes) -> AzureEvidence:
    """The evidence in `data`. Raises `MalformedError`, and `UnsupportedError` for a version that is not known."""
    document = json_object_untrusted(data, "evidence")
    if "platform" in document and "evidence" in document:
        document = object_untrusted(document["evidence"], "evidence.evidence")
    version = document.get("version", 0)
    if type(version) is not int or version not in _VERSIONS:
        finding = Finding("evidence.version", ", ".join(map(str, _VERSIONS)), repr(version)[:32])
        raise UnsupportedError("evidence of another version", finding=finding)
    quote = object_untrusted(_either(document, "tpm_quote", "quote"), "evidence.tpm_quote")
    pcrs = list_untrusted(quote.get("pcrs"), "evidence.tpm_quote.pcrs", MAX_PCRS)
    return AzureEvidence(
        hcl_report=_bytes(_either(document, "hcl_report", "report"), "evidence.hcl_report"),
        message=_hex(quote.get("message"), "evidence.tpm_quote.message"),
        signature=_hex(quote.get("signature"), "evidence.tpm_quote.signature"),
        pcrs=tuple(_hex(value, "evidence.tpm_quote.pcrs") for value in pcrs),
        vcek=_optional(document, "vcek"),
        td_quote=_optional(document, "td_quote"),
    )


def _either(document: Mapping[str, object], name: str, older: str) -> object:
    """The value under `name`, or under the name of version 0: one of them, so that no two readers differ."""
    if name in document and older in document:
        raise MalformedError("one thing under two names", finding=Finding(f"evidence.{name}", "once", older))
    return document.get(name, document.get(older))


def _optional(document: Mapping[str, object], name: str) -> bytes | None:
    value = document.get(name)
    return None if value is None else _bytes(value, f"evidence.{name}")


def _hex(value: object, name: str) -> bytes:
    return octets_untrusted(value, name, _MAX_OCTETS) if isinstance(value, list) else hex_untrusted(value, name)


def _bytes(value: object, name: str) -> bytes:
    if isinstance(value, list):
        return octets_untrusted(value, name, _MAX_OCTETS)
    if isinstance(value, str) and value.startswith(_PEM) and value.isascii():
        return value.encode()
    return base64_untrusted(value, name)
