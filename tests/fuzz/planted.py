"""Faults on purpose, one a target: a fuzzer that never found anything proves nothing.

Each is what it is looked for to prevent, behind bytes that no seed has: an error that is no RemoteError, a loop in
Python and one in C, memory, and a fault behind a good seal's plaintext. `found` is the word under which it must come.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import repeat

from protocol.cbor import decode_untrusted
from protocol.errors import MalformedError, RemoteError
from tests.fuzz.bounds import bounded
from tests.fuzz.targets import Target

_held: list[bytes] = []


@dataclass(frozen=True)
class Planted:
    """A target with a fault, and the word that must be said of it."""

    target: Target
    found: str


def planted() -> dict[str, Planted]:
    """All of them by name."""
    faults: dict[str, tuple[Callable[[bytes], None], str]] = {
        "raises": (_raises, "KeyError"),
        "loops": (_loops, "TookTooLongError"),
        "loops-in-c": (_loops_in_c, "timeout"),
        "takes-memory": (_takes_memory, "TookTooMuchError"),
        "takes-all-memory": (_takes_all_memory, "MemoryError"),
        "believes-a-field": (_believes_a_field, "TypeError"),
    }
    return {f"planted:{name}": Planted(_target(run), found) for name, (run, found) in faults.items()}


def _target(run: Callable[[bytes], None]) -> Target:
    def checked(data: bytes) -> None:
        with bounded(), suppress(RemoteError):
            run(data)

    return Target(lambda: [HONEST], checked)


HONEST = b"\xa2\x01\x63one\x02\x82\x05\x06"
"""{1: "one", 2: [5, 6]}"""


def _opened(data: bytes, mark: int) -> None:
    """One byte after the other, as a parser looks at them: the fuzzer sees how far it came."""
    if len(data) < 3 or data[0] != 0x5E:
        raise MalformedError("not the first byte")
    if data[1] != 0xA1:
        raise MalformedError("not the second byte")
    if data[2] != mark:
        raise MalformedError("not the third byte")


def _raises(data: bytes) -> None:
    _opened(data, 0xED)
    raise KeyError(data[2])


def _loops(data: bytes) -> None:
    _opened(data, 0xEE)
    while data:
        pass


def _loops_in_c(data: bytes) -> None:
    """No handler of Python's runs inside a call of C: an iteration without end."""
    _opened(data, 0xEF)
    all(repeat(True))


def _takes_memory(data: bytes) -> None:
    _opened(data, 0xEA)
    _held.append(b"\x01" * (300 * 2**20))
    _held.clear()


def _takes_all_memory(data: bytes) -> None:
    _opened(data, 0xEB)
    _held.append(bytes(2**36))


def _believes_a_field(data: bytes) -> None:
    """Deterministic CBOR, right in every byte but the type of one field: bytes alone hardly ever hit that."""
    found = decode_untrusted(data)
    if not isinstance(found, dict) or set(found) != {1, 2} or not isinstance(found[2], list) or len(found[2]) != 2:
        raise MalformedError("not the fields")
    if found[1] == "one" and found[2][0] == 5 and isinstance(found[2][1], bytes):
        raise TypeError("bytes where a number belongs")
