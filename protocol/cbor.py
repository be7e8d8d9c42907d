"""Deterministic CBOR (RFC 8949 §4.2.1), both ways and nothing else.

Why not `cbor2` alone: its strictest settings accept unsorted maps, non-minimal heads, trailing
bytes and automatic tags; array keys let an attacker choose colliding hashes; `canonical=True` sorts by length
first, which is RFC 7049 and not §4.2.1. Here a value has exactly one encoding, and only that one is accepted:
`encode(decode_untrusted(b)) == b` for every accepted b. Only `cbor2.CBORTag` is shared with that library.
"""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any, Final, TypeAlias

from cbor2 import CBORTag

from protocol.errors import MalformedError, ProtocolMisuseError
from schemas.reason import Reason

CborValue: TypeAlias = (
    int | float | bytes | str | bool | Sequence["CborValue"] | Mapping[Any, "CborValue"] | CBORTag | None
)
"""What can be encoded. Decoding yields `list` for arrays and `dict` for maps; map keys are int, bytes or str."""

MAX_MESSAGE: Final = 1 << 20
MAX_DEPTH: Final = 16
COSE_TAGS: Final = frozenset({16, 18, 96})
"""COSE_Encrypt0, COSE_Sign1, COSE_Encrypt (RFC 9052 §2)."""

_U8, _U16, _U32, _U64 = Struct(">B"), Struct(">H"), Struct(">I"), Struct(">Q")
_F16, _F32, _F64 = Struct(">e"), Struct(">f"), Struct(">d")
_UINT, _NINT, _BSTR, _TSTR, _ARRAY, _MAP, _TAG = range(7)
_CANONICAL_NAN: Final = b"\xf9\x7e\x00"
_ONE_BYTE: Final = tuple(_U8.pack(value) for value in range(256))


def encode(value: CborValue) -> bytes:
    """The deterministic encoding of `value`: shortest heads, shortest floats, map keys in bytewise order.

    Raises `ProtocolMisuseError` for anything that is not a `CborValue`, integers outside 64 bits and map keys
    that are not int, bytes or str. NaN becomes f97e00 whatever its payload.
    """
    writer = _WRITERS.get(type(value)) or _writer_of_subclass(value)
    return writer(value)


def encode_bstr(data: bytes) -> bytes:
    """The encoding of one byte string; what `encode` does, for hot paths that join parts themselves."""
    return _head(_BSTR, len(data)) + data


def decode_untrusted(
    data: bytes, *, max_bytes: int = MAX_MESSAGE, max_depth: int = MAX_DEPTH, tags: frozenset[int] = COSE_TAGS
) -> CborValue:
    """Decode one data item that takes up all of `data`, if its encoding is the deterministic one.

    Refuses whatever §4.2.1 rules out, and besides: more than `max_bytes`, more than `max_depth` nested arrays,
    maps and tags, tags outside `tags`, map keys other than int, bytes and str, simple values other than false,
    true and null, NaN other than f97e00. Time and memory are linear in `len(data)`.

    Raises `MalformedError`, with reason `oversized` for the size. Nothing is trusted after the call but the form.
    """
    if len(data) > max_bytes:
        raise MalformedError(f"{len(data)} bytes where {max_bytes} are allowed", reason=Reason.OVERSIZED)
    try:
        item, end = _item(data, 0, max_depth, tags)
    except (IndexError, struct.error):
        raise MalformedError("CBOR ends too early") from None
    except UnicodeDecodeError:
        raise MalformedError("CBOR text is not UTF-8") from None
    if end != len(data):
        raise MalformedError(f"{len(data) - end} bytes follow the CBOR item")
    value: CborValue = item
    return value


def _head(major: int, argument: int) -> bytes:
    initial = major << 5
    if argument < 24:
        return _ONE_BYTE[initial | argument]
    if argument < 1 << 8:
        return bytes((initial | 24, argument))
    if argument < 1 << 16:
        return _ONE_BYTE[initial | 25] + _U16.pack(argument)
    if argument < 1 << 32:
        return _ONE_BYTE[initial | 26] + _U32.pack(argument)
    if argument < 1 << 64:
        return _ONE_BYTE[initial | 27] + _U64.pack(argument)
    raise ProtocolMisuseError("an integer or length beyond 64 bits has no CBOR head")


def _write_int(value: int) -> bytes:
    return _head(_UINT, value) if value >= 0 else _head(_NINT, -1 - value)


def _write_text(value: str) -> bytes:
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        raise ProtocolMisuseError("text with a lone surrogate has no UTF-8 encoding") from None
    return _head(_TSTR, len(encoded)) + encoded


def _write_array(value: Sequence[CborValue]) -> bytes:
    return _head(_ARRAY, len(value)) + b"".join([encode(item) for item in value])


def _write_map(value: Mapping[Any, CborValue]) -> bytes:
    pairs = sorted([(_write_key(key), encode(item)) for key, item in value.items()])
    return _head(_MAP, len(pairs)) + b"".join([key + item for key, item in pairs])


def _write_key(key: object) -> bytes:
    if isinstance(key, bool) or not isinstance(key, int | str | bytes):
        raise ProtocolMisuseError(f"a map key is a {type(key).__name__}, not an int, bytes or str")
    return encode(key)


