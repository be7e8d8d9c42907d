"""What enclaves sealed for their next start, as files of the host: it can read none of them, and lose all of them.

    MODEL.lease    until when the model is lent
    MODEL.code     the module and its machine code

Each is written whole or not at all, for its owner alone (0600). A file that is damaged, swapped or old is the
enclave's to refuse.
"""

import re
from pathlib import Path
from typing import Final

from edge_agent.enclave.needs import MAX_SEALED, ModelSealed, SealedModelEnded, SealedModelNeeded
from protocol.errors import ConfigurationError, StoreError
from protocol.party import Event
from storage.files import read_private, write_private

MAX_LEASE: Final = 2**16
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
"""What `schemas.base.Name` is: the enclave that names a file may have been taken over."""

_LEASE, _CODE = ".lease", ".code"


class ModelCache:
    """Files in one folder, at most `max_bytes` of code; those written longest ago go first."""

    def __init__(self, folder: Path, max_bytes: int = MAX_SEALED) -> None:
        """Create the folder if it is missing; what an interrupted write left is deleted. Raises `StoreError`."""
        self._folder, self._max_bytes = folder, max_bytes
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in folder.glob(".*"):
                path.unlink()
        except OSError as error:
            raise _failure(folder, error) from error

    def answer(self, event: Event) -> tuple[bytes, bytes]:
        """Do what an enclave wants of its sealed models; the lease and code that it asked for, or nothing.

        Raises `StoreError`: the files cannot be read or written, are too large, or have no name that a model has.
        """
        if isinstance(event, SealedModelNeeded):
            return self.read(event.model)
        if isinstance(event, ModelSealed):
            self.write(event.model, event.lease, event.code)
        if isinstance(event, SealedModelEnded):
            self.delete(event.model)
        return b"", b""

    def read(self, model: str) -> tuple[bytes, bytes]:
        """The lease and the code, neither of them checked; both empty unless both are there. Raises `StoreError`."""
        lease, code = self._paths(model)
        if not (lease.exists() and code.exists()):
            return b"", b""
        try:
            return read_private(lease, max_bytes=MAX_LEASE), read_private(code, max_bytes=self._max_bytes)
        except ConfigurationError as error:
            raise StoreError(str(error)) from error

    def write(self, model: str, lease: bytes, code: bytes) -> None:
        """Keep both; without `code`, the lease goes with the code that is there. Raises `StoreError`."""
        lease_path, code_path = self._paths(model)
        if len(lease) > MAX_LEASE or len(code) > self._max_bytes:
            raise StoreError(f"{code_path}: {len(code)} bytes where {self._max_bytes} are kept")
        try:
            if code:
                self._make_room(code_path, len(code))
                write_private(code_path, code)
            if code_path.exists():
                write_private(lease_path, lease)
        except ConfigurationError as error:
            raise StoreError(str(error)) from error
        except OSError as error:
            raise _failure(code_path, error) from error

    def delete(self, model: str) -> None:
        """Forget a model. Raises `StoreError`."""
        for path in self._paths(model):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise _failure(path, error) from error

    def delete_all(self) -> None:
        """Forget every model. Raises `StoreError`."""
        try:
            for suffix in (_LEASE, _CODE):
                for path in self._folder.glob(f"*{suffix}"):
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise _failure(self._folder, error) from error

    def _paths(self, model: str) -> tuple[Path, Path]:
        if _NAME.fullmatch(model) is None:
            raise StoreError("a model of a name that no model has")
        return self._folder / f"{model}{_LEASE}", self._folder / f"{model}{_CODE}"

    def _make_room(self, path: Path, size: int) -> None:
        """Delete other models until this one fits."""
        others = [each for each in self._folder.glob(f"*{_CODE}") if each != path]
        sizes = {each: each.lstat().st_size for each in others}
        for each in sorted(others, key=lambda other: other.lstat().st_mtime_ns):
            if size + sum(sizes.values()) <= self._max_bytes:
                return
            each.with_suffix(_LEASE).unlink(missing_ok=True)
            each.unlink(missing_ok=True)
            del sizes[each]


def _failure(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path}: {error.strerror or type(error).__name__}")
