"""VCEK and VLEK certificates: what AMD says of the key that signs reports (AMD 57230, VCEK Certificate and KDS).

    leaf (VCEK or VLEK, P-384) <- ASK or ASVK <- ARK, both RSA-4096 with RSASSA-PSS

Extensions are read here, and certificates put in order; signatures are for `verifier.evidence.certificates`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from protocol.errors import Finding, MalformedError
from schemas.reason import Reason
from verifier.evidence.certificates import UNREADABLE_EXTENSIONS, common_name
from verifier.evidence.examination import Examination
from verifier.evidence.snp_report import Product, SigningKey

_ARC: Final = "1.3.6.1.4.1.3704.1"
_PRODUCT_NAME: Final = f"{_ARC}.2"
_HWID: Final = f"{_ARC}.4"
_CSP_ID: Final = f"{_ARC}.5"

_PRODUCTS: Final = {**{each.value: each for each in Product}, "Siena": Product.GENOA, "Bergamo": Product.GENOA}
_CHIP_ID_SIZE: Final = 64
_HWID_SIZES: Final = {Product.MILAN: 64, Product.GENOA: 64, Product.TURIN: 8}

_LEVELS: Final = {
    Product.MILAN: (1, 2, 4, 5, 6, 7, 3, 8),
    Product.GENOA: (1, 2, 4, 5, 6, 7, 3, 8),
    Product.TURIN: (9, 1, 2, 3, 5, 6, 7, 8),
}
"""Which extension, 3.N, certifies each byte of TCB_VERSION: 1 boot loader, 2 TEE, 3 SNP, 8 microcode, 9 FMC."""

_OPTIONAL_LEVELS: Final = (4, 5, 6, 7)
"""Reserved parts of the TCB, zero where a certificate leaves them out."""

_OCTET_STRING: Final = 0x04
_INTEGER: Final = 0x02
_IA5_STRING: Final = 0x16


@dataclass(frozen=True, slots=True)
class Endorsed:
    """What a leaf certificate says; as good as its issuer. `chip_id` is of 64 bytes, None in a VLEK."""

    kind: SigningKey
    product: Product
    product_name: str
    tcb: bytes
    chip_id: bytes | None
    csp_id: str | None
    key: ec.EllipticCurvePublicKey


@lru_cache(maxsize=512)
def endorsed_untrusted(leaf: x509.Certificate, kind: SigningKey) -> Endorsed:
    """What `leaf` says of its key. Raises `MalformedError` for what AMD's key service would not issue as `kind`."""
    values = _extensions(leaf, kind)
    name = _text(values, _PRODUCT_NAME, kind)
    # "Milan-B0" in a VCEK names the stepping too, "Milan" in a VLEK does not.
    product = _PRODUCTS.get(name.partition("-")[0])
    if product is None:
        raise _malformed(kind, "product", " or ".join(_PRODUCTS), name)
    is_chip = kind is SigningKey.VCEK
    if (_HWID in values) != is_chip or (_CSP_ID in values) == is_chip:
        raise _malformed(kind, "extensions", "hwID" if is_chip else "CSP_ID", "another set")
    return Endorsed(
        kind=kind,
        product=product,
        product_name=name,
        tcb=bytes(_level(values, each, kind) for each in _LEVELS[product]),
        chip_id=_chip_id(values[_HWID], _HWID_SIZES[product], kind) if is_chip else None,
        csp_id=None if is_chip else _text(values, _CSP_ID, kind),
        key=_p384(leaf, kind),
    )


def path_untrusted(
    leaf: x509.Certificate,
    kind: SigningKey,
    product: Product,
    pool: Sequence[x509.Certificate],
    examination: Examination,
) -> tuple[x509.Certificate, ...]:
    """`leaf`, then its issuers from `pool` (in whatever order they stand there), by common name; none is verified.

    AMD certifies the three product lines and both kinds of keys under names of their own, so that a leaf of one is
    none of another. Raises `AuthenticationError` (unknown-signer) where an issuer is missing.
    """
    path = [leaf]
    for name in (f"SEV-{product}" if kind is SigningKey.VCEK else f"SEV-VLEK-{product}", f"ARK-{product}"):
        issuers = [each for each in pool if common_name(each) == name]
        found = "given" if issuers else "not given"
        message = "the certificate of an issuer is missing"
        examination.demand(bool(issuers), f"{kind}.{name}", "given", found, message, reason=Reason.UNKNOWN_SIGNER)
        path.append(issuers[0])
    return tuple(path)


def _extensions(leaf: x509.Certificate, kind: SigningKey) -> Mapping[str, bytes]:
    try:
        extensions = list(leaf.extensions)
    except UNREADABLE_EXTENSIONS:
        raise _malformed(kind, "extensions", "readable ones", "others") from None
    return {
        each.oid.dotted_string: each.value.value
        for each in extensions
        if isinstance(each.value, x509.UnrecognizedExtension)
    }


def _level(values: Mapping[str, bytes], number: int, kind: SigningKey) -> int:
    """An INTEGER of 0 to 255 in DER."""
    oid = f"{_ARC}.3.{number}"
    value = values.get(oid)
    if value is None and number in _OPTIONAL_LEVELS:
        return 0
    if value is not None and len(value) == 3 and value[:2] == bytes((_INTEGER, 1)) and value[2] < 0x80:
        return value[2]
    if value is not None and len(value) == 4 and value[:3] == bytes((_INTEGER, 2, 0)) and value[3] >= 0x80:
        return value[3]
    raise _malformed(kind, oid, "INTEGER of 0 to 255", "none" if value is None else value.hex()[:32])


def _text(values: Mapping[str, bytes], oid: str, kind: SigningKey) -> str:
    """An IA5String of up to 127 characters in DER."""
    value = values.get(oid, b"")
    if not (2 < len(value) < 0x82 and value[0] == _IA5_STRING and value[1] == len(value) - 2 and value.isascii()):
        raise _malformed(kind, oid, "IA5String", value.hex()[:32] or "none")
    return value[2:].decode("ascii")


def _chip_id(value: bytes, size: int, kind: SigningKey) -> bytes:
    # The specification has an OCTET STRING; the key service issues the bare bytes.
    if len(value) == size + 2 and value[:2] == bytes((_OCTET_STRING, size)):
        value = value[2:]
    if len(value) != size:
        raise _malformed(kind, "hwID", f"{size} bytes", f"{len(value)} bytes")
    return value.ljust(_CHIP_ID_SIZE, b"\0")


def _p384(leaf: x509.Certificate, kind: SigningKey) -> ec.EllipticCurvePublicKey:
    try:
        key = leaf.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise _malformed(kind, "key", "P-384", "another") from None
    if not (isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP384R1)):
        raise _malformed(kind, "key", "P-384", "another")
    return key


def _malformed(kind: SigningKey, claim: str, expected: str, found: str) -> MalformedError:
    return MalformedError(f"the {kind} is not AMD's", finding=Finding(f"{kind}.{claim}", expected, found))
