"""Encrypting the chunk cache under a key that the machine's TEE keeps: without this machine, as it was, it is noise.

    file = nonce (12 bytes) ‖ AES-256-GCM(key, nonce, chunk, aad = the chunk's name)

Chunks are ciphertext of the publisher's already. This adds that a disk which is taken away, or opened under other
software, does not even hold what a content key that leaks one day would open.
"""

from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.errors import AuthenticationError, ConfigurationError, LocalError, RemoteError
from protocol.party import Noted, Randomness
from schemas.reason import Reason
from storage.files import read_private, write_private

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
OVERHEAD: Final = NONCE_BYTES + 16
"""Bytes that encryption adds to a chunk."""

_MAX_SEALED_KEY: Final = 4096


class Sealer(Protocol):
    """Keeps a secret of up to 128 bytes for this machine, as it is now."""

    def seal(self, data: bytes) -> bytes:
        """A blob that needs no secrecy. Raises `LocalError`."""

    def unseal(self, blob: bytes) -> bytes:
        """What was sealed. Raises `LocalError` where the machine is another or changed, `RemoteError` for no blob."""


class ChunkCipher:
    """Encrypts chunks on their way to the disk. A key encrypts far fewer than the 2**32 that random nonces allow."""

    def __init__(self, key: bytes, randomness: Randomness) -> None:
        self._aead, self._randomness = AESGCM(key), randomness

    def close(self, name: bytes, payload: bytes) -> bytes:
        """The bytes of the file of this name."""
        nonce = self._randomness(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, payload, name)

    def open(self, name: bytes, content: bytes) -> bytes:
        """The chunk in a file's bytes. Raises `AuthenticationError` unless this key closed it under this name."""
        try:
            return self._aead.decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], name)
        except (InvalidTag, ValueError):
            raise AuthenticationError(
                "a chunk that was not kept under this key", reason=Reason.DECRYPTION_FAILED
            ) from None

    def __repr__(self) -> str:
        return "ChunkCipher(...)"


def open_cipher(sealer: Sealer, path: Path, randomness: Randomness) -> tuple[ChunkCipher, list[Noted]]:
    """The cipher whose key lies sealed in the file `path`; a new one where it is missing or cannot be unsealed.

    Chunks that were kept under the old key are fetched again. Raises `LocalError` where nothing can be sealed at all.
    """
    notes = []
    if path.exists():
        try:
            return ChunkCipher(_unsealed(sealer, path), randomness), []
        except (LocalError, RemoteError) as error:
            notes.append(Noted("cache-key-lost", {"why": error.diagnostics}))
    key = randomness(KEY_BYTES)
    write_private(path, sealer.seal(key))
    return ChunkCipher(key, randomness), notes


def _unsealed(sealer: Sealer, path: Path) -> bytes:
    key = sealer.unseal(read_private(path, max_bytes=_MAX_SEALED_KEY))
    if len(key) != KEY_BYTES:
        raise ConfigurationError(f"{path}: is not a sealed key of {KEY_BYTES} bytes")
    return key