def _write_float(value: float) -> bytes:
    if math.isnan(value):
        return _CANONICAL_NAN
    for initial, form in ((b"\xf9", _F16), (b"\xfa", _F32)):
        try:
            packed = form.pack(value)
        except OverflowError:
            continue
        if form.unpack(packed)[0] == value:
            return initial + packed
    return b"\xfb" + _F64.pack(value)


def _write_tag(value: CBORTag) -> bytes:
    return _head(_TAG, value.tag) + encode(value.value)


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


_IMMEDIATE: Final[dict[int, CborValue]] = {
    **{argument: argument for argument in range(24)},
    **{_NINT << 5 | argument: -1 - argument for argument in range(24)},
    0xF4: False,
    0xF5: True,
    0xF6: None,
}
"""Data items of one byte, by that byte."""

_ABSENT: Final = object()
_LONG_HEADS: Final = {24: (_U8, 24), 25: (_U16, 1 << 8), 26: (_U32, 1 << 16), 27: (_U64, 1 << 32)}
_FLOATS: Final = {0xF9: _F16, 0xFA: _F32, 0xFB: _F64}


def _item(data: bytes, at: int, depth: int, tags: frozenset[int]) -> tuple[Any, int]:
    """The item that starts at `at`, and where it ends."""
    initial = data[at]
    value = _IMMEDIATE.get(initial, _ABSENT)
    if value is not _ABSENT:
        return value, at + 1
    major, argument = initial >> 5, initial & 31
    if major == 7:
        return _float(data, at)
    at += 1
    if argument >= 24:
        argument, at = _long_argument(data, at, argument)
    return _READERS[major](data, at, argument, depth, tags)


def _long_argument(data: bytes, at: int, form: int) -> tuple[int, int]:
    """Refuses non-minimal arguments, reserved forms and indefinite lengths (RFC 8949 §3, §4.2.1)."""
    if form not in _LONG_HEADS:
        raise MalformedError(f"CBOR has an indefinite length or a reserved head at byte {at - 1}")
    width, least = _LONG_HEADS[form]
    argument: int = width.unpack_from(data, at)[0]
    if argument < least:
        raise MalformedError(f"CBOR head at byte {at - 1} is longer than needed")
    return argument, at + width.size


def _bytes(data: bytes, at: int, length: int, _depth: int, _tags: frozenset[int]) -> tuple[bytes, int]:
    end = at + length
    content = data[at:end]
    if len(content) != length:
        raise MalformedError("CBOR ends too early")
    return content, end


def _text(data: bytes, at: int, length: int, depth: int, tags: frozenset[int]) -> tuple[str, int]:
    content, end = _bytes(data, at, length, depth, tags)
    return content.decode(), end


def _array(data: bytes, at: int, count: int, depth: int, tags: frozenset[int]) -> tuple[list[Any], int]:
    depth = _deeper(depth)
    items: list[Any] = []
    for _ in range(count):
        item, at = _item(data, at, depth, tags)
        items.append(item)
    return items, at


def _map(data: bytes, at: int, count: int, depth: int, tags: frozenset[int]) -> tuple[dict[Any, Any], int]:
    """Strictly rising keys are sorted keys without a duplicate.

    Only 64-bit integers and strings (whose hashes are keyed) become keys: nobody can choose many that collide.
    """
    depth = _deeper(depth)
    pairs: dict[Any, Any] = {}
    previous = b""
    for _ in range(count):
        if data[at] >= _ARRAY << 5:
            raise MalformedError(f"CBOR map key at byte {at} is neither an integer nor a string")
        start = at
        key, at = _item(data, start, depth, tags)
        encoded = data[start:at]
        if encoded <= previous:
            raise MalformedError(f"CBOR map key at byte {start} is out of order or repeated")
        previous = encoded
        pairs[key], at = _item(data, at, depth, tags)
    return pairs, at


def _tag(data: bytes, at: int, number: int, depth: int, tags: frozenset[int]) -> tuple[CBORTag, int]:
    if number not in tags:
        raise MalformedError(f"CBOR tag {number} is not accepted here")
    content, at = _item(data, at, _deeper(depth), tags)
    return CBORTag(number, content), at


def _deeper(depth: int) -> int:
    if depth <= 0:
        raise MalformedError("CBOR is nested too deeply")
    return depth - 1


_READERS: Final[tuple[Callable[[bytes, int, int, int, frozenset[int]], tuple[Any, int]], ...]] = (
    lambda _data, at, argument, _depth, _tags: (argument, at),
    lambda _data, at, argument, _depth, _tags: (-1 - argument, at),
    _bytes,
    _text,
    _array,
    _map,
    _tag,
)
"""By major type 0 to 6."""


def _float(data: bytes, at: int) -> tuple[float, int]:
    form = _FLOATS.get(data[at])
    if form is None:
        raise MalformedError(f"CBOR simple value or break at byte {at} is not accepted here")
    end = at + 1 + form.size
    value: float = form.unpack_from(data, at + 1)[0]
    if _write_float(value) != data[at:end]:
        raise MalformedError(f"CBOR float at byte {at} is not the shortest form, or a NaN with a payload")
    return value, end
