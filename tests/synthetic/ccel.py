"""A made-up event log of a trust domain: crypto-agile, SHA-384 alone, filled up with 0xFF."""

import hashlib
import struct
from collections.abc import Iterable

SHA384 = 0x000C
EV_NO_ACTION, EV_EFI_ACTION = 3, 0x80000007


def log(events: Iterable[tuple[int, bytes]], filler: bytes = b"\xff" * 64) -> bytes:
    """`events`: MR index, and the data whose digest is extended."""
    header = b"Spec ID Event03\0" + bytes(4) + b"\0\2\0\2" + struct.pack("<IHH", 1, SHA384, 48) + b"\0"
    first = struct.pack("<II20sI", 0, EV_NO_ACTION, bytes(20), len(header)) + header
    return first + b"".join(_event(index, data) for index, data in events) + filler


def registers(events: Iterable[tuple[int, bytes]]) -> dict[str, bytes]:
    """What the TDX module has after these, by name of a field."""
    found: dict[str, bytes] = {}
    for index, data in events:
        before = found.get(f"rtmr{index - 1}", bytes(48))
        found[f"rtmr{index - 1}"] = hashlib.sha384(before + hashlib.sha384(data).digest()).digest()
    return found


def _event(index: int, data: bytes) -> bytes:
    digest = hashlib.sha384(data).digest()
    return struct.pack("<IIIH", index, EV_EFI_ACTION, 1, SHA384) + digest + struct.pack("<I", len(data)) + data
