"""Keys and documents as files: what `sealedge init` and `sealedge enrol` write and a party reads at its start.

signing key   PKCS #8 PEM, owner-only            authority     deterministic CBOR of its public COSE_Key
KEM key       CBOR [algorithm, seed], owner-only  credential    the signed CWT, as it travels
"""

from contextlib import suppress

from protocol.cbor import decode_untrusted, encode
from protocol.errors import ConfigurationError, RemoteError
from protocol.kem_keys import KemPrivateKey
from protocol.keys import SigningKey, VerifyingKey
from storage.files import StrPath, read_bytes, read_private, write_private


def write_signing_key(path: StrPath, key: SigningKey) -> None:
    """Write a new owner-only file. Raises `ConfigurationError`, also where there is one already."""
    write_private(path, key.pem(), replace=False)


def read_signing_key(path: StrPath) -> SigningKey:
    """Raises `ConfigurationError`: no such file, open to others, or not a key that is used here."""
    try:
        return SigningKey.from_pem(read_private(path))
    except ConfigurationError as error:
        raise _naming(path, error) from None


def write_kem_key(path: StrPath, key: KemPrivateKey) -> None:
    """Write a new owner-only file. Raises `ConfigurationError`, also where there is one already."""
    write_private(path, encode([key.algorithm, key.seed_bytes()]), replace=False)


def read_kem_key(path: StrPath) -> KemPrivateKey:
    """Raises `ConfigurationError`: no such file, open to others, or not a key that is used here."""
    data = read_private(path)
    with suppress(RemoteError):
        match decode_untrusted(data):
            case [int(algorithm), bytes(seed)]:
                return KemPrivateKey.from_seed(algorithm, seed)
    raise ConfigurationError(f"{path}: is not a KEM key file")


def encode_authority(key: VerifyingKey) -> bytes:
    """The content of an authority file: public, but whoever can replace it owns the party that reads it."""
    return encode(key.to_cose_key())


def read_authority(path: StrPath) -> VerifyingKey:
    """The trust anchor. Raises `ConfigurationError`."""
    try:
        return VerifyingKey.from_cose_key_untrusted(decode_untrusted(read_bytes(path)))
    except RemoteError:
        raise ConfigurationError(f"{path}: is not an authority's public key") from None


def _naming(path: StrPath, error: ConfigurationError) -> ConfigurationError:
    """The file's name stands in every error that comes of it."""
    text = str(error)
    return error if text.startswith(f"{path}:") else ConfigurationError(f"{path}: {text}", finding=error.finding)
