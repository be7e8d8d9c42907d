"""Bytecode of what an enclave imports, kept by its host between starts: compiling it takes most of a start.

    file    HMAC-SHA-256 || CBOR [magic of this Python, [[path, SHA-256 of the source, code], ...]]

Python's own cache is not used: whoever can write there chooses what runs, and nobody measures it. What is kept here is
authentic under a key that the TEE gives to this agent, and holds for the very sources from which it was made: each is
read and hashed at every start. Anything else is not run, and made anew.
"""

import hmac
import importlib.util
import marshal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

from protocol.cbor import decode_untrusted, encode
from protocol.cose import derive
from protocol.errors import AuthenticationError, ConfigurationError, EnclaveError, MalformedError, RemoteError
from protocol.messages import DOMAIN
from protocol.party import Noted
from schemas.reason import Reason
from storage.files import read_private, write_private

MAX_FILE: Final = 2**26
MAX_SOURCE: Final = 2**22
LIST_SECONDS: Final = 60.0
_TAG_BYTES: Final = 32

Entry = tuple[str, bytes, bytes]
"""The path of a source, its SHA-256, and the code made of it."""


class BytecodeCache:
    """One file. `secret` is what the TEE gives to this agent (`Attester.sealing_key`); `list_sources` names paths."""

    def __init__(self, path: Path, secret: bytes, list_sources: Callable[[], Sequence[str]]) -> None:
        self._path, self._list = path, list_sources
        self._key = derive(secret, encode([DOMAIN, "bytecode"]), 32)

    def opened(self) -> tuple[IO[bytes] | None, Sequence[Noted]]:
        """What a start may run, as an anonymous file for the enclave's process; None where there is none to be had.

        The notes say why what was kept is not run.
        """
        if not self._path.exists():
            return None, ()
        try:
            entries = self._entries_untrusted(read_private(self._path, max_bytes=MAX_FILE))
        except (RemoteError, ConfigurationError) as error:
            return None, [Noted("bytecode-refused", {"why": error.diagnostics})]
        return _anonymous(marshal.dumps({path: code for path, _, code in entries})), ()

    def make(self) -> int:
        """Compile what an enclave imports, and keep it. Returns how many sources.

        Raises `ConfigurationError` for a source or file that cannot be read or written, `EnclaveError` where nobody
        can say what is imported.
        """
        entries = [_compiled(path) for path in self._list()]
        body = encode([importlib.util.MAGIC_NUMBER, [list(each) for each in entries]])
        write_private(self._path, self._tag(body) + body)
        return len(entries)

    def _entries_untrusted(self, data: bytes) -> list[Entry]:
        """Returns entries that this agent made for sources that are as they were. Raises `RemoteError`."""
        tag, body = data[:_TAG_BYTES], data[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(body)):
            raise AuthenticationError("bytecode that this agent did not make", reason=Reason.SIGNATURE_INVALID)
        match decode_untrusted(body, max_bytes=MAX_FILE):
            case [importlib.util.MAGIC_NUMBER, list(found)]:
                entries: list[Entry] = [(each[0], each[1], each[2]) for each in found]
            case _:
                raise MalformedError("bytecode of another Python")
        for path, source, _ in entries:
            if sha256(_read(path)).digest() != source:
                raise AuthenticationError("bytecode of another source", reason=Reason.BINDING_MISMATCH)
        return entries

    def _tag(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")


def imported_sources(command: Sequence[str]) -> list[str]:
    """Ask a process that imports all that an enclave does. Raises `EnclaveError`."""
    try:
        asked = subprocess.run(  # noqa: S603 - the operator's own command, and no shell
            command, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIST_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnclaveError(f"what an enclave imports is not to be had: {type(error).__name__}") from error
    return sorted(set(asked.stdout.decode().splitlines()))


def _compiled(path: str) -> Entry:
    source = _read(path)
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(f"{path}: is no Python") from error
    return path, sha256(source).digest(), marshal.dumps(code)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error


def _anonymous(data: bytes) -> IO[bytes]:
    """A file without a name: nobody else can open it, and it is gone when both processes have closed it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's to close
    file.write(data)
    file.flush()
    file.seek(0)
    return file
