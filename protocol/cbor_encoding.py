"""The one encoding of a value: core deterministic CBOR (RFC 8949 §4.2.1)."""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from cbor2 import CBORTag, dumps

from protocol.errors import ProtocolMisuseError

CborValue: TypeAlias = (
    int | float | bytes | str | bool | Sequence["CborValue"] | Mapping[Any, "CborValue"] | CBORTag | None
)
"""What can be encoded. Decoding yields `list` for arrays and `dict` for maps; map keys are int, bytes or str."""

UINT, NINT, BSTR, TSTR, ARRAY, MAP, TAG = range(7)
"""The major types (RFC 8949 §3.1); 7 holds simple values and floats."""

_CANONICAL_NAN: Final = b"\xf9\x7e\x00"
_PLAIN: Final = frozenset({bytes, str, bool, int, type(None)})
"""What cbor2 writes as it is written here, but for integers beyond 64 bits."""

_LEAST: Final = -(1 << 64)
_MOST: Final = (1 << 64) - 1
_ONE_BYTE: Final = tuple(bytes((value,)) for value in range(256))


def encode(value: CborValue) -> bytes:
    """The deterministic encoding of `value`: shortest heads, shortest floats, map keys in bytewise order.

    Raises `ProtocolMisuseError` for anything that is not a `CborValue`, integers outside 64 bits and map keys
    that are not int, bytes or str. NaN becomes f97e00 whatever its payload.
    """
    writer = _WRITERS.get(type(value)) or _writer_of_subclass(value)
    return writer(value)


def encode_bstr(data: bytes) -> bytes:
    """The encoding of one byte string; what `encode` does, for hot paths that join parts themselves."""
    return _head(BSTR, len(data)) + data


def _head(major: int, argument: int) -> bytes:
    initial = major << 5
    if argument < 24:
        return _ONE_BYTE[initial | argument]
    if argument < 1 << 8:
        return bytes((initial | 24, argument))
    if argument < 1 << 16:
        return _ONE_BYTE[initial | 25] + argument.to_bytes(2, "big")
    if argument < 1 << 32:
        return _ONE_BYTE[initial | 26] + argument.to_bytes(4, "big")
    if argument < 1 << 64:
        return _ONE_BYTE[initial | 27] + argument.to_bytes(8, "big")
    raise ProtocolMisuseError("an integer or length beyond 64 bits has no CBOR head")


def _write_int(value: int) -> bytes:
    return _head(UINT, value) if value >= 0 else _head(NINT, -1 - value)


def _write_text(value: str) -> bytes:
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        raise ProtocolMisuseError("text with a lone surrogate has no UTF-8 encoding") from None
    return _head(TSTR, len(encoded)) + encoded


def _write_array(value: Sequence[CborValue]) -> bytes:
    kinds = set(map(type, value))
    if kinds <= _PLAIN:
        return _write_plain(value, int in kinds)
    return _head(ARRAY, len(value)) + b"".join([encode(item) for item in value])


def _write_plain(value: Sequence[CborValue], has_numbers: bool) -> bytes:
    """Flat arrays are what is hashed, authenticated and handed over most; cbor2 writes the same, and faster."""
    if has_numbers and any(type(item) is int and not _LEAST <= item <= _MOST for item in value):
        raise ProtocolMisuseError("an integer beyond 64 bits has no CBOR head")
    try:
        return dumps(value)
    except UnicodeEncodeError:
        raise ProtocolMisuseError("text with a lone surrogate has no UTF-8 encoding") from None


def _write_map(value: Mapping[Any, CborValue]) -> bytes:
    pairs = sorted([(_write_key(key), encode(item)) for key, item in value.items()])
    return _head(MAP, len(pairs)) + b"".join([key + item for key, item in pairs])


def _write_key(key: object) -> bytes:
    if isinstance(key, bool) or not isinstance(key, int | str | bytes):
        raise ProtocolMisuseError(f"a map key is a {type(key).__name__}, not an int, bytes or str")
    return encode(key)


def _write_float(value: float) -> bytes:
    if math.isnan(value):
        return _CANONICAL_NAN
    for initial, form in ((b"\xf9", ">e"), (b"\xfa", ">f")):
        try:
            packed = struct.pack(form, value)
        except OverflowError:
            continue
        if struct.unpack(form, packed)[0] == value:
            return initial + packed
    return b"\xfb" + struct.pack(">d", value)


def _write_tag(value: CBORTag) -> bytes:
    return _head(TAG, value.tag) + encode(value.value)


_WRITERS: Final[dict[type, Callable[[Any], bytes]]] = {
    int: _write_int,
    bytes: encode_bstr,
    str: _write_text,
    bool: lambda value: b"\xf5" if value else b"\xf4",
    type(None): lambda _: b"\xf6",
    list: _write_array,
    tuple: _write_array,
    dict: _write_map,
    float: _write_float,
    CBORTag: _write_tag,
}


def _writer_of_subclass(value: CborValue) -> Callable[[Any], bytes]:
    for kind in (int, str, bytes, float, tuple, list, dict):
        if isinstance(value, kind):
            return _WRITERS[kind]
    raise ProtocolMisuseError(f"a {type(value).__name__} has no CBOR encoding here")
