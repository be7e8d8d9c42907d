"""TPM 2.0 quotes, public areas and event logs without a TPM: valid by default, or with the faults that are asked for.

Structures are written out here once more, from the TPM 2.0 Library Part 2: a wrong offset in the verifier does not
cancel out. All is made of fixed values; only the keys differ from run to run.
"""

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence
from functools import cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.synthetic.exhibit import Exhibit
from verifier.evidence.tpm import TpmAppraiser

NOW = 1_750_000_000
NONCE = bytes(range(32))
AGENT_PCR = 15
MEASURED = (b"\x11" * 32, b"\x22" * 32)

ALGORITHMS = {"sha1": 0x0004, "sha256": 0x000B, "sha384": 0x000C, "sha512": 0x000D, "sm3": 0x0012}
SCHEMES = {"rsassa": 0x0014, "rsapss": 0x0016, "ecdsa": 0x0018}
CURVES = {"p256": 0x0003, "p384": 0x0004, "p521": 0x0005}
NAMED_CURVES: Mapping[str, ec.EllipticCurve] = {
    "p256": ec.SECP256R1(),
    "p384": ec.SECP384R1(),
    "p521": ec.SECP521R1(),
}
HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}

FIXED_TPM, FIXED_PARENT, ORIGIN, WITH_AUTH = 1 << 1, 1 << 4, 1 << 5, 1 << 6
RESTRICTED, DECRYPT, SIGN = 1 << 16, 1 << 17, 1 << 18
ATTRIBUTES = FIXED_TPM | FIXED_PARENT | ORIGIN | WITH_AUTH | RESTRICTED | SIGN

EV_NO_ACTION, EV_SEPARATOR, EV_POST_CODE, EV_VARIABLE = 3, 4, 1, 0x80000001
GLOBAL_VARIABLE = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Event = tuple[int, int, bytes]
"""PCR, type, data."""


class Folder(dict[str, bytes]):
    """Endorsements by name."""

    def find(self, name: str) -> bytes | None:
        return self.get(name)


def key(kind: str = "p256", name: str = "ak") -> PrivateKey:
    """RSA of so many bits (`rsa2048`), or of a curve; the same one for the same name."""
    return _made(kind, name)


@cache
def _made(kind: str, name: str) -> PrivateKey:
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    return ec.generate_private_key(NAMED_CURVES[kind])


