"""JSON that carries binary: objects without a key twice, and bytes in hex or either base64 (RFC 4648 §4, §5)."""

import base64
import binascii
import json
from typing import Final, NoReturn

from protocol.errors import Finding, MalformedError
from schemas.reason import Reason

MAX_DOCUMENT: Final = 262_144

_TO_STANDARD: Final = str.maketrans("-_", "+/")


def json_object_untrusted(data: bytes, name: str) -> dict[str, object]:
    """The JSON object in `data`. Raises `MalformedError` that names `name`.

    Also for a key that stands twice, and for half a surrogate pair (RFC 8259 §8.2): no UTF-8 holds it, so that a
    finding that quotes it, or a claim, could not be sent, stored or printed.
    """
    if len(data) > MAX_DOCUMENT:
        finding = Finding(name, f"at most {MAX_DOCUMENT} bytes", str(len(data)))
        raise MalformedError(f"{name} is too large", reason=Reason.OVERSIZED, finding=finding)
    try:
        found = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_refuse)
        if b"\\u" in data:
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise MalformedError(f"{name} is not JSON", finding=Finding(name, "JSON", f"{len(data)} bytes")) from None
    return object_untrusted(found, name)


def object_untrusted(value: object, name: str) -> dict[str, object]:
    """`value`, if it is a JSON object. Raises `MalformedError`."""
    if not isinstance(value, dict):
        raise MalformedError(f"{name} is not an object", finding=Finding(name, "an object", type(value).__name__))
    return value


def list_untrusted(value: object, name: str, limit: int) -> list[object]:
    """`value`, if it is a list of at most `limit` items. Raises `MalformedError`."""
    if not isinstance(value, list) or len(value) > limit:
        finding = Finding(name, f"a list of at most {limit}", type(value).__name__)
        raise MalformedError(f"{name} is not a list, or too long", finding=finding)
    return value


def hex_untrusted(value: object, name: str) -> bytes:
    """The bytes of a hexadecimal string. Raises `MalformedError`."""
    try:
        # bytes.fromhex skips blanks, which would give one value many forms.
        if isinstance(value, str) and value.isalnum():
            return bytes.fromhex(value)
    except ValueError:
        pass
    raise MalformedError(f"{name} is not hexadecimal", finding=Finding(name, "hexadecimal", type(value).__name__))


def base64_untrusted(value: object, name: str) -> bytes:
    """The bytes of a base64 string, of either alphabet, padded or not. Raises `MalformedError`."""
    if isinstance(value, str):
        text = value.rstrip("=").translate(_TO_STANDARD)
        try:
            found = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            found = b""
        # The last character may hold bits of no byte; they are zero in the one right form.
        if base64.b64encode(found).decode().rstrip("=") == text:
            return found
    raise MalformedError(f"{name} is not base64", finding=Finding(name, "base64", type(value).__name__))


def octets_untrusted(value: object, name: str, limit: int) -> bytes:
    """The bytes of a list of integers, as Rust's serde writes them. Raises `MalformedError`."""
    items = list_untrusted(value, name, limit)
    try:
        return bytes(item if isinstance(item, int) and not isinstance(item, bool) else -1 for item in items)
    except ValueError:
        raise MalformedError(f"{name} is not bytes", finding=Finding(name, "integers to 255", "others")) from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")
