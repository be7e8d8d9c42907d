"""Taint: every secret that the fleet makes, and a search for it in every byte that others saw.

randomness of a party ─┐
readings, results ─────┼─> Taint ─> leaks(bytes that the broker saw)
modules, keys ─────────┘
"""

import base64
from collections.abc import Callable, Iterable
from random import Random
from typing import Final

SECRET_BYTES: Final = 32
"""Session secrets, content keys, KEM seeds and salts are drawn as 32 bytes; identifiers and nonces of AEADs are not."""

WINDOW: Final = 16
"""Of a longer secret any run of so many bytes is looked for, at both ends and in the middle."""

_SHOWN: Final = 24


class Taint:
    """Secrets by their bytes, each with a word for what it is."""

    def __init__(self) -> None:
        self._secrets: dict[bytes, str] = {}

    def note(self, what: str, *secrets: bytes) -> None:
        """These bytes are nobody's but their holders'."""
        for secret in secrets:
            self._secrets.setdefault(secret, what)

    def draws(self, owner: str, random: Random) -> Callable[[int], bytes]:
        """The randomness of a party that keeps what it draws: 32 bytes are a secret of it."""

        def draw(size: int) -> bytes:
            drawn = random.randbytes(size)
            if size == SECRET_BYTES:
                self.note(f"32 bytes drawn by {owner}", drawn)
            return drawn

        return draw

    def leaks(self, binary: bytes, text: bytes) -> list[str]:
        """Words for the secrets that stand in either: raw in both, also as hex and base64 in `text`."""
        found = [what for secret, what in self._secrets.items() if _stands_in(secret, binary)]
        shown = text.lower()
        for secret, what in self._secrets.items():
            if secret.hex()[:_SHOWN].encode() in shown or any(each in text for each in _base64_cores(secret)):
                found.append(f"{what}, in a text")
        return found

    def __len__(self) -> int:
        return len(self._secrets)


def _stands_in(secret: bytes, data: bytes) -> bool:
    if len(secret) <= 2 * WINDOW:
        return secret in data
    middle = len(secret) // 2
    return any(each in data for each in (secret[:WINDOW], secret[middle : middle + WINDOW], secret[-WINDOW:]))


def _base64_cores(secret: bytes) -> Iterable[bytes]:
    """What base64 makes of the middle of a secret, wherever in a longer text it stands."""
    for offset in range(3):
        core = base64.urlsafe_b64encode(b"\0" * offset + secret[:18])[4:_SHOWN]
        yield core
        yield core.replace(b"-", b"+").replace(b"_", b"/")
