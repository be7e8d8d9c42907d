"""Reading binary structures of one byte order front to back: every read is bounded by what is left."""

from typing import Literal

from protocol.errors import Finding, MalformedError


class Cursor:
    """A position in `data`. Each read raises `MalformedError`, which names `name`, where too few bytes are left."""

    def __init__(self, data: bytes, name: str, order: Literal["little", "big"]) -> None:
        self._data = data
        self._name = name
        self._order: Literal["little", "big"] = order
        self._at = 0

    @property
    def at(self) -> int:
        """How many bytes were read."""
        return self._at

    @property
    def rest(self) -> bytes:
        """The bytes that were not read yet."""
        return self._data[self._at :]

    @property
    def is_at_end(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._data)

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > len(self._data) - self._at:
            finding = Finding(self._name, f"{size} bytes at {self._at}", f"{len(self._data) - self._at}")
            raise MalformedError(f"{self._name} is cut short", finding=finding)
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def integer(self, size: int) -> int:
        """The next `size` bytes as an unsigned integer."""
        return int.from_bytes(self.take(size), self._order)

    def sized(self, prefix: int) -> bytes:
        """What a length of `prefix` bytes precedes, as in a TPM2B."""
        return self.take(self.integer(prefix))

    def end(self) -> None:
        """Raises `MalformedError` if anything is left."""
        if not self.is_at_end:
            finding = Finding(self._name, f"{self._at} bytes", str(len(self._data)))
            raise MalformedError(f"{self._name} has trailing bytes", finding=finding)
