"""SEV-SNP reports as the `sev` crate (github.com/virtee/sev) writes them in JSON, turned back into 1184 bytes.

Confidential Containers send the parsed report, field by field, with byte strings as lists of numbers. What the
crate leaves out is reserved and zero (SEV-SNP firmware ABI, 56860, ATTESTATION_REPORT); were it not, the report's
signature would not hold any more. Older versions of the crate (before 6) name some fields otherwise: both are read.
"""

from collections.abc import Mapping
from typing import Any, Final

from edge_agent.attester.interface import AttesterError
from protocol.errors import Finding

REPORT_BYTES: Final = 1184
_NUMBERS: Final = (
    ("version", 0x000, 4),
    ("guest_svn", 0x004, 4),
    ("policy", 0x008, 8),
    ("vmpl", 0x030, 4),
    ("sig_algo", 0x034, 4),
    ("plat_info", 0x040, 8),
)
_STRINGS: Final = (
    ("family_id", 0x010, 16),
    ("image_id", 0x020, 16),
    ("report_data", 0x050, 64),
    ("measurement", 0x090, 48),
    ("host_data", 0x0C0, 32),
    ("id_key_digest", 0x0E0, 48),
    ("author_key_digest", 0x110, 48),
    ("report_id", 0x140, 32),
    ("report_id_ma", 0x160, 32),
    ("chip_id", 0x1A0, 64),
)
_TCBS: Final = (("current_tcb", 0x038), ("reported_tcb", 0x180), ("committed_tcb", 0x1E0), ("launch_tcb", 0x1F0))
_VERSIONS: Final = (("current", 0x1E8), ("committed", 0x1EC))
_OPTIONAL: Final = (
    ("cpuid_fam_id", 0x188, 1),
    ("cpuid_mod_id", 0x189, 1),
    ("cpuid_step", 0x18A, 1),
    ("launch_mit_vector", 0x1F8, 8),
    ("current_mit_vector", 0x200, 8),
)
_RESERVED: Final = (("_reserved_1", 0x188, 24), ("_reserved_4", 0x1F8, 168))
"""What the crate did not know before version 6: also fields of newer reports."""

_KEY_INFO: Final = 0x048
_SIGNATURE: Final = (("r", 0x2A0, 72), ("s", 0x2E8, 72))


def report_of_json(found: Any) -> bytes:
    """The ATTESTATION_REPORT, 1184 bytes. Raises `AttesterError` for a field that is missing or does not fit."""
    fields = _map("attestation_report", found)
    report = bytearray(REPORT_BYTES)
    for name, offset, size in _NUMBERS:
        _put(report, offset, _number(name, fields.get(name), size))
    for name, offset, size in _OPTIONAL:
        if fields.get(name) is not None:
            _put(report, offset, _number(name, fields[name], size))
    # Of old `_author_key_en`: the whole word all the same.
    _put(report, _KEY_INFO, _number("key_info", fields.get("key_info", fields.get("_author_key_en")), 4))
    for name, offset, size in (*_STRINGS, *(each for each in _RESERVED if each[0] in fields)):
        _put(report, offset, _sized(name, fields.get(name), size))
    for name, offset in _TCBS:
        _put(report, offset, _tcb(name, fields.get(name)))
    for name, offset in _VERSIONS:
        _put(report, offset, _version(name, fields))
    signature = _map("signature", fields.get("signature"))
    for name, offset, size in _SIGNATURE:
        _put(report, offset, _sized(name, signature.get(name), size))
    return bytes(report)


def certificates_of_json(found: Any) -> dict[str, bytes]:
    """Certificates by type, such as VCEK; none where the host gave none. Raises `AttesterError`."""
    if found is None:
        return {}
    if not isinstance(found, list):
        raise _wrong("cert_chain", "a list", found)
    entries = [_map("cert_chain", each) for each in found]
    return {
        each["cert_type"]: byte_string("cert_chain.data", each.get("data"))
        for each in entries
        if isinstance(each.get("cert_type"), str)
    }


def byte_string(name: str, found: Any) -> bytes:
    """Bytes from a list of numbers. Raises `AttesterError`."""
    if not isinstance(found, list) or not all(type(each) is int and 0 <= each < 256 for each in found):
        raise _wrong(name, "a list of bytes", found)
    return bytes(found)


def _tcb(name: str, found: Any) -> bytes:
    """8 bytes: of Turin where there is an `fmc`, else of Milan and Genoa."""
    fields = _map(name, found)
    byte = {part: _number(f"{name}.{part}", fields.get(part), 1) for part in ("bootloader", "tee", "snp", "microcode")}
    if fields.get("fmc") is None:
        between = _sized(f"{name}._reserved", fields.get("_reserved", [0] * 4), 4)
        return b"".join((byte["bootloader"], byte["tee"], between, byte["snp"], byte["microcode"]))
    first = _number(f"{name}.fmc", fields["fmc"], 1)
    return b"".join((first, byte["bootloader"], byte["tee"], byte["snp"], bytes(3), byte["microcode"]))


def _version(name: str, fields: Mapping[str, Any]) -> bytes:
    """3 bytes: build, minor, major; of old each a field of the report."""
    parts = ("build", "minor", "major")
    found = _map(name, fields[name]) if name in fields else {part: fields.get(f"{name}_{part}") for part in parts}
    return b"".join(_number(f"{name}.{part}", found.get(part), 1) for part in parts)


def _number(name: str, found: Any, size: int) -> bytes:
    if type(found) is not int or not 0 <= found < 1 << 8 * size:
        raise _wrong(name, f"a number of {size} bytes", found)
    return found.to_bytes(size, "little")


def _sized(name: str, found: Any, size: int) -> bytes:
    content = byte_string(name, found)
    if len(content) != size:
        raise _wrong(name, f"{size} bytes", f"{len(content)} bytes")
    return content


def _map(name: str, found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise _wrong(name, "an object", found)
    return found


def _put(report: bytearray, offset: int, content: bytes) -> None:
    report[offset : offset + len(content)] = content


def _wrong(name: str, expected: str, found: Any) -> AttesterError:
    return AttesterError(f"coco: {name} is wrong", finding=Finding(name, expected, repr(found)[:32]))
