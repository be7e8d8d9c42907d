"""Keys come back as they were saved, from owner-only files alone, and no error or repr shows one."""

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
)

from protocol.algorithms import ED25519, ESP256, HPKE_3_KE, HPKE_XWING_KE
from protocol.errors import ConfigurationError
from protocol.keys import KemPrivateKey, SigningKey
from storage.keys import FileKeyStore, KeyStore


@pytest.fixture
def keys(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys")


@pytest.mark.parametrize("algorithm", [ESP256, ED25519])
def test_signing_key_comes_back(keys: KeyStore, tmp_path: Path, algorithm: int) -> None:
    saved = SigningKey.generate(algorithm=algorithm)
    keys.save_signing_key("sensor-1", saved)
    loaded = keys.load_signing_key("sensor-1")
    saved.public.verify(loaded.sign(b"data"), b"data")
    path = tmp_path / "keys" / "sensor-1.pem"
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(("algorithm", "file"), [(HPKE_XWING_KE, "c.xwing"), (HPKE_3_KE, "c.x25519")])
def test_kem_key_comes_back(keys: KeyStore, tmp_path: Path, algorithm: int, file: str) -> None:
    saved = KemPrivateKey.generate(os.urandom, algorithm=algorithm)
    keys.save_kem_key("c", saved)
    assert keys.load_kem_key("c", algorithm).public == saved.public
    assert (tmp_path / "keys" / file).read_bytes() == saved.seed_bytes()
    assert stat.S_IMODE((tmp_path / "keys" / file).stat().st_mode) == 0o600


def test_seed_of_one_algorithm_is_not_used_for_another(keys: KeyStore) -> None:
    keys.save_kem_key("c", KemPrivateKey.generate(os.urandom, algorithm=HPKE_3_KE))
    with pytest.raises(ConfigurationError, match=r"c\.xwing: cannot be read: No such file"):
        keys.load_kem_key("c")
    with pytest.raises(ConfigurationError, match="algorithm 46"):
        keys.load_kem_key("c", 46)


def test_saved_key_is_replaced_only_on_request(keys: KeyStore) -> None:
    first, second = SigningKey.generate(), SigningKey.generate()
    keys.save_signing_key("authority", first)
    with pytest.raises(ConfigurationError, match="exists already"):
        keys.save_signing_key("authority", second)
    assert keys.load_signing_key("authority").public == first.public
    keys.save_signing_key("authority", second, replace=True)
    assert keys.load_signing_key("authority").public == second.public


@pytest.mark.parametrize("mode", [0o644, 0o660])
@pytest.mark.parametrize("kind", ["pem", "xwing"])
def test_key_open_to_others_is_refused_in_one_line(keys: KeyStore, tmp_path: Path, mode: int, kind: str) -> None:
    keys.save_signing_key("a", SigningKey.generate())
    keys.save_kem_key("a", KemPrivateKey.generate(os.urandom))
    (tmp_path / "keys" / f"a.{kind}").chmod(mode)
    load: Callable[[str], object] = keys.load_signing_key if kind == "pem" else keys.load_kem_key
    with pytest.raises(ConfigurationError) as caught:
        load("a")
    assert caught.value.diagnostics == (
        f"configuration: {tmp_path}/keys/a.{kind}: a private file is open to group or others"
        f" (mode: expected 0600, found {mode:04o})"
    )


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "/a", "A", "a\0", "a\n", ".hidden", "x" * 65])
def test_name_never_leaves_the_folder(keys: KeyStore, tmp_path: Path, name: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: keys.save_signing_key(name, SigningKey.generate()),
        lambda: keys.save_kem_key(name, KemPrivateKey.generate(os.urandom)),
        lambda: keys.load_signing_key(name),
        lambda: keys.load_kem_key(name),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match="is not a key name"):
            call()
    assert list(tmp_path.rglob("*")) == []


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(data)


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
def test_what_is_no_signing_key_is_refused_naming_the_file(
    keys: KeyStore, tmp_path: Path, data: bytes, why: str
) -> None:
    put(tmp_path / "keys" / "a.pem", data)
    with pytest.raises(ConfigurationError, match=why) as caught:
        keys.load_signing_key("a")
    assert str(caught.value).count("a.pem: ") == 1
    assert "c2VjcmV0" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_seed_of_another_length_is_refused_naming_the_file(keys: KeyStore, tmp_path: Path, length: int) -> None:
    put(tmp_path / "keys" / "a.xwing", bytes(length))
    with pytest.raises(ConfigurationError, match=r"a\.xwing: a key seed has 32 bytes"):
        keys.load_kem_key("a")


def test_store_shows_no_key(keys: KeyStore) -> None:
    key = KemPrivateKey.generate(os.urandom)
    keys.save_kem_key("a", key)
    shown = repr(keys) + repr(vars(keys)) + repr(keys.load_kem_key("a"))
    assert key.seed_bytes().hex() not in shown
    assert repr(key.seed_bytes()) not in shown
