"""Where private keys are kept: the `KeyStore` seam, and `FileKeyStore`, owner-only files in one folder.

The enclave's keys never come here: they live in its memory alone.
"""

import re
from pathlib import Path
from typing import Final, Protocol

from protocol.algorithms import HPKE_3_KE, HPKE_XWING_KE
from protocol.errors import ConfigurationError
from protocol.keys import KemPrivateKey, SigningKey
from storage.files import StrPath, read_private, write_private

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SUFFIXES: Final = {HPKE_XWING_KE: "xwing", HPKE_3_KE: "x25519"}

MAX_KEY_BYTES: Final = 4096
"""A PKCS #8 key of P-256 or Ed25519 in PEM has under 300 bytes, a seed 32."""


class KeyStore(Protocol):
    """What a party asks of the place that keeps its private keys. Raises `ConfigurationError` alone.

    A store that never gives a key out (PKCS #11, a vault, a TEE's sealing) loads a `SigningKey` made by
    `SigningKey.from_cryptography` around its own implementation of `cryptography`'s private key interface, and
    refuses to save.
    """

    def load_signing_key(self, name: str) -> SigningKey:
        """The key saved under `name`; it is an error if there is none."""

    def save_signing_key(self, name: str, key: SigningKey, *, replace: bool = False) -> None:
        """Keep the key, durably when the call returns. An existing one is refused unless `replace` is set."""

    def load_kem_key(self, name: str, algorithm: int = HPKE_XWING_KE) -> KemPrivateKey:
        """The key saved under `name` for this algorithm; it is an error if there is none."""

    def save_kem_key(self, name: str, key: KemPrivateKey, *, replace: bool = False) -> None:
        """Keep the key, durably when the call returns. An existing one is refused unless `replace` is set."""


class FileKeyStore:
    """Keys as files of mode 0600: `NAME.pem` (PKCS #8), `NAME.xwing` and `NAME.x25519` (the seed's 32 bytes).

    The files are not encrypted: whoever can read as this user, or holds the disk, holds the keys.
    """

    def __init__(self, folder: StrPath) -> None:
        self._folder = Path(folder)

    def load_signing_key(self, name: str) -> SigningKey:
        """Read `NAME.pem`. Refuses a file that is not owner-only, or holds anything but a P-256 or Ed25519 key."""
        path = self._path(name, "pem")
        try:
            return SigningKey.from_pem(read_private(path, max_bytes=MAX_KEY_BYTES))
        except ConfigurationError as error:
            raise _naming(path, error) from None

    def save_signing_key(self, name: str, key: SigningKey, *, replace: bool = False) -> None:
        """Write `NAME.pem`, whole or not at all."""
        write_private(self._path(name, "pem"), key.pem(), replace=replace)

    def load_kem_key(self, name: str, algorithm: int = HPKE_XWING_KE) -> KemPrivateKey:
        """Read `NAME.xwing` or `NAME.x25519`. Refuses a file that is not owner-only, or has not 32 bytes."""
        path = self._path(name, _suffix(algorithm))
        try:
            return KemPrivateKey.from_seed(algorithm, read_private(path, max_bytes=MAX_KEY_BYTES))
        except ConfigurationError as error:
            raise _naming(path, error) from None

    def save_kem_key(self, name: str, key: KemPrivateKey, *, replace: bool = False) -> None:
        """Write the seed, whole or not at all."""
        write_private(self._path(name, _suffix(key.algorithm)), key.seed_bytes(), replace=replace)

    def _path(self, name: str, suffix: str) -> Path:
        """A name is one part of a path, never a way out of the folder."""
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"{name!r} is not a key name: expected {_NAME.pattern}")
        return self._folder / f"{name}.{suffix}"


def _suffix(algorithm: int) -> str:
    """One file name for each algorithm: a seed is never used for two."""
    if algorithm not in _SUFFIXES:
        raise ConfigurationError(f"no key is kept for key encryption algorithm {algorithm}")
    return _SUFFIXES[algorithm]


def _naming(path: Path, error: ConfigurationError) -> ConfigurationError:
    """The same error, naming the file; those of `storage.files` do so already."""
    if str(error).startswith(f"{path}: "):
        return error
    return ConfigurationError(f"{path}: {error}", reason=error.reason, finding=error.finding)
