"""Reading CBOR of which only the one encoding is accepted (RFC 8949 §4.2.1)."""

import struct
from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from cbor2 import CBORTag

from protocol.cbor_encoding import ARRAY, BSTR, NINT, TSTR, CborValue, encode
from protocol.errors import MalformedError
from schemas.reason import Reason

MAX_MESSAGE: Final = 1 << 20
MAX_DEPTH: Final = 16
COSE_TAGS: Final = frozenset({16, 18, 96})
"""COSE_Encrypt0, COSE_Sign1, COSE_Encrypt (RFC 9052 §2)."""


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


_IMMEDIATE: Final[dict[int, CborValue]] = {
    **{argument: argument for argument in range(24)},
    **{NINT << 5 | argument: -1 - argument for argument in range(24)},
    0xF4: False,
    0xF5: True,
    0xF6: None,
}
"""Data items of one byte, by that byte."""

_ABSENT: Final = object()
_LONG_HEADS: Final = {
    24: (Struct(">B"), 24),
    25: (Struct(">H"), 1 << 8),
    26: (Struct(">I"), 1 << 16),
    27: (Struct(">Q"), 1 << 32),
}
"""By additional information: the argument that follows, and the least value that needs this many bytes."""

_FLOATS: Final = {0xF9: Struct(">e"), 0xFA: Struct(">f"), 0xFB: Struct(">d")}


def _item(data: bytes, at: int, depth: int, tags: frozenset[int]) -> tuple[Any, int]:
    """The item that starts at `at`, and where it ends."""
    initial = data[at]
    if initial < 24:
        return initial, at + 1
    major, argument = initial >> 5, initial & 31
    if argument == 24 and data[at + 1] >= 24 and BSTR <= major <= TSTR:
        # Digests, identifiers, keys and topics: most of what is ever read.
        return _READERS[major](data, at + 2, data[at + 1], depth, tags)
    value = _IMMEDIATE.get(initial, _ABSENT)
    if value is not _ABSENT:
        return value, at + 1
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
        if data[at] >= ARRAY << 5:
            raise MalformedError(f"CBOR map key at byte {at} is neither an integer nor a string")
        start = at
        key, at = (data[start], start + 1) if data[start] < 24 else _item(data, start, depth, tags)
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
    if encode(value) != data[at:end]:
        raise MalformedError(f"CBOR float at byte {at} is not the shortest form, or a NaN with a payload")
    return value, end
