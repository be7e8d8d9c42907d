"""The layout of an ATTESTATION_REPORT (AMD 56860, SEV Secure Nested Paging Firmware ABI Specification, §7.3).

Versions 2, 3 and 5 have one size and one order of fields; each later one names bytes that were reserved before.
Integers are little-endian. Nothing that this file returns is trusted yet.
"""

from collections.abc import Mapping
from enum import StrEnum
from struct import Struct
from typing import Final, NamedTuple

from protocol.errors import Finding, MalformedError, RemoteError, UnsupportedError

VERSIONS: Final = (2, 3, 5)
SIZE: Final = 0x4A0
SIGNED: Final = 0x2A0
"""Bytes at the beginning that the signature covers."""

POLICY_BITS: Final = {
    "smt": 16,
    "migrate_ma": 18,
    "debug": 19,
    "single_socket": 20,
    "cxl_allowed": 21,
    "mem_aes_256_xts": 22,
    "rapl_disabled": 23,
    "ciphertext_hiding": 24,
    "page_swap_disabled": 25,
}
"""Guest policy (§4.3): from bit 26 on all is reserved."""

_ECDSA_P384_SHA384: Final = 1
_POLICY_ONE: Final = 17
_POLICY_END: Final = 26
_MAX_VMPL: Final = 3

_LAYOUT: Final = Struct("<IIQ16s16sII8sQI4s64s48s32s48s48s32s32s8sBBB21s64s8s3sB3sB8sQQ152s72s72s368s")


class Product(StrEnum):
    """A line of processors that shares an ARK; Siena and Bergamo belong to Genoa."""

    MILAN = "Milan"
    GENOA = "Genoa"
    TURIN = "Turin"


class SigningKey(StrEnum):
    """Whose key signs: the chip's own, or one that a cloud loads into its chips."""

    VCEK = "vcek"
    VLEK = "vlek"
    NONE = "none"


class Report(NamedTuple):
    """The fields of a report in their order, by their names in the specification. TCB_VERSION is left as 8 bytes.

    CPUID is zero before version 3 and the mitigation vectors are before version 5: they were reserved.
    """

    version: int
    guest_svn: int
    policy: int
    family_id: bytes
    image_id: bytes
    vmpl: int
    signature_algo: int
    current_tcb: bytes
    platform_info: int
    flags: int
    reserved_04c: bytes
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    reported_tcb: bytes
    cpuid_family: int
    cpuid_model: int
    cpuid_stepping: int
    reserved_18b: bytes
    chip_id: bytes
    committed_tcb: bytes
    current_version: bytes
    reserved_1eb: int
    committed_version: bytes
    reserved_1ef: int
    launch_tcb: bytes
    launch_mit_vector: int
    current_mit_vector: int
    reserved_208: bytes
    r: bytes
    s: bytes
    reserved_330: bytes

    @property
    def has_author_key(self) -> bool:
        """AUTHOR_KEY_EN: whether AUTHOR_KEY_DIGEST says anything."""
        return bool(self.flags & 1)

    @property
    def is_chip_key_masked(self) -> bool:
        """MASK_CHIP_KEY: the host keeps the firmware from using the chip's key."""
        return bool(self.flags >> 1 & 1)

    @property
    def is_chip_masked(self) -> bool:
        """Whether the host hides the chip: all of CHIP_ID is zero."""
        return not any(self.chip_id)

    @property
    def signing_key(self) -> SigningKey:
        """SIGNING_KEY."""
        return _SIGNING_KEYS[self.flags >> 2 & 7]

    @property
    def signature(self) -> tuple[int, int]:
        """R and S (chapter 10), which are little-endian here as nowhere else."""
        return int.from_bytes(self.r, "little"), int.from_bytes(self.s, "little")

    def allows(self, name: str) -> bool:
        """Whether this bit of the guest policy is set."""
        return bool(self.policy >> POLICY_BITS[name] & 1)


