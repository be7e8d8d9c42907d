"""Keys as files: what `sealedge init` and `sealedge enrol` write, and a party reads at its start.

signing key   PKCS #8 PEM, owner-only                  public key   SubjectPublicKeyInfo PEM
KEM key       CBOR [algorithm, seed], owner-only

Private files are not encrypted: whoever can read as this user, or holds the disk, holds the keys. An enclave's keys
never come here: they live in its memory alone.

A signing key that never leaves its device (PKCS #11, a vault, a TEE's sealing) plugs in at `read_signing_key`: it
would return `SigningKey.from_cryptography` around the device's implementation of `cryptography`'s private key
interface. Parties ask a `SigningKey` for signatures and its public key; its PEM is asked for here alone.
"""

from contextlib import suppress
from typing import Final

from protocol.cbor import decode_untrusted, encode
from protocol.errors import ConfigurationError, RemoteError
from protocol.keys import KemPrivateKey, SigningKey, VerifyingKey
from storage.files import StrPath, read_bytes, read_private, write_private

MAX_KEY_BYTES: Final = 4096
"""A key of P-256 or Ed25519 in PEM has under 300 bytes, a seed 32."""


def write_signing_key(path: StrPath, key: SigningKey) -> None:
    """Write a new owner-only file. Raises `ConfigurationError`, also where there is one already."""
    write_private(path, key.pem(), replace=False)


def read_signing_key(path: StrPath) -> SigningKey:
    """Raises `ConfigurationError`: no such file, open to others, or not a key that is used here."""
    try:
        return SigningKey.from_pem(read_private(path, max_bytes=MAX_KEY_BYTES))
    except ConfigurationError as error:
        raise _naming(path, error) from None


def write_kem_key(path: StrPath, key: KemPrivateKey) -> None:
    """Write a new owner-only file. Raises `ConfigurationError`, also where there is one already."""
    write_private(path, encode([key.algorithm, key.seed_bytes()]), replace=False)


def read_kem_key(path: StrPath) -> KemPrivateKey:
    """Raises `ConfigurationError`: no such file, open to others, or not a key that is used here."""
    data = read_private(path, max_bytes=MAX_KEY_BYTES)
    with suppress(RemoteError, ConfigurationError):
        match decode_untrusted(data):
            case [int(algorithm), bytes(seed)]:
                return KemPrivateKey.from_seed(algorithm, seed)
    raise ConfigurationError(f"{path}: is not a KEM key file")


def read_verifying_key(path: StrPath) -> VerifyingKey:
    """A public key, the authority's above all. Raises `ConfigurationError`.

    Not secret, but whoever can replace the authority's owns the party that reads it.
    """
    try:
        return VerifyingKey.from_pem(read_bytes(path, max_bytes=MAX_KEY_BYTES))
    except ConfigurationError as error:
        raise _naming(path, error) from None


def _naming(path: StrPath, error: ConfigurationError) -> ConfigurationError:
    """The same error, naming the file; those of `storage.files` do so already."""
    if str(error).startswith(f"{path}: "):
        return error
    return ConfigurationError(f"{path}: {error}", reason=error.reason, finding=error.finding)
