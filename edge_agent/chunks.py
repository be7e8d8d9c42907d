"""The host's cache of encrypted chunks on disk: what was fetched once is not fetched again, also after a restart.

Files are named by the SHA-256 of their bytes and checked against it at every read: a damaged one is deleted and
counts as missing. They are ciphertext and need no secrecy; a machine with a TPM encrypts them once more, to itself.
Nothing here is synchronised to the disk: a power cut costs a fetch, never a wrong byte.
"""

import os
import re
import tempfile
from collections import OrderedDict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from edge_agent.chunk_sealing import OVERHEAD, ChunkCipher
from protocol.delivery import check_chunk_untrusted
from protocol.errors import AuthenticationError, MalformedError, StoreError
from schemas.reason import Reason

MAX_CHUNK: Final = 2**20
"""Bytes of one encrypted chunk."""

_NAME: Final = re.compile(r"[0-9a-f]{64}")


class ChunkCache:
    """Chunks in one folder, at most `max_bytes` of them; the least recently used go first."""

    def __init__(self, folder: Path, max_bytes: int = 2**30, cipher: ChunkCipher | None = None) -> None:
        """Create the folder if it is missing, and take over what lies in it. Raises `StoreError`."""
        self._folder, self._max_bytes, self._cipher = folder, max_bytes, cipher
        self._sizes: OrderedDict[bytes, int] = OrderedDict()
        self._total = 0
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take_over()
            self._make_room(())
        except OSError as error:
            raise _failure(folder, error) from error

    @property
    def bytes_held(self) -> int:
        """The size of all chunks held."""
        return self._total

    def missing(self, digests: Iterable[bytes]) -> tuple[bytes, ...]:
        """Those of the digests, each once, of which no file lies here. Files are checked when they are read."""
        return tuple(name for name in dict.fromkeys(digests) if name not in self._sizes)

    def read(self, name: bytes) -> bytes | None:
        """The bytes whose SHA-256 is `name`, or None: missing, or damaged and now deleted. Raises `StoreError`.

        A file that was kept under another key counts as damaged.
        """
        if name not in self._sizes:
            return None
        path = self._path(name)
        try:
            with path.open("rb") as file:
                content = file.read(MAX_CHUNK + OVERHEAD + 1)
            payload = content if self._cipher is None else self._cipher.open(name, content)
            check_chunk_untrusted(name, payload)
            os.utime(path)
        except (FileNotFoundError, AuthenticationError):
            self.delete(name)
            return None
        except OSError as error:
            raise _failure(path, error) from error
        self._sizes.move_to_end(name)
        return payload

    def write_untrusted(self, name: bytes, payload: bytes, keep: Collection[bytes] = ()) -> None:
        """Keep a chunk that came over the network; `keep` names those that must not make room for it.

        Raises `MalformedError` (oversized), `AuthenticationError` if these are not the bytes that `name` names,
        `StoreError` if the disk fails or the cache is too small.
        """
        if len(payload) > MAX_CHUNK:
            raise MalformedError(
                f"a chunk of {len(payload)} bytes where {MAX_CHUNK} are allowed", reason=Reason.OVERSIZED
            )
        check_chunk_untrusted(name, payload)
        content = payload if self._cipher is None else self._cipher.close(name, payload)
        try:
            self._put_in_place(name, content)
        except OSError as error:
            raise _failure(self._path(name), error) from error
        self._add(name, len(content))
        self._make_room({name, *keep} if self._total > self._max_bytes else ())

    def delete(self, name: bytes) -> None:
        """Forget a chunk. Raises `StoreError`."""
        self._total -= self._sizes.pop(name, 0)
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise _failure(self._path(name), error) from error

    def _add(self, name: bytes, size: int) -> None:
        self._total += size - self._sizes.pop(name, 0)
        self._sizes[name] = size

    def _path(self, name: bytes) -> Path:
        return self._folder / name.hex()

    def _take_over(self) -> None:
        """Index the files by age; what an interrupted write left behind is deleted."""
        found = []
        for entry in os.scandir(self._folder):
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                found.append((status.st_mtime_ns, entry.name, status.st_size))
            elif entry.name.startswith(".chunk-"):
                Path(entry.path).unlink(missing_ok=True)
        for _, name, size in sorted(found):
            self._add(bytes.fromhex(name), size)

    def _put_in_place(self, name: bytes, content: bytes) -> None:
        """Whoever sees the name sees the whole chunk: written beside it, then renamed (atomic in one file system)."""
        descriptor, temporary = tempfile.mkstemp(dir=self._folder, prefix=".chunk-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(temporary).replace(self._path(name))
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _make_room(self, keep: Collection[bytes]) -> None:
        if self._total <= self._max_bytes:
            return
        for name in [name for name in self._sizes if name not in keep]:
            self.delete(name)
            if self._total <= self._max_bytes:
                return
        raise StoreError(f"{self._folder}: {self._max_bytes} bytes are too few for the chunks of one model")


def _failure(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path}: {error.strerror or type(error).__name__}")