_SIGNING_KEYS: Final = {0: SigningKey.VCEK, 1: SigningKey.VLEK, 7: SigningKey.NONE}


def report_untrusted(data: bytes) -> Report:
    """The fields of `data`.

    Raises `UnsupportedError` for another version, algorithm or kind of key, for policy bits that are not known here
    and for a report that the host and no guest asked for; `MalformedError` for all else, reserved bytes that are not
    zero included.
    """
    if len(data) != SIZE:
        raise MalformedError("not a report", finding=Finding("report", f"{SIZE} bytes", f"{len(data)} bytes"))
    report = Report._make(_LAYOUT.unpack(data))
    _check(report.version in VERSIONS, "version", "2, 3 or 5", report.version, UnsupportedError)
    algorithm = report.signature_algo
    _check(algorithm == _ECDSA_P384_SHA384, "signature_algo", "1, ECDSA P-384 SHA-384", algorithm, UnsupportedError)
    # SNP_HV_REPORT_REQ: a report for the host has 0xFFFFFFFF here, and no data of the guest.
    _check(report.vmpl <= _MAX_VMPL, "vmpl", "0 to 3, of a guest", report.vmpl, UnsupportedError)
    key = report.flags >> 2 & 7
    _check(key in _SIGNING_KEYS, "signing_key", "0 (VCEK), 1 (VLEK) or 7 (none)", key, UnsupportedError)
    _check_policy(report.policy)
    _check_reserved(report)
    return report


def product_of(report: Report) -> Product | None:
    """The product line that CPUID names, or None before version 3.

    Raises `UnsupportedError` for a processor that is not known.
    """
    family, model = report.cpuid_family, report.cpuid_model
    if report.version < 3:
        return None
    if family == 0x19 and model < 0x10:
        return Product.MILAN
    if family == 0x19 and (model < 0x20 or 0xA0 <= model < 0xB0):
        return Product.GENOA
    if family == 0x1A and model < 0x20:
        return Product.TURIN
    found = f"family {family:#x}, model {model:#x}"
    finding = Finding("report.cpuid", "Milan, Genoa, Siena, Bergamo or Turin", found)
    raise UnsupportedError("a processor of another product line", finding=finding)


def tcb_claims(tcb: bytes, product: Product) -> Mapping[str, int]:
    """Security patch levels by name of a TCB_VERSION, 8 bytes (§2.2: Turin has another order, and FMC)."""
    if product is Product.TURIN:
        return {"fmc": tcb[0], "bootloader": tcb[1], "tee": tcb[2], "snp": tcb[3], "microcode": tcb[7]}
    return {"bootloader": tcb[0], "tee": tcb[1], "snp": tcb[6], "microcode": tcb[7]}


def _check(holds: bool, claim: str, expected: str, found: object, error: type[RemoteError] = MalformedError) -> None:
    if not holds:
        finding = Finding(f"report.{claim}", expected, str(found))
        raise error(f"a report whose {claim} is not accepted", finding=finding)


def _check_policy(policy: int) -> None:
    _check(bool(policy >> _POLICY_ONE & 1), "policy", "bit 17 set", f"{policy:#x}")
    # What an unknown bit allows is unknown, so it cannot be left to those who write policies.
    _check(policy >> _POLICY_END == 0, "policy", "bits 26 to 63 zero", f"{policy:#x}", UnsupportedError)


def _check_reserved(report: Report) -> None:
    fields = (report.reserved_04c, report.reserved_18b, report.reserved_208, report.reserved_330)
    numbers = [report.flags >> 5, report.reserved_1eb, report.reserved_1ef]
    if report.version < 3:
        numbers += [report.cpuid_family, report.cpuid_model, report.cpuid_stepping]
    if report.version < 5:
        numbers += [report.launch_mit_vector, report.current_mit_vector]
    is_zero = not any(numbers) and not any(any(field) for field in fields)
    _check(is_zero, "reserved", "zero", "other bytes")
