"""Entries of CoRIM's maps: looked up by integer key, checked for their type, named in refusals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, TypeGuard

from protocol.cbor import CBORTag
from protocol.errors import Finding, MalformedError
from schemas.base import MAX_TIME

_MAX_IDENTIFIER: Final = 128

_TIME_TAG, _UUID_TAG, _OID_TAG = 1, 37, 111

_BITS: Final[Mapping[int | str, int]] = {
    1: 256,
    7: 384,
    8: 512,
    10: 256,
    11: 384,
    12: 512,
    "sha-256": 256,
    "sha-384": 384,
    "sha-512": 512,
    "sha3-256": 256,
    "sha3-384": 384,
    "sha3-512": 512,
}
"""Hash algorithms of the Named Information registry (RFC 6920 §9.4), whole; truncated ones name nothing here."""


@dataclass(frozen=True, slots=True)
class Window:
    """Seconds since 1970; None is open. `&` is the time that two windows share."""

    not_before: int | None = None
    not_after: int | None = None

    def __and__(self, other: Self) -> "Window":
        starts = [each for each in (self.not_before, other.not_before) if each is not None]
        ends = [each for each in (self.not_after, other.not_after) if each is not None]
        return Window(max(starts, default=None), min(ends, default=None))


def map_untrusted(value: Any, name: str) -> dict[Any, Any]:
    """A map, not empty. Raises `MalformedError`."""
    if not isinstance(value, dict) or not value:
        raise MalformedError(f"{name} is not a map", finding=Finding(name, "a map", type(value).__name__))
    return value


def sequence_untrusted(value: Any, name: str, least: int = 1) -> list[Any]:
    """An array of at least `least` items. Raises `MalformedError`."""
    if not isinstance(value, list) or len(value) < least:
        raise MalformedError(f"{name} is not an array", finding=Finding(name, f"{least} items", type(value).__name__))
    return value


def entry(content: Mapping[Any, Any], key: int, name: str) -> Any:
    """An entry that must be there. Raises `MalformedError`."""
    if content.get(key) is None:
        raise MalformedError(f"{name} is missing", finding=Finding(name, f"entry {key}", "none"))
    return content[key]


def identifier(value: Any) -> str:
    """A text or number, or bytes, an UUID or an OID in hex: at most 128 characters. Raises `MalformedError`."""
    value = value.value if isinstance(value, CBORTag) and value.tag in {_UUID_TAG, _OID_TAG} else value
    value = value.hex() if isinstance(value, bytes) else value
    if not isinstance(value, str | int) or isinstance(value, bool):
        finding = Finding("corim", "text, number or bytes", type(value).__name__)
        raise MalformedError("an identifier is neither text nor bytes", finding=finding)
    if len(str(value)) > _MAX_IDENTIFIER:
        finding = Finding("corim", f"at most {_MAX_IDENTIFIER} characters", str(len(str(value))))
        raise MalformedError("an identifier is too long", finding=finding)
    return str(value)


def window_untrusted(value: Any, name: str) -> Window:
    """A validity-map, None for one that is not there. Raises `MalformedError`."""
    if value is None:
        return Window()
    content = map_untrusted(value, name)
    return Window(_time(content.get(0), name), _time(content.get(1), name))


def _time(value: Any, name: str) -> int | None:
    value = value.value if isinstance(value, CBORTag) and value.tag == _TIME_TAG else value
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_TIME:
        raise MalformedError(f"{name} is not a time", finding=Finding(name, "seconds", str(value)[:32]))
    return int(value)


def _is_name(value: object) -> TypeGuard[int | str]:
    return isinstance(value, int | str) and not isinstance(value, bool)


def digests_untrusted(value: Any, name: str) -> tuple[bytes, ...]:
    """Those of the digests that are of a known algorithm. Raises `MalformedError`, also for one of a wrong length."""
    found = []
    for each in sequence_untrusted(value, name):
        pair = sequence_untrusted(each, name, 2)
        algorithm, digest = pair[0], pair[1]
        if len(pair) != 2 or not isinstance(digest, bytes) or not _is_name(algorithm):
            raise MalformedError(f"{name} is not algorithm and digest")
        bits = _BITS.get(algorithm)
        if bits is not None and len(digest) * 8 != bits:
            finding = Finding(name, f"{bits // 8} bytes", str(len(digest)))
            raise MalformedError(f"{name}: a digest of another length than its algorithm's", finding=finding)
        if bits is not None:
            found.append(digest)
    return tuple(dict.fromkeys(found))
