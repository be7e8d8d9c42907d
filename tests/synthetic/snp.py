"""SEV-SNP reports and AMD-shaped chains under made-up ARKs: valid by default, or with the faults that are asked for.

Offsets are written out here once more, from the specification: a wrong one in the verifier does not cancel out.
RSA-2048 stands in for RSA-4096, for speed.
"""

from collections.abc import Mapping
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.synthetic.exhibit import Exhibit
from tests.synthetic.pki import DAY, START, Holder, crl, issue
from verifier.evidence.roots import AMD
from verifier.evidence.snp import SnpAppraiser

SIGNATURE = 0x2A0
SIZE = 0x4A0

FIELDS: Mapping[str, tuple[int, int]] = {
    "version": (0x000, 4),
    "guest_svn": (0x004, 4),
    "policy": (0x008, 8),
    "family_id": (0x010, 16),
    "image_id": (0x020, 16),
    "vmpl": (0x030, 4),
    "signature_algo": (0x034, 4),
    "current_tcb": (0x038, 8),
    "platform_info": (0x040, 8),
    "flags": (0x048, 4),
    "reserved_04c": (0x04C, 4),
    "report_data": (0x050, 64),
    "measurement": (0x090, 48),
    "host_data": (0x0C0, 32),
    "id_key_digest": (0x0E0, 48),
    "author_key_digest": (0x110, 48),
    "report_id": (0x140, 32),
    "report_id_ma": (0x160, 32),
    "reported_tcb": (0x180, 8),
    "cpuid_family": (0x188, 1),
    "cpuid_model": (0x189, 1),
    "cpuid_stepping": (0x18A, 1),
    "reserved_18b": (0x18B, 21),
    "chip_id": (0x1A0, 64),
    "committed_tcb": (0x1E0, 8),
    "current_build": (0x1E8, 1),
    "current_minor": (0x1E9, 1),
    "current_major": (0x1EA, 1),
    "reserved_1eb": (0x1EB, 1),
    "committed_build": (0x1EC, 1),
    "committed_minor": (0x1ED, 1),
    "committed_major": (0x1EE, 1),
    "reserved_1ef": (0x1EF, 1),
    "launch_tcb": (0x1F0, 8),
    "launch_mit_vector": (0x1F8, 8),
    "current_mit_vector": (0x200, 8),
    "reserved_208": (0x208, 152),
    "r": (0x2A0, 72),
    "s": (0x2E8, 72),
    "reserved_330": (0x330, 368),
}
"""Name to offset and length."""

CPUID = {"Milan": (0x19, 0x01), "Genoa": (0x19, 0x11), "Siena": (0x19, 0xA0), "Turin": (0x1A, 0x02)}
LINE = {"Milan": "Milan", "Genoa": "Genoa", "Siena": "Genoa", "Turin": "Turin"}

TCB = bytes((4, 0, 0, 0, 0, 0, 24, 219))
TURIN_TCB = bytes((1, 2, 3, 4, 0, 0, 0, 77))
HWID = bytes(range(64))
TURIN_HWID = bytes(range(8))
NONCE = bytes(reversed(range(64)))
MEASUREMENT = b"m" * 48


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def ark(line: str = "Milan", authority: str = "amd") -> Holder:
    return _authorities(line, authority)["ark"]


def ask(line: str = "Milan", kind: str = "vcek", authority: str = "amd") -> Holder:
    """ASK, or ASVK for kind `vlek`."""
    return _authorities(line, authority)[kind]


@cache
def _authorities(line: str, authority: str) -> Mapping[str, Holder]:
    root = issue(f"ARK-{line}", rsa_key(f"ark {authority}"), serial=0x10000, pss=True, may_sign=True)
    names = {"vcek": (f"SEV-{line}", 0x10001), "vlek": (f"SEV-VLEK-{line}", 0x10101)}
    key = rsa_key(f"ask {authority}")
    below = {
        kind: issue(name, key, root, serial=serial, pss=True, may_sign=True, path_length=0)
        for kind, (name, serial) in names.items()
    }
    return {"ark": root, **below}


def leaf(
    line: str = "Milan", kind: str = "vcek", *, issuer: Holder | None = None, key: str = "leaf", **said: object
) -> Holder:
    """A VCEK or VLEK; `said` are what its extensions say (see `extensions`), and `begins` and `ends`."""
    begins, ends = said.pop("begins", START - DAY), said.pop("ends", START + DAY)
    return issue(
        f"SEV-{kind.upper()}",
        ec_key(key),
        issuer or ask(line, kind),
        ca=False,
        serial=0x5EA1,
        begins=begins,  # type: ignore[arg-type]
        ends=ends,  # type: ignore[arg-type]
        extensions=extensions(line, kind, **said),  # type: ignore[arg-type]
        pss=True,
    )