def spki(private: PrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pem(private: PrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def sized(content: bytes) -> bytes:
    return struct.pack(">H", len(content)) + content


def public_area(
    private: PrivateKey, *, attributes: int = ATTRIBUTES, name_hash: int = 0x000B, scheme: bytes = b"\0\x10"
) -> bytes:
    """TPMT_PUBLIC; the scheme is TPM_ALG_NULL by default."""
    numbers = private.public_key().public_numbers()
    is_rsa = isinstance(numbers, rsa.RSAPublicNumbers)
    head = struct.pack(">HHI", 0x0001 if is_rsa else 0x0023, name_hash, attributes) + sized(b"") + b"\0\x10" + scheme
    if isinstance(numbers, rsa.RSAPublicNumbers):
        size = private.key_size
        return head + struct.pack(">HI", size, 0) + sized(numbers.n.to_bytes(size // 8, "big"))
    size = (private.key_size + 7) // 8
    curve = CURVES[f"p{private.key_size}"]
    return (
        head
        + struct.pack(">HH", curve, 0x0010)
        + b"".join(sized(each.to_bytes(size, "big")) for each in (numbers.x, numbers.y))
    )


def with_scheme(scheme: str, hashed: str) -> bytes:
    return struct.pack(">HH", SCHEMES[scheme], ALGORITHMS[hashed])


def selection(selected: Mapping[str, Sequence[int]]) -> bytes:
    """TPML_PCR_SELECTION."""
    made = struct.pack(">I", len(selected))
    for bank, indices in selected.items():
        bits = sum(1 << index for index in indices)
        made += struct.pack(">HB", ALGORITHMS[bank], 3) + bits.to_bytes(3, "little")
    return made


def attest(
    selected: Mapping[str, Sequence[int]],
    digest: bytes,
    *,
    magic: bytes = b"\xffTCG",
    attested: int = 0x8018,
    nonce: bytes = NONCE,
    safe: int = 1,
) -> bytes:
    """TPMS_ATTEST of a quote."""
    signer = sized(b"\0\x0b" + b"q" * 32)
    clock = struct.pack(">QIIB", 12345, 3, 1, safe)
    head = magic + struct.pack(">H", attested) + signer + sized(nonce) + clock + struct.pack(">Q", 0x20240101)
    return head + selection(selected) + sized(digest)


def sign(private: PrivateKey, message: bytes, scheme: str, hashed: str) -> bytes:
    """TPMT_SIGNATURE."""
    head = with_scheme(scheme, hashed)
    digest = HASHES[hashed]
    if isinstance(private, ec.EllipticCurvePrivateKey):
        size = (private.key_size + 7) // 8
        values = decode_dss_signature(private.sign(message, ec.ECDSA(digest)))
        return head + b"".join(sized(each.to_bytes(size, "big")) for each in values)
    pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
    return head + sized(private.sign(message, pss if scheme == "rsapss" else padding.PKCS1v15(), digest))


def extended(bank: str, *digests: bytes, start: bytes | None = None) -> bytes:
    """What a PCR holds after these digests."""
    value = bytes(hashlib.new(bank).digest_size) if start is None else start
    for digest in digests:
        value = hashlib.new(bank, value + digest).digest()
    return value


def variable(value: bytes = b"\1", name: str = "SecureBoot") -> bytes:
    """UEFI_VARIABLE_DATA."""
    return GLOBAL_VARIABLE + struct.pack("<QQ", len(name), len(value)) + name.encode("utf-16-le") + value


BOOT: tuple[Event, ...] = (
    (0, EV_NO_ACTION, b"StartupLocality\0\3"),
    (0, EV_POST_CODE, b"firmware"),
    (7, EV_VARIABLE, variable()),
    (4, 0x80000003, b"boot loader"),
    (0, EV_SEPARATOR, bytes(4)),
    (7, EV_SEPARATOR, bytes(4)),
)


def event(one: Event, banks: Sequence[str]) -> bytes:
    """TCG_PCR_EVENT2 whose digests are the hashes of its data."""
    index, kind, data = one
    made = struct.pack("<III", index, kind, len(banks))
    for bank in banks:
        digest = bytes(hashlib.new(bank).digest_size) if kind == EV_NO_ACTION else hashlib.new(bank, data).digest()
        made += struct.pack("<H", ALGORITHMS[bank]) + digest
    return made + struct.pack("<I", len(data)) + data


def old_event(one: Event) -> bytes:
    """TCG_PCR_EVENT."""
    index, kind, data = one
    digest = bytes(20) if kind == EV_NO_ACTION else hashlib.sha1(data).digest()
    return struct.pack("<II", index, kind) + digest + struct.pack("<I", len(data)) + data


def header(banks: Sequence[str]) -> bytes:
    """TCG_EfiSpecIdEvent in its event."""
    sizes = b"".join(struct.pack("<HH", ALGORITHMS[each], 32 if each == "sm3" else _size(each)) for each in banks)
    data = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(banks)) + sizes + b"\0"
    return old_event((0, EV_NO_ACTION, data))


def event_log(events: Sequence[Event] = BOOT, banks: Sequence[str] = ("sha256",), filler: bytes = b"") -> bytes:
    return header(banks) + b"".join(event(each, banks) for each in events) + filler


def booted(bank: str = "sha256", events: Sequence[Event] = BOOT) -> dict[int, bytes]:
    """The PCRs after these events, locality 3 having started the TPM."""
    values: dict[int, bytes] = {}
    for index, kind, data in events:
        if kind != EV_NO_ACTION:
            start = values.get(index, (3 if index == 0 else 0).to_bytes(_size(bank), "big"))
            values[index] = extended(bank, hashlib.new(bank, data).digest(), start=start)
    return values


def values_json(values: Mapping[str, Mapping[int, bytes]]) -> bytes:
    found = {bank: {str(index): value.hex() for index, value in each.items()} for bank, each in values.items()}
    return json.dumps(found, separators=(",", ":")).encode()


def values_blob(values: Mapping[str, Mapping[int, bytes]], count: int | None = None) -> bytes:
    """`tpm2_pcrs`, as tpm2_quote -o writes it."""
    places = b"".join(
        struct.pack("<HB", ALGORITHMS[bank], 3) + sum(1 << i for i in each).to_bytes(3, "little") + bytes(2)
        for bank, each in values.items()
    )
    digests = [each[index] for each in values.values() for index in sorted(each)]
    lists = [digests[at : at + 8] for at in range(0, len(digests), 8)]
    made = struct.pack("<I", len(values)) + places.ljust(128, b"\0") + struct.pack("<I", count or len(lists))
    for each in lists:
        made += struct.pack("<I", len(each))
        made += b"".join(struct.pack("<H", len(d)) + d.ljust(64, b"\0") for d in each).ljust(8 * 66, b"\0")
    return made


def measurements(digests: Sequence[bytes] = MEASURED, index: int = AGENT_PCR) -> bytes:
    return bytes([index]) + b"".join(digests)


def pcrs(bank: str = "sha256", digests: Sequence[bytes] = MEASURED, events: Sequence[Event] = BOOT) -> dict[int, bytes]:
    """The quoted PCRs: those of the boot, and the agent's."""
    return dict(sorted({**booted(bank, events), AGENT_PCR: extended(bank, *digests)}.items()))


def tpm(
    kind: str = "p256",
    scheme: str = "",
    hashed: str = "sha256",
    *,
    values: Mapping[str, Mapping[int, bytes]] | None = None,
    digest: bytes | None = None,
    signer: PrivateKey | None = None,
    attributes: int = ATTRIBUTES,
    ak: bytes | None = None,
    folder: Mapping[str, bytes] | None = None,
    **quoted: int | bytes,
) -> Exhibit:
    """Valid evidence of a machine that booted and whose agent measured itself twice; or a fault.

    `digest` stands in for pcrDigest, `signer` signs in place of the key that is given as `ak`, and `quoted` are
    fields of TPMS_ATTEST.
    """
    private = key(kind)
    scheme = scheme or ("ecdsa" if kind.startswith("p") else "rsassa")
    found = values or {"sha256": pcrs()}
    flat = b"".join(each[index] for each in found.values() for index in sorted(each))
    computed = hashlib.new(hashed, flat).digest() if digest is None else digest
    message = attest({bank: sorted(each) for bank, each in found.items()}, computed, **quoted)  # type: ignore[arg-type]
    area = public_area(private, attributes=attributes, scheme=with_scheme(scheme, hashed))
    parts = {
        "quote": message,
        "sig": sign(signer or private, message, scheme, hashed),
        "pcrs": values_json(found),
        "ak": area if ak is None else ak,
        "eventlog": event_log(),
        "measurements": measurements(),
    }
    return Exhibit(
        appraiser=TpmAppraiser(Folder(folder or {})),
        parts=parts,
        now=NOW,
        nonce=NONCE,
        unsigned={"ak": ((range(2, 10), "nameAlg, attributes, authPolicy: enrolment knows them, by the key's name"),)},
    )


def _size(bank: str) -> int:
    return hashlib.new(bank).digest_size
