"""Mutations that know the encoding: another value in one field of a CBOR item, at any depth, and all else in order.

Byte strings that are CBOR themselves are opened, too: headers, payloads, claims, credentials. Inside a seal this is
a malicious but authentic peer; outside of one, a stranger who knows the grammar.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from protocol.cbor import CBORTag, decode_untrusted, encode
from protocol.errors import RemoteError

EDGES: Final = (0, 1, -1, 2, 23, 24, 96, 255, 256, 2**31, 2**40, 2**40 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**64))
SIZES: Final = (0, 1, 11, 12, 15, 16, 17, 31, 32, 33, 64, 65, 300)
TEXTS: Final = (
    "",
    "a",
    "a/b/+",
    "#",
    "$SYS/x",
    "A",
    "a" * 40,
    "clinic",
    "scan",
    "agent-1",
    "\0",
    "simulated",
    "é" * 300,
)
OTHERS: Final = (None, True, False, 0.5, float("inf"), [], {}, [[[[[]]]]], {0: {0: {}}})

Bytewise = Callable[[bytes, int], bytes]
"""The fuzzer's own mutation: data, and the most bytes that may come of it."""


def mutated(data: bytes, most: int, seed: int, bytewise: Bytewise, head: int = 0) -> bytes:
    """A neighbour of an input, at most `most` bytes. The first `head` bytes say where it is put, and are none of it."""
    random = Random(seed)
    if random.random() < 0.4:
        return bytewise(data, most)
    try:
        found = data[:head] + encode(bent(decode_untrusted(data[head:]), random))
    except (RemoteError, ValueError, OverflowError):
        return bytewise(data, most)
    return found if len(found) <= most else bytewise(data, most)


def bent(value: Any, random: Random) -> Any:
    """The same value but for one place in it."""
    if random.random() < 0.1:
        return _other(random)
    if isinstance(value, dict) and value:
        return _bent_map(value, random)
    if isinstance(value, list) and value:
        return _bent_array(value, random)
    if isinstance(value, CBORTag):
        return CBORTag(value.tag, bent(value.value, random))
    if isinstance(value, bytes) and value:
        return _bent_bytes(value, random)
    if isinstance(value, int) and not isinstance(value, bool) and random.random() < 0.5:
        return _in_range(value + random.choice((-1, 1, -256, 256)))
    return _other(random)


def _bent_map(value: dict[Any, Any], random: Random) -> dict[Any, Any]:
    """A field another, a field less, or a field more."""
    key = random.choice(list(value))
    kind = random.random()
    if kind < 0.8:
        return {**value, key: bent(value[key], random)}
    if kind < 0.9:
        return {name: each for name, each in value.items() if name != key}
    return {**value, random.choice((99, -70099, "x", b"x")): _other(random)}


def _bent_array(value: list[Any], random: Random) -> list[Any]:
    """An item another, an item less, or one that stands there twice."""
    place = random.randrange(len(value))
    kind = random.random()
    if kind < 0.8:
        return [*value[:place], bent(value[place], random), *value[place + 1 :]]
    return [*value[:place], *value[place + 1 :]] if kind < 0.9 else [*value[: place + 1], *value[place:]]


def _bent_bytes(value: bytes, random: Random) -> bytes:
    """What stands inside, where it is CBOR; or a bit, a byte more, a byte less."""
    try:
        inside = decode_untrusted(value)
    except RemoteError:
        inside = None
    if isinstance(inside, dict | list | CBORTag) and random.random() < 0.9:
        return encode(bent(inside, random))
    place = random.randrange(len(value))
    flipped = value[:place] + bytes([value[place] ^ 1 << random.randrange(8)]) + value[place + 1 :]
    ways: Sequence[bytes] = (flipped, value[:place], value + b"\0", random.randbytes(len(value)))
    return random.choice(ways)


def _other(random: Random) -> Any:
    """A value of any type: at an edge, or of a size."""
    return random.choice(
        (
            random.choice(EDGES),
            bytes(random.choice(SIZES)),
            random.choice(TEXTS),
            random.choice(OTHERS),
            random.getrandbits(random.randrange(1, 64)),
        )
    )


def _in_range(value: int) -> int:
    return max(-(2**64), min(2**64 - 1, value))
