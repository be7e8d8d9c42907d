"""Bytecode of what an enclave imports, kept by its host between starts: compiling it takes most of a start.

    file    HMAC-SHA-256 || length of the list, 4 bytes || list || what the enclave's process reads (`KeptCode`)
    list    CBOR [magic of this Python, [[path, SHA-256 of the source], ...]]

Python's own cache is not used: whoever can write there chooses what runs, and nobody measures it. What is kept here is
authentic under a key that the TEE gives to this agent, and holds for the very sources from which it was made: each is
read and hashed at every start. Anything else is not run, and made anew.
"""

import hmac
import importlib.util
import marshal
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

from edge_agent.enclave.start import LENGTH_BYTES, Kept
from protocol.cbor import decode_untrusted, encode
from protocol.cose import derive
from protocol.errors import AuthenticationError, ConfigurationError, EnclaveError, MalformedError, RemoteError
from protocol.messages import DOMAIN
from protocol.party import Noted
from schemas.reason import Reason
from storage.files import read_private, write_private

MAX_FILE: Final = 2**26
MAX_LIST: Final = 2**20
LIST_SECONDS: Final = 60.0
_TAG_BYTES: Final = 32

_LENGTH_BYTES: Final = 4
"""Of the list."""

Source = tuple[str, bytes]
"""The path of a source, and its SHA-256."""

Named = tuple[str, str]
"""A module, and the path of its source."""


class BytecodeCache:
    """One file. `secret` is what the TEE gives to this agent (`Attester.sealing_key`); `list_sources` names paths."""

    def __init__(self, path: Path, secret: bytes, list_sources: Callable[[], Sequence[Named]]) -> None:
        self._path, self._list = path, list_sources
        self._key = derive(secret, encode([DOMAIN, "bytecode"]), 32)

    def opened(self) -> tuple[IO[bytes] | None, Sequence[Noted]]:
        """What a start may run, as an anonymous file for the enclave's process; None where there is none to be had.

        The notes say why what was kept is not run.
        """
        if not self._path.exists():
            return None, ()
        try:
            return _anonymous(self._code_untrusted(read_private(self._path, max_bytes=MAX_FILE))), ()
        except (RemoteError, ConfigurationError) as error:
            return None, [Noted("bytecode-refused", {"why": error.diagnostics})]

    def make(self) -> int:
        """Compile what an enclave imports, and keep it. Returns how many sources.

        Raises `ConfigurationError` for a source or file that cannot be read or written, `EnclaveError` where nobody
        can say what is imported.
        """
        sources: list[Source] = []
        codes: dict[str, tuple[str, bytes]] = {}
        for name, path in self._list():
            source = _read(path)
            sources.append((path, sha256(source).digest()))
            codes[name] = (path, _compiled(path, source))
        listed = encode([importlib.util.MAGIC_NUMBER, [list(each) for each in sources]])
        body = len(listed).to_bytes(_LENGTH_BYTES, "big") + listed + _kept(codes)
        write_private(self._path, self._tag(body) + body)
        return len(sources)

    def _code_untrusted(self, data: bytes) -> memoryview:
        """Returns code that this agent made of sources that are as they were. Raises `RemoteError`.

        A view of `data`: copies of so large a thing would stay with the process as memory that nobody uses.
        """
        body = memoryview(data)[_TAG_BYTES:]
        if not hmac.compare_digest(data[:_TAG_BYTES], self._tag(body)):
            raise AuthenticationError("bytecode that this agent did not make", reason=Reason.SIGNATURE_INVALID)
        end = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "big")
        match decode_untrusted(bytes(body[_LENGTH_BYTES:end]), max_bytes=MAX_LIST):
            case [importlib.util.MAGIC_NUMBER, list(found)]:
                sources: list[Source] = [(each[0], each[1]) for each in found]
            case _:
                raise MalformedError("bytecode of another Python")
        for path, source in sources:
            if sha256(_read(path)).digest() != source:
                raise AuthenticationError("bytecode of another source", reason=Reason.BINDING_MISMATCH)
        return body[end:]

    def _tag(self, body: bytes | memoryview) -> bytes:
        return hmac.digest(self._key, body, "sha256")


def _kept(codes: dict[str, tuple[str, bytes]]) -> bytes:
    """What `KeptCode` reads."""
    index: dict[str, Kept] = {}
    offset = 0
    for name, (path, code) in codes.items():
        index[name] = (path, Path(path).name == "__init__.py", offset, len(code))
        offset += len(code)
    head = marshal.dumps(index)
    return len(head).to_bytes(LENGTH_BYTES, "big") + head + b"".join(code for _, code in codes.values())


def imported_sources(command: Sequence[str]) -> list[Named]:
    """Ask a process that imports all that an enclave does. Raises `EnclaveError`."""
    try:
        asked = subprocess.run(  # noqa: S603 - the operator's own command, and no shell
            command, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIST_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnclaveError(f"what an enclave imports is not to be had: {type(error).__name__}") from error
    found = (line.split("\t") for line in asked.stdout.decode().splitlines())
    return sorted({(name, path) for name, path in found})


def _compiled(path: str, source: bytes) -> bytes:
    try:
        return marshal.dumps(compile(source, path, "exec", dont_inherit=True, optimize=0))
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(f"{path}: is no Python") from error


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error


def _anonymous(data: memoryview) -> IO[bytes]:
    """A file without a name: nobody else can open it, and it is gone when both processes have closed it."""
    file: IO[bytes]
    if sys.platform == "linux":
        file = os.fdopen(os.memfd_create("bytecode"), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's to close
    file.write(data)
    file.flush()
    file.seek(0)
    return file
