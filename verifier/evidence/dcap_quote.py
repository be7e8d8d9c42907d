"""The layout of Intel's ECDSA quotes: version 3 (SGX), 4 (SGX, TDX 1.0) and 5 (SGX, TDX 1.0, 1.5).

    header │ v5: body type, size │ body │ size │ signature data │ zeros

Integers are little-endian, ECDSA values big-endian (Intel SGX DCAP and TDX DCAP Quoting Library API, appendix A).
The attestation key signs header and body. The signature data hold that key, and the report by which the quoting
enclave (QE) vouches for it, under the platform's PCK certificate. What may follow the signature data is zeros.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from protocol.errors import Finding, MalformedError, UnsupportedError
from schemas.reason import Reason
from verifier.evidence.cursor import Cursor
from verifier.evidence.dcap_body import REPORT_SIZE, SIZES, Body, BodyType

MAX_QUOTE: Final = 65_536
"""Bytes; quotes with an embedded chain take some 5,000, and some producers hand over a buffer of 8,000."""

ECDSA_P256: Final = 2
"""The only type of attestation key that is accepted: not 3 (P-384), not ML-DSA."""

INTEL_QE: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
"""QE vendor id."""

SIGNATURE_SIZE: Final = 64

QE_REPORT_CERTIFICATION: Final = 6
PCK_CHAIN: Final = 5
PCK_LEAF: Final = 4
PLAIN_PPID: Final = 1
"""Types of certification data (table A.9)."""


class Tee(IntEnum):
    """TEE type of a quote's header."""

    SGX = 0x00
    TDX = 0x81


@dataclass(frozen=True)
class Quote:
    """A quote in its parts. `signed` is what the attestation key signs, `content` all but the filler after it."""

    version: int
    tee: Tee
    user_data: bytes
    body: Body
    signed: bytes
    signature: bytes
    attestation_key: bytes
    qe_report: Body
    qe_signature: bytes
    qe_authentication: bytes
    certification_type: int
    certification: bytes
    content: bytes


def parse_quote_untrusted(data: bytes) -> Quote:
    """The parts of a quote. Well formed after the call, nothing more.

    Raises `MalformedError`, and `UnsupportedError` for other versions, keys and quoting enclaves.
    """
    if len(data) > MAX_QUOTE:
        finding = Finding("quote", f"at most {MAX_QUOTE} bytes", str(len(data)))
        raise MalformedError("the quote is too large", reason=Reason.OVERSIZED, finding=finding)
    cursor = Cursor(data, "quote", "little")
    version, tee, user_data = _header_untrusted(cursor)
    body = _body_untrusted(cursor, version, tee)
    signed = data[: cursor.at]
    signature_data = Cursor(cursor.sized(4), "quote.signature-data", "little")
    if any(cursor.rest):
        finding = Finding("quote", "nothing but zeros after the signature data", f"{len(cursor.rest)} bytes")
        raise MalformedError("the quote has trailing bytes", finding=finding)
    return _quote_untrusted(signature_data, version, tee, user_data, body, signed, data[: cursor.at])


def _header_untrusted(cursor: Cursor) -> tuple[int, Tee, bytes]:
    version, key_type, tee = cursor.integer(2), cursor.integer(2), cursor.integer(4)
    cursor.take(4)  # v3: SVNs of QE and PCE, which their reports repeat; else reserved
    vendor, user_data = cursor.take(16), cursor.take(20)
    _support(version in (3, 4, 5), "quote.version", "3, 4 or 5", version)
    _support(key_type == ECDSA_P256, "quote.attestation-key-type", f"{ECDSA_P256}, ECDSA P-256", key_type)
    _support(tee in tuple(Tee), "quote.tee-type", "0 (SGX) or 129 (TDX)", tee)
    _support(vendor == INTEL_QE, "quote.qe-vendor-id", INTEL_QE.hex(), vendor.hex())
    return version, Tee(tee), user_data


def _body_untrusted(cursor: Cursor, version: int, tee: Tee) -> Body:
    if version < 5:
        kind = BodyType.SGX if tee == Tee.SGX else BodyType.TDX_1_0
        _agree(version > 3 or tee == Tee.SGX, "quote.tee-type", "SGX, in a quote of version 3", tee.name)
        return Body(kind, cursor.take(SIZES[kind]))
    number, size = cursor.integer(2), cursor.integer(4)
    _support(number in tuple(BodyType), "quote.body-type", "1 to 4", number)
    kind = BodyType(number)
    _agree((kind == BodyType.SGX) == (tee == Tee.SGX), "quote.body-type", f"one of {tee.name}", kind.name)
    _agree(size == SIZES[kind], "quote.body-size", SIZES[kind], size)
    return Body(kind, cursor.take(size))


def _quote_untrusted(
    cursor: Cursor, version: int, tee: Tee, user_data: bytes, body: Body, signed: bytes, content: bytes
) -> Quote:
    """Signature data (A.4): from version 4 on, the QE's part of them is wrapped as certification data of type 6."""
    signature, attestation_key = cursor.take(SIGNATURE_SIZE), cursor.take(SIGNATURE_SIZE)
    if version > 3:
        outer = cursor.integer(2)
        _support(outer == QE_REPORT_CERTIFICATION, "quote.certification-data", f"type {QE_REPORT_CERTIFICATION}", outer)
        wrapped = cursor.sized(4)
        cursor.end()
        cursor = Cursor(wrapped, "quote.qe-certification", "little")
    qe_report, qe_signature = Body(BodyType.SGX, cursor.take(REPORT_SIZE)), cursor.take(SIGNATURE_SIZE)
    qe_authentication, kind = cursor.sized(2), cursor.integer(2)
    _support(PLAIN_PPID <= kind <= PCK_CHAIN, "quote.certification-data", "type 1 to 5", kind)
    certification = cursor.sized(4)
    cursor.end()
    return Quote(
        version=version,
        tee=tee,
        user_data=user_data,
        body=body,
        signed=signed,
        signature=signature,
        attestation_key=attestation_key,
        qe_report=qe_report,
        qe_signature=qe_signature,
        qe_authentication=qe_authentication,
        certification_type=kind,
        certification=certification,
        content=content,
    )


def _support(holds: bool, claim: str, expected: str, found: object) -> None:
    if not holds:
        finding = Finding(claim, expected, str(found))
        raise UnsupportedError("a quote of a kind that is not accepted", finding=finding)


def _agree(holds: bool, claim: str, expected: object, found: object) -> None:
    if not holds:
        raise MalformedError("the quote contradicts itself", finding=Finding(claim, str(expected), str(found)))
