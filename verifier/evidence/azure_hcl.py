"""The HCL report of an Azure confidential VM: a hardware report, and the runtime data that its report data hash.

    "HCLA" header │ hardware report, 1184 │ runtime header │ runtime data: JSON │ zeros

The paravisor (HCL, OpenHCL) makes the runtime data, above all the attestation key of the vTPM that it runs; their
SHA-256 stands in the first half of the hardware report's data (Microsoft, "Guest attestation for confidential VMs").
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from protocol.errors import Finding, MalformedError, UnsupportedError
from verifier.evidence.cursor import Cursor
from verifier.evidence.documents import json_object_untrusted, list_untrusted, object_untrusted
from verifier.evidence.interface import Claim
from verifier.evidence.public_keys import PublicKey, public_key_untrusted

MAX_HCL_REPORT: Final = 16_384
"""Bytes; the NV index that holds one has 2,600."""

AK_KID: Final = "HCLAkPub"

_MAGIC: Final = b"HCLA"
_VERSIONS: Final = (1, 2)
_REQUEST_TYPE: Final = 2
_HARDWARE: Final = 1184
_RUNTIME_HEADER: Final = 20
_RUNTIME_VERSION: Final = 1
_SHA256: Final = 1
_MAX_KEYS: Final = 16
_REPORT_DATA: Final = 64


class ReportType(IntEnum):
    """Which hardware reports, and the bytes of its report; the rest of 1184 is zero."""

    SNP = 2
    TDX = 4

    @property
    def size(self) -> int:
        """ATTESTATION_REPORT or TDREPORT_STRUCT."""
        return 1184 if self is ReportType.SNP else 1024


@dataclass(frozen=True, slots=True)
class HclReport:
    """`runtime_data` is the exact JSON: never serialise it again."""

    type: ReportType
    hardware_report: bytes
    runtime_data: bytes

    def is_bound_by(self, report_data: bytes) -> bool:
        """Whether these 64 bytes, signed by the hardware, are for this runtime data: their SHA-256, then zeros."""
        digest = hashlib.sha256(self.runtime_data).digest()
        return report_data == digest.ljust(_REPORT_DATA, b"\0")


@dataclass(frozen=True, slots=True)
class RuntimeData:
    """What the paravisor says: the vTPM's attestation key, and how the VM is set up."""

    ak: PublicKey
    vm: Mapping[str, Claim]


def hcl_report_untrusted(data: bytes) -> HclReport:
    """The HCL report in `data`. Raises `MalformedError`, and `UnsupportedError` for another version or hardware."""
    if len(data) > MAX_HCL_REPORT:
        finding = Finding("hcl", f"at most {MAX_HCL_REPORT} bytes", str(len(data)))
        raise MalformedError("the HCL report is too large", finding=finding)
    cursor = Cursor(data, "hcl", "little")
    whole = _header(cursor)
    hardware = cursor.take(_HARDWARE)
    kind, size = _runtime_header(cursor)
    runtime = cursor.take(size)
    _demand(whole == cursor.at, "report_size", cursor.at, whole)
    _demand(not cursor.rest.strip(b"\0"), "filler", "zeros", "other bytes")
    _demand(not hardware[kind.size :].strip(b"\0"), "hardware report", "zeros after it", "other bytes")
    return HclReport(kind, hardware[: kind.size], runtime)


def runtime_data_untrusted(data: bytes) -> RuntimeData:
    """The runtime data in `data`: as trustworthy as the hardware report that binds them. Raises `MalformedError`."""
    found = json_object_untrusted(data, "runtime-data")
    keys = [object_untrusted(key, "runtime-data.keys") for key in list_untrusted(found.get("keys"), "keys", _MAX_KEYS)]
    named = [key for key in keys if key.get("kid") == AK_KID]
    if len(named) != 1:
        raise MalformedError(
            "not one vTPM attestation key", finding=Finding("runtime-data.keys", f"one {AK_KID}", str(len(named)))
        )
    jwk = {name: named[0].get(name) for name in ("kty", "n", "e")}
    configuration = object_untrusted(found.get("vm-configuration", {}), "runtime-data.vm-configuration")
    vm = [*configuration.items(), ("user_data", found.get("user-data"))]
    return RuntimeData(public_key_untrusted(json.dumps(jwk).encode(), AK_KID), _claims(vm))


def _header(cursor: Cursor) -> int:
    """AttestationHeader: how many bytes the report says it has."""
    _demand(cursor.take(4) == _MAGIC, "signature", "HCLA", "another")
    version = cursor.integer(4)
    _support(version in _VERSIONS, "version", _VERSIONS, version)
    whole = cursor.integer(4)
    request = cursor.integer(4)
    _support(request == _REQUEST_TYPE, "request_type", _REQUEST_TYPE, request)
    _demand(not cursor.take(16).strip(b"\0"), "status and reserved", "zeros", "other bytes")
    return whole


def _runtime_header(cursor: Cursor) -> tuple[ReportType, int]:
    """IGVM_REQUEST_DATA: whose the hardware report is, and the size of the JSON that follows."""
    whole, version, kind, hashed, size = (cursor.integer(4) for _ in range(5))
    _support(version == _RUNTIME_VERSION, "runtime.version", _RUNTIME_VERSION, version)
    _support(kind in set(ReportType), "runtime.report_type", "2 (SNP) or 4 (TDX)", kind)
    _support(hashed == _SHA256, "runtime.hash_type", "1 (SHA-256)", hashed)
    _demand(whole == _RUNTIME_HEADER + size, "runtime.data_size", _RUNTIME_HEADER + size, whole)
    return ReportType(kind), size


def _claims(items: Sequence[tuple[str, object]]) -> Mapping[str, Claim]:
    """Plain values under names that policies use; what is nested is left out. Raises `MalformedError`."""
    claims: dict[str, Claim] = {}
    for given, value in items:
        name = given.replace("-", "_")
        _demand(name not in claims and _is_utf8(name), "vm-configuration", "each name once", ascii(name)[:64])
        if value is None or isinstance(value, str | int):
            _demand(_is_portable(value), f"vm-configuration.{ascii(name)[1:64]}", "UTF-8, or 64 bits", "another")
            claims[name] = value
    return claims


def _is_portable(value: str | int | None) -> bool:
    """Whether a claim can be written as CBOR: no lone surrogate, no integer beyond 64 bits."""
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    return value is None or _is_utf8(value)


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= each <= "\udfff" for each in text)


def _support(holds: bool, name: str, expected: object, found: object) -> None:
    if not holds:
        finding = Finding(f"hcl.{name}", str(expected), str(found))
        raise UnsupportedError("an HCL report of another kind", finding=finding)


def _demand(holds: bool, name: str, expected: object, found: object) -> None:
    if not holds:
        raise MalformedError("not an HCL report", finding=Finding(f"hcl.{name}", str(expected), str(found)))
