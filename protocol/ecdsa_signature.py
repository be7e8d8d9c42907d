"""ECDSA signatures over P-256 in their two forms: as COSE carries them, and as the cryptographic library does.

    r || s, 32 bytes each (RFC 9053 §2.1)  <->  Ecdsa-Sig-Value, a DER sequence of two integers (RFC 3279 §2.2.3)

Both are short enough that every length is one byte. The library has functions for this, too, and takes longer: see
docs/adr/0029-turns-and-batches.md.
"""

from typing import Final

COORDINATE_BYTES: Final = 32
SIGNATURE_BYTES: Final = 2 * COORDINATE_BYTES

_SEQUENCE, _INTEGER = 0x30, 0x02


def to_der(signature: bytes) -> bytes:
    """The DER of 64 bytes r || s. Whether r and s are in range is for whoever verifies."""
    body = _der_integer(signature[:COORDINATE_BYTES]) + _der_integer(signature[COORDINATE_BYTES:])
    return bytes((_SEQUENCE, len(body))) + body


def from_der(der: bytes) -> bytes:
    """r || s of a signature that the library made. Raises `OverflowError` for integers that P-256 does not have."""
    end = 4 + der[3]
    return _coordinate(der[4:end]) + _coordinate(der[end + 2 :])


def _der_integer(half: bytes) -> bytes:
    """Shortest form: no leading zero, but for a number whose first bit would say that it is negative."""
    number = half.lstrip(b"\0")
    if not number or number[0] & 0x80:
        number = b"\0" + number
    return bytes((_INTEGER, len(number))) + number


def _coordinate(number: bytes) -> bytes:
    return int.from_bytes(number, "big").to_bytes(COORDINATE_BYTES, "big")
