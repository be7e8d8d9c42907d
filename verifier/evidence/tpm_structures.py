"""What a TPM 2.0 signs with and is known by: TPMS_ATTEST, TPMT_SIGNATURE (TPM 2.0 Library Part 2, big-endian).

Parsing trusts nothing. A TPMS_ATTEST is a TPM's word only under a key that signs nothing else (a restricted one).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from protocol.errors import Finding, MalformedError, UnsupportedError
from verifier.evidence.cursor import Cursor
from verifier.evidence.event_log import HASHES

MAX_STRUCTURE: Final = 4096
"""Bytes of a quote, a signature or a public area; a TPM makes none of 2,000."""

TPM_GENERATED_VALUE: Final = 0xFF544347
TPM_ST_ATTEST_QUOTE: Final = 0x8018

STRONG_HASHES: Final = frozenset({"sha256", "sha384", "sha512"})

_MAX_SELECTIONS: Final = 16
_MAX_SELECT: Final = 4
_MAX_NAME: Final = 66
_MAX_DIGEST: Final = 64


class Scheme(IntEnum):
    """TPM_ALG_ID of the signature schemes that are accepted (Part 2 §6.3)."""

    RSASSA = 0x0014
    RSAPSS = 0x0016
    ECDSA = 0x0018


@dataclass(frozen=True, slots=True)
class Selection:
    """TPMS_PCR_SELECTION: a bank and the indices of its selected PCRs, ascending."""

    bank: str
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """TPMS_ATTEST of type TPM_ST_ATTEST_QUOTE (Part 2 §10.12.12).

    The counters and the firmware version are blurred by the TPM where the key is of the owner or null hierarchy.
    """

    qualified_signer: bytes
    extra_data: bytes
    clock: int
    reset_count: int
    restart_count: int
    safe: bool
    firmware_version: int
    selections: tuple[Selection, ...]
    pcr_digest: bytes


@dataclass(frozen=True, slots=True)
class Signature:
    """TPMT_SIGNATURE: `value` is the RSA signature, or r and s as DER. `hash` is hashlib's name."""

    scheme: Scheme
    hash: str
    value: bytes


def quote_untrusted(data: bytes) -> Quote:
    """The TPMS_ATTEST in `data`. Raises `MalformedError`, and `UnsupportedError` for attestations of other things."""
    cursor = bounded(data, "quote")
    magic, kind = cursor.integer(4), cursor.integer(2)
    if magic != TPM_GENERATED_VALUE:
        raise MalformedError("not made by a TPM", finding=Finding("quote.magic", "ff544347", f"{magic:08x}"))
    if kind != TPM_ST_ATTEST_QUOTE:
        raise UnsupportedError("not a quote", finding=Finding("quote.type", "8018", f"{kind:04x}"))
    found = Quote(
        qualified_signer=_sized(cursor, _MAX_NAME, "quote.qualifiedSigner"),
        extra_data=_sized(cursor, _MAX_DIGEST + 2, "quote.extraData"),
        clock=cursor.integer(8),
        reset_count=cursor.integer(4),
        restart_count=cursor.integer(4),
        safe=_yes_no(cursor),
        firmware_version=cursor.integer(8),
        selections=_selections(cursor),
        pcr_digest=_sized(cursor, _MAX_DIGEST, "quote.pcrDigest"),
    )
    cursor.end()
    return found


def signature_untrusted(data: bytes) -> Signature:
    """The TPMT_SIGNATURE in `data`. Raises `MalformedError`, and `UnsupportedError` for SHA-1 and other schemes."""
    cursor = bounded(data, "sig")
    scheme = scheme_untrusted(cursor.integer(2), "sig.sigAlg")
    hashed = hash_untrusted(cursor.integer(2), "sig.hash")
    if scheme is Scheme.ECDSA:
        r, s = (int.from_bytes(_sized(cursor, _MAX_NAME, "sig.ecdsa"), "big") for _ in range(2))
        value = encode_dss_signature(r, s)
    else:
        value = _sized(cursor, MAX_STRUCTURE, "sig.rsa")
    cursor.end()
    return Signature(scheme, hashed, value)


def scheme_untrusted(algorithm: int, name: str) -> Scheme:
    """The scheme of this TPM_ALG_ID. Raises `UnsupportedError`."""
    try:
        return Scheme(algorithm)
    except ValueError:
        finding = Finding(name, "RSASSA, RSAPSS or ECDSA", f"{algorithm:#06x}")
        raise UnsupportedError("a signature scheme that is not accepted", finding=finding) from None


def hash_untrusted(algorithm: int, name: str) -> str:
    """The name of the hash of this TPM_ALG_ID. Raises `UnsupportedError` for SHA-1 and unknown ones."""
    found = HASHES.get(algorithm, f"{algorithm:#06x}")
    if found not in STRONG_HASHES:
        raise UnsupportedError("a hash that is not accepted", finding=Finding(name, "SHA-256 or stronger", found))
    return found


def bounded(data: bytes, name: str) -> Cursor:
    """A big-endian cursor over one structure. Raises `MalformedError` for more than `MAX_STRUCTURE` bytes."""
    if len(data) > MAX_STRUCTURE:
        finding = Finding(name, f"at most {MAX_STRUCTURE} bytes", str(len(data)))
        raise MalformedError(f"{name} is too large", finding=finding)
    return Cursor(data, name, "big")


def _sized(cursor: Cursor, limit: int, name: str) -> bytes:
    found = cursor.sized(2)
    if len(found) > limit:
        raise MalformedError(f"{name} is too large", finding=Finding(name, f"at most {limit} bytes", str(len(found))))
    return found


def _yes_no(cursor: Cursor) -> bool:
    found = cursor.integer(1)
    if found > 1:
        raise MalformedError("neither YES nor NO", finding=Finding("quote.clockInfo.safe", "0 or 1", str(found)))
    return found == 1


def _selections(cursor: Cursor) -> tuple[Selection, ...]:
    """TPML_PCR_SELECTION. A bank that is listed twice would make the order of the digest a matter of taste."""
    count = cursor.integer(4)
    if count > _MAX_SELECTIONS:
        finding = Finding("quote.pcrSelect", f"at most {_MAX_SELECTIONS} banks", str(count))
        raise MalformedError("a quote of too many banks", finding=finding)
    found = tuple(selection_untrusted(cursor.integer(2), cursor.sized(1), "quote.pcrSelect") for _ in range(count))
    if len({each.bank for each in found}) != count:
        finding = Finding("quote.pcrSelect", "each bank once", ", ".join(each.bank for each in found))
        raise MalformedError("a quote that lists a bank twice", finding=finding)
    if not any(each.indices for each in found):
        raise MalformedError("a quote of no PCR", finding=Finding("quote.pcrSelect", "at least one PCR", "none"))
    return found


def selection_untrusted(algorithm: int, bitmap: bytes, name: str) -> Selection:
    """The selection of one bank: bit i of byte j stands for PCR 8j + i. Raises `MalformedError`, `UnsupportedError`."""
    if len(bitmap) > _MAX_SELECT:
        finding = Finding(name, f"at most {_MAX_SELECT} bytes", str(len(bitmap)))
        raise MalformedError("a selection of too many PCRs", finding=finding)
    if algorithm not in HASHES:
        raise UnsupportedError("a PCR bank that is not read here", finding=Finding(name, "SHA", f"{algorithm:#06x}"))
    bits = int.from_bytes(bitmap, "little")
    return Selection(HASHES[algorithm], tuple(index for index in range(8 * len(bitmap)) if bits >> index & 1))