def extensions(
    line: str,
    kind: str,
    *,
    product_name: str = "",
    tcb: bytes = b"",
    hwid: bytes | None = None,
    csp_id: str = "cloud.example",
    replaced: Mapping[str, bytes | None] | None = None,
) -> tuple[x509.UnrecognizedExtension, ...]:
    """AMD's, under 1.3.6.1.4.1.3704.1; `replaced` gives other values, or None to leave one out."""
    turin = line == "Turin"
    name = product_name or (line if turin or kind == "vlek" else f"{line}-B0")
    order = ("9", "1", "2", "3", "5", "6", "7", "8") if turin else ("1", "2", "4", "5", "6", "7", "3", "8")
    levels = dict(zip(order, tcb or (TURIN_TCB if turin else TCB), strict=True))
    values: dict[str, bytes | None] = {"1": integer(0), "2": ia5(name)}
    values |= {f"3.{number}": integer(level) for number, level in levels.items()}
    chip = (TURIN_HWID if turin else HWID) if hwid is None else hwid
    values |= {"4": chip} if kind == "vcek" else {"5": ia5(csp_id)}
    values |= replaced or {}
    return tuple(
        x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.3.6.1.4.1.3704.1.{arc}"), value)
        for arc, value in values.items()
        if value is not None
    )


def integer(value: int) -> bytes:
    return bytes((2, 1, value)) if value < 0x80 else bytes((2, 2, 0, value))


def ia5(text: str) -> bytes:
    return bytes((0x16, len(text))) + text.encode()


def report(
    key: ec.EllipticCurvePrivateKey, processor: str = "Milan", kind: str = "vcek", **fields: int | bytes
) -> bytes:
    """A signed report of version 3, or as `fields` has it; `r`, `s` and `reserved_330` are set after signing."""
    made = bytearray(SIZE)
    signed = {name: value for name, value in fields.items() if FIELDS[name][0] < SIGNATURE}
    for name, value in {**_defaults(processor, kind, fields.get("version", 3)), **signed}.items():
        put(made, name, value)
    r, s = decode_dss_signature(key.sign(bytes(made[:SIGNATURE]), ec.ECDSA(hashes.SHA384())))
    for name, value in {"r": r, "s": s, **fields}.items():
        put(made, name, value)
    return bytes(made)


def put(report: bytearray, name: str, value: int | bytes) -> None:
    """Write one field: a number little-endian, or bytes as they are."""
    offset, length = FIELDS[name]
    content = value if isinstance(value, bytes) else value.to_bytes(length, "little")
    if len(content) != length:
        raise ValueError(f"{name} has {length} bytes")
    report[offset : offset + length] = content


def _defaults(processor: str, kind: str, version: int | bytes) -> dict[str, int | bytes]:
    turin = processor == "Turin"
    tcb = TURIN_TCB if turin else TCB
    family, model = CPUID[processor]
    made: dict[str, int | bytes] = {
        "version": 3,
        "policy": 0x3001F,
        "vmpl": 1,
        "signature_algo": 1,
        "platform_info": 0x25,
        "flags": 0 if kind == "vcek" else 1 << 2,
        "report_data": NONCE,
        "measurement": MEASUREMENT,
        "report_id": b"i" * 32,
        "report_id_ma": b"\xff" * 32,
        "chip_id": bytes(64) if kind == "vlek" else (TURIN_HWID.ljust(64, b"\0") if turin else HWID),
        "current_build": 29,
        "current_minor": 55,
        "current_major": 1,
    }
    made |= dict.fromkeys(("current_tcb", "reported_tcb", "committed_tcb", "launch_tcb"), tcb)
    if version != 2:
        made |= {"cpuid_family": family, "cpuid_model": model, "cpuid_stepping": 1}
    if version == 5:
        made |= {"launch_mit_vector": 0xB, "current_mit_vector": 0xB}
    return made


class Folder(dict[str, bytes]):
    """Endorsements by name."""

    def find(self, name: str) -> bytes | None:
        return self.get(name)


def snp(
    processor: str = "Milan",
    kind: str = "vcek",
    *,
    certificate: Holder | None = None,
    issuers: tuple[Holder, ...] = (),
    signer: str = "leaf",
    revoked: tuple[int, ...] | None = None,
    folder: Mapping[str, bytes] | None = None,
    **fields: int | bytes,
) -> Exhibit:
    """Valid evidence, or a fault: another `certificate`, other `issuers`, another `signer`, fields of the report.

    `revoked` adds a revocation list of these serial numbers; () makes an empty one. In the chain, which is PEM, the
    armour is no part of the certificates.
    """
    line = LINE[processor]
    chain = b"".join(each.pem for each in issuers or (ask(line, kind), ark(line)))
    parts = {
        "report": report(ec_key(signer), processor, kind, **fields),
        kind: (certificate or leaf(line, kind)).der,
        "chain": chain,
    }
    if revoked is not None:
        parts["crl"] = crl(ark(line), *revoked, pss=True)
    pinned = {AMD: frozenset(ark(each).fingerprint for each in ("Milan", "Genoa", "Turin"))}
    return Exhibit(
        appraiser=SnpAppraiser(Folder(folder or {}), pinned),
        parts=parts,
        now=START,
        nonce=NONCE,
        unsigned={"chain": tuple((range(at, at + 1), "the end of a line of PEM") for at in _line_ends(chain))},
    )


def _line_ends(pem: bytes) -> list[int]:
    return [at for at, byte in enumerate(pem) if byte == ord("\n")]
