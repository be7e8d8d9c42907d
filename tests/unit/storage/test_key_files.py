"""Keys come back as they were saved, private ones from owner-only files alone, and no error shows one."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from protocol import cbor
from protocol.algorithms import ED25519, ESP256, HPKE_3_KE, HPKE_XWING_KE
from protocol.errors import ConfigurationError
from protocol.keys import KemPrivateKey, SigningKey
from storage.files import write_private
from storage.key_files import read_kem_key, read_signing_key, read_verifying_key, write_kem_key, write_signing_key

READERS = [read_signing_key, read_kem_key, read_verifying_key]


@pytest.mark.parametrize("algorithm", [ESP256, ED25519])
def test_signing_key_comes_back(tmp_path: Path, algorithm: int) -> None:
    path, saved = tmp_path / "keys" / "signing.pem", SigningKey.generate(algorithm=algorithm)
    write_signing_key(path, saved)
    saved.public.verify(read_signing_key(path).sign(b"data"), b"data")
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("algorithm", [HPKE_XWING_KE, HPKE_3_KE])
def test_kem_key_comes_back_with_its_algorithm(tmp_path: Path, algorithm: int) -> None:
    path, saved = tmp_path / "keys" / "kem.key", KemPrivateKey.generate(os.urandom, algorithm=algorithm)
    write_kem_key(path, saved)
    found = read_kem_key(path)
    assert (found.algorithm, found.public, found.seed_bytes()) == (algorithm, saved.public, saved.seed_bytes())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("algorithm", [ESP256, ED25519])
def test_verifying_key_comes_back_from_a_file_that_anyone_may_read(tmp_path: Path, algorithm: int) -> None:
    key = SigningKey.generate(algorithm=algorithm).public
    (tmp_path / "authority.pub.pem").write_bytes(key.pem())
    (tmp_path / "authority.pub.pem").chmod(0o644)
    assert read_verifying_key(tmp_path / "authority.pub.pem") == key


def test_private_key_is_never_replaced(tmp_path: Path) -> None:
    first, second = SigningKey.generate(), SigningKey.generate()
    write_signing_key(tmp_path / "a", first)
    with pytest.raises(ConfigurationError, match="exists already"):
        write_signing_key(tmp_path / "a", second)
    assert read_signing_key(tmp_path / "a").public == first.public
    with pytest.raises(ConfigurationError, match="exists already"):
        write_kem_key(tmp_path / "a", KemPrivateKey.generate(os.urandom))
    assert read_signing_key(tmp_path / "a").public == first.public
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("mode", [0o644, 0o660])
@pytest.mark.parametrize("read", [read_signing_key, read_kem_key])
def test_key_open_to_others_is_refused_in_one_line(tmp_path: Path, mode: int, read: Callable[[Path], object]) -> None:
    path = tmp_path / "a"
    if read is read_signing_key:
        write_signing_key(path, SigningKey.generate())
    else:
        write_kem_key(path, KemPrivateKey.generate(os.urandom))
    path.chmod(mode)
    with pytest.raises(ConfigurationError) as caught:
        read(path)
    assert caught.value.diagnostics == (
        f"configuration: {path}: a private file is open to group or others (mode: expected 0600, found {mode:04o})"
    )


def pem(curve: ec.EllipticCurve, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return ec.generate_private_key(curve).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not an unencrypted PEM private key"),
        (b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", "not an unencrypted"),
        (pem(ec.SECP256R1(), b"password"), "not an unencrypted PEM private key"),
        (pem(ec.SECP384R1()), "must be P-256 or Ed25519"),
        (b"x" * 5000, "larger than 4096 bytes"),
    ],
    ids=["empty", "noise", "encrypted", "P-384", "large"],
)
def test_what_is_no_signing_key_is_refused_naming_the_file(tmp_path: Path, data: bytes, why: str) -> None:
    write_private(tmp_path / "a.pem", data)
    with pytest.raises(ConfigurationError, match=why) as caught:
        read_signing_key(tmp_path / "a.pem")
    assert str(caught.value).count("a.pem: ") == 1
    assert "c2VjcmV0" not in str(caught.value)


P384 = ec.generate_private_key(ec.SECP384R1()).public_key()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a PEM public key"),
        (pem(ec.SECP256R1()), "not a PEM public key"),
        (cbor.encode(SigningKey.generate().public.to_cose_key()), "not a PEM public key"),
        (P384.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "must be P-256 or Ed25519"),
        (b"x" * 5000, "larger than 4096 bytes"),
    ],
    ids=["empty", "private", "COSE_Key", "P-384", "large"],
)
def test_what_is_no_public_key_is_refused_naming_the_file(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "a.pem").write_bytes(data)
    with pytest.raises(ConfigurationError, match=why) as caught:
        read_verifying_key(tmp_path / "a.pem")
    assert str(caught.value).count("a.pem: ") == 1


@pytest.mark.parametrize(
    "content",
    [[HPKE_XWING_KE, bytes(31)], [HPKE_XWING_KE, bytes(33)], [HPKE_3_KE, b""], [46, bytes(32)], [True, bytes(32)], []],
)
def test_what_is_no_kem_key_is_refused_naming_the_file(tmp_path: Path, content: list[object]) -> None:
    write_private(tmp_path / "kem.key", cbor.encode(content))
    with pytest.raises(ConfigurationError, match=r"kem\.key: is not a KEM key file"):
        read_kem_key(tmp_path / "kem.key")


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("content", [b"", b"\xf6", b"\x82\x01\x41a", b"\x82\x18\x31\x41a", b"\x80"])
def test_rubbish_is_no_key(tmp_path: Path, content: bytes, read: Callable[[Path], object]) -> None:
    write_private(tmp_path / "rubbish", content)
    with pytest.raises(ConfigurationError, match=r"rubbish: .*key"):
        read(tmp_path / "rubbish")


@pytest.mark.parametrize("read", READERS)
def test_no_file_is_no_key(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(ConfigurationError, match="none: cannot be read: No such file"):
        read(tmp_path / "none")


def test_a_kem_key_that_was_read_shows_no_seed(tmp_path: Path) -> None:
    key = KemPrivateKey.generate(os.urandom)
    write_kem_key(tmp_path / "a", key)
    shown = repr(read_kem_key(tmp_path / "a"))
    assert key.seed_bytes().hex() not in shown
    assert repr(key.seed_bytes()) not in shown
