"""Random damage to bytes, from a seed: what a fuzzer without a corpus would try."""

import random
from dataclasses import dataclass

INTERESTING = (0x00, 0x01, 0x7F, 0x80, 0xFF)


@dataclass(frozen=True)
class Mutation:
    """The damaged bytes, and which offsets of the original differ; `resized` where the length does."""

    data: bytes
    touched: frozenset[int]
    resized: bool
    how: str


def mutate(data: bytes, rng: random.Random) -> Mutation:
    """Damage that always changes something."""
    while True:
        how = rng.choice(tuple(_WAYS))
        changed = _WAYS[how](data, rng)
        if changed != data:
            return Mutation(changed, _touched(data, changed), len(changed) != len(data), how)


def _touched(data: bytes, changed: bytes) -> frozenset[int]:
    return frozenset(at for at, (a, b) in enumerate(zip(data, changed, strict=False)) if a != b)


def _bit(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _byte(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    value = rng.choice(INTERESTING) if rng.random() < 0.5 else rng.randrange(256)
    return data[:at] + bytes([value]) + data[at + 1 :]


def _several(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randrange(2, 9)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _zeros(data: bytes, rng: random.Random) -> bytes:
    at, length = rng.randrange(len(data)), rng.randrange(1, 65)
    return data[:at] + bytes(len(data[at : at + length])) + data[at + length :]


def _swapped(data: bytes, rng: random.Random) -> bytes:
    length = rng.randrange(1, 1 + min(64, len(data) // 2))
    first = rng.randrange(len(data) - 2 * length + 1)
    second = rng.randrange(first + length, len(data) - length + 1)
    one, other = data[first : first + length], data[second : second + length]
    return data[:first] + other + data[first + length : second] + one + data[second + length :]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _longer(data: bytes, rng: random.Random) -> bytes:
    return data + rng.randbytes(rng.randrange(1, 33))


def _inserted(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[at:]


def _removed(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randrange(1, 9) :]


_WAYS = {
    "bit": _bit,
    "byte": _byte,
    "several": _several,
    "zeros": _zeros,
    "swapped": _swapped,
    "cut": _cut,
    "longer": _longer,
    "inserted": _inserted,
    "removed": _removed,
}
