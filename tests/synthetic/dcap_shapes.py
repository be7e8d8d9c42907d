"""What made-up Intel hardware may deviate in, and the shapes of Intel's structures."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.synthetic.pki import DAY, START, at
from verifier.evidence.dcap_body import LAYOUTS, SIZES, BodyType
from verifier.evidence.dcap_quote import Tee

NONCE = hashlib.sha512(b"nonce").digest()
FMSPC = bytes.fromhex("00906ea10000")
PPID = hashlib.sha256(b"platform").digest()[:16]
COMPONENTS = bytes([4, 4, 2, 2, 3, 1, 0, 5, *[0] * 8])
TEE_TCB_SVN = bytes([5, 1, 4, *[0] * 13])
MEASUREMENT = hashlib.sha384(b"measurement").digest()
RTMRS = tuple(hashlib.sha384(bytes([number])).digest() for number in range(4))
MONTH = 30 * DAY
NOW_AND_A_MONTH = (START - DAY, START + MONTH)
MANY_YEARS = 3650 * DAY

Level = tuple[str, int, tuple[str, ...]]
"""Status, what every SVN of the level is lowered by, advisories."""

UP_TO_DATE: Level = ("UpToDate", 0, ())


@dataclass(frozen=True)
class Options:
    """What is made: each field that is given is one deviation from what is valid.

    `windows` (begin and end in seconds since the epoch), `names`, `issued_by` (a name of a key), `revoked` and `forged`
    speak of root, ca, pck, signer, root-crl, ca-crl, tcb_info and qe_identity. `fmspc` is that of the TCB info.
    """

    tee: Tee = Tee.SGX
    version: int = 3
    body_type: BodyType = BodyType.SGX
    body: Mapping[str, bytes] = field(default_factory=dict)
    header: Mapping[str, Any] = field(default_factory=dict)
    qe: Mapping[str, bytes] = field(default_factory=dict)
    authentication: bytes = bytes(range(32))
    key_bound: bool = True
    point: bytes | None = None
    signed_by: str = "attestation"
    qe_signed_by: str = "pck"
    certification_type: int = 5
    certification: bytes | None = None
    filler: bytes = b""
    ppid: bytes = PPID
    fmspc: bytes = FMSPC
    components: bytes = COMPONENTS
    pce_svn: int = 13
    ca: str = "Platform"
    names: Mapping[str, str] = field(default_factory=dict)
    windows: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    issued_by: Mapping[str, str] = field(default_factory=dict)
    levels: Sequence[Level] = (UP_TO_DATE,)
    qe_levels: Sequence[Level] = (UP_TO_DATE,)
    module_levels: Sequence[Level] = (UP_TO_DATE,)
    tcb_info: Mapping[str, Any] = field(default_factory=dict)
    qe_identity: Mapping[str, Any] = field(default_factory=dict)
    forged: frozenset[str] = frozenset()
    revoked: frozenset[str] = frozenset()
    form: str = "collateral"
    pinned: bool = True
    now: float = START


BODIES: Mapping[Tee, Mapping[str, bytes]] = {
    Tee.SGX: {
        "cpu_svn": COMPONENTS,
        "attributes": bytes.fromhex("0500000000000000e700000000000000"),
        "mr_enclave": MEASUREMENT[:32],
        "mr_signer": hashlib.sha256(b"signer").digest(),
        "config_id": bytes(range(64)),
        "isv_prod_id": b"\7\0",
        "isv_svn": b"\3\0",
        "report_data": NONCE,
    },
    Tee.TDX: {
        "tee_tcb_svn": TEE_TCB_SVN,
        "mr_seam": hashlib.sha384(b"seam").digest(),
        "td_attributes": bytes.fromhex("0000001000000000"),
        "xfam": bytes.fromhex("e702060000000000"),
        "mr_td": MEASUREMENT,
        "mr_config_id": hashlib.sha384(b"configuration").digest(),
        **{f"rtmr{number}": value for number, value in enumerate(RTMRS)},
        "report_data": NONCE,
        "tee_tcb_svn_2": TEE_TCB_SVN,
    },
}


def filled(kind: BodyType, fields: Mapping[str, bytes]) -> bytes:
    """A report body with these fields, where it has them, and zeros."""
    content = bytearray(SIZES[kind])
    for name, value in fields.items():
        if name in LAYOUTS[kind]:
            content[LAYOUTS[kind][name]] = value
    return bytes(content)


def le(number: int) -> bytes:
    return number.to_bytes(2, "little")


def times(window: tuple[float, float]) -> dict[str, str]:
    return {"issueDate": stamp(window[0]), "nextUpdate": stamp(window[1])}


def stamp(time: float) -> str:
    return at(time).strftime("%Y-%m-%dT%H:%M:%SZ")


def svns(known: bytes, lower: int) -> list[dict[str, int]]:
    return [{"svn": max(0, svn - lower)} for svn in known]


def rated(tcb: Mapping[str, Any], status: str, advisories: tuple[str, ...]) -> dict[str, Any]:
    return {"tcb": tcb, "tcbDate": stamp(START), "tcbStatus": status, "advisoryIDs": list(advisories)}


SGX_EXTENSION = "1.2.840.113741.1.13.1"


def sgx_extension(ppid: bytes, components: bytes, pce_svn: int) -> bytes:
    """Intel SGX PCK Certificate and CRL Profile Specification §1.3.5, in DER."""
    numbers = [*components, pce_svn]
    tcb = b"".join(_entry(f"{SGX_EXTENSION}.2.{number}", _integer(svn)) for number, svn in enumerate(numbers, 1))
    tcb += _entry(f"{SGX_EXTENSION}.2.18", _tlv(4, components))
    entries = _entry(f"{SGX_EXTENSION}.1", _tlv(4, ppid)) + _entry(f"{SGX_EXTENSION}.2", _tlv(0x30, tcb))
    entries += _entry(f"{SGX_EXTENSION}.3", _tlv(4, bytes(2))) + _entry(f"{SGX_EXTENSION}.4", _tlv(4, FMSPC))
    entries += _entry(f"{SGX_EXTENSION}.5", _tlv(0x0A, b"\1")) + _entry(f"{SGX_EXTENSION}.6", _tlv(4, bytes(range(16))))
    flags = b"".join(_entry(f"{SGX_EXTENSION}.7.{number}", _tlv(1, b"\xff")) for number in (1, 2, 3))
    return _tlv(0x30, entries + _entry(f"{SGX_EXTENSION}.7", _tlv(0x30, flags)))


def _entry(oid: str, value: bytes) -> bytes:
    return _tlv(0x30, _oid(oid) + value)


def _integer(number: int) -> bytes:
    return _tlv(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _oid(text: str) -> bytes:
    first, second, *rest = map(int, text.split("."))
    content = bytes([40 * first + second])
    for number in rest:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.insert(0, number & 0x7F | 0x80)
        content += bytes(groups)
    return _tlv(6, content)


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + content
