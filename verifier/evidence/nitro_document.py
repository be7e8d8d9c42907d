"""The attestation document of an AWS Nitro enclave, as the Nitro Secure Module writes it.

Source: AWS, "Nitro Enclaves attestation process", the CDDL of `AttestationDocument` and its "syntactical
validation". A map of nine named entries, three of which may be null or missing, and no others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from protocol.errors import Finding, MalformedError
from verifier.evidence.foreign_cbor import decode_foreign_untrusted

MAX_DOCUMENT: Final = 16_384
"""Bytes of a whole document; the NSM answers with 12,288 at most."""

MAX_ISSUERS: Final = 7
"""Certificates of `cabundle`; AWS sends four."""

_MAX_TEXT: Final = 256
_MAX_CERTIFICATE: Final = 1024
_MAX_DATA: Final = 1024
_MAX_PCRS: Final = 32
_PCR_BYTES: Final = frozenset({32, 48, 64})
_MAX_TIMESTAMP: Final = 253_402_300_799_999
"""The last millisecond of the year 9999."""

_REQUIRED: Final = frozenset({"module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"})
_OPTIONAL: Final = frozenset({"public_key", "user_data", "nonce"})


@dataclass(frozen=True, slots=True)
class NitroDocument:
    """A well-formed document. `timestamp` is in milliseconds since the epoch; `cabundle` begins with the root."""

    module_id: str
    timestamp: int
    pcrs: Mapping[int, bytes]
    certificate: bytes
    cabundle: tuple[bytes, ...]
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None


def document_untrusted(payload: bytes) -> NitroDocument:
    """Parse the payload of the COSE_Sign1. Well formed after the call; nothing is trusted yet.

    Raises `MalformedError`.
    """
    entries = decode_foreign_untrusted(payload, max_bytes=MAX_DOCUMENT, max_depth=2)
    if not isinstance(entries, dict):
        raise _malformed("", "a map", entries)
    if not _REQUIRED <= entries.keys() <= _REQUIRED | _OPTIONAL:
        wrong = sorted(map(str, entries.keys() ^ _REQUIRED - _OPTIONAL))
        finding = Finding("doc", " ".join(sorted(_REQUIRED)), " ".join(wrong)[:128])
        raise MalformedError("entries of the document are missing or unknown", finding=finding)
    if entries["digest"] != "SHA384":
        raise _malformed("digest", "SHA384", entries["digest"])
    return NitroDocument(
        module_id=_module_id(entries["module_id"]),
        timestamp=_timestamp(entries["timestamp"]),
        pcrs=_pcrs(entries["pcrs"]),
        certificate=_bytes("certificate", entries["certificate"], 1, _MAX_CERTIFICATE),
        cabundle=_cabundle(entries["cabundle"]),
        public_key=_data("public_key", entries.get("public_key")),
        user_data=_data("user_data", entries.get("user_data")),
        nonce=_data("nonce", entries.get("nonce")),
    )


def _module_id(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT or not (value.isascii() and value.isprintable()):
        raise _malformed("module_id", f"text of up to {_MAX_TEXT} printable characters", value)
    return value


def _timestamp(value: Any) -> int:
    if type(value) is not int or not 0 < value <= _MAX_TIMESTAMP:
        raise _malformed("timestamp", "milliseconds since 1970", value)
    return value


def _pcrs(value: Any) -> dict[int, bytes]:
    if not isinstance(value, dict) or not 0 < len(value) <= _MAX_PCRS:
        raise _malformed("pcrs", f"a map of up to {_MAX_PCRS}", value)
    for index, pcr in value.items():
        if type(index) is not int or not 0 <= index < _MAX_PCRS:
            raise _malformed("pcrs", f"indexes below {_MAX_PCRS}", index)
        if not isinstance(pcr, bytes) or len(pcr) not in _PCR_BYTES:
            raise _malformed(f"pcrs.{index}", "32, 48 or 64 bytes", pcr)
    if 0 not in value:
        raise _malformed("pcrs", "PCR 0 among them", "others")
    return value


def _cabundle(value: Any) -> tuple[bytes, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_ISSUERS:
        raise _malformed("cabundle", f"1 to {MAX_ISSUERS} certificates", value)
    return tuple(_bytes(f"cabundle.{at}", each, 1, _MAX_CERTIFICATE) for at, each in enumerate(value))


def _data(name: str, value: Any) -> bytes | None:
    return None if value is None else _bytes(name, value, 0, _MAX_DATA)


def _bytes(name: str, value: Any, least: int, most: int) -> bytes:
    if not isinstance(value, bytes) or not least <= len(value) <= most:
        raise _malformed(name, f"{least} to {most} bytes", value)
    return value


def _malformed(name: str, expected: str, found: object) -> MalformedError:
    claim = f"doc.{name}" if name else "doc"
    shown = f"{len(found)} bytes" if isinstance(found, bytes) else f"{type(found).__name__} {found!r}"[:64]
    return MalformedError(f"{claim} is not what a document has", finding=Finding(claim, expected, shown))
