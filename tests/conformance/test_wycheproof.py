"""Project Wycheproof, through the classes that sealedge uses."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from protocol.algorithms import ED25519, ESP256, HPKE_3_KE
from protocol.cose import AeadKey, derive
from protocol.errors import AuthenticationError, MalformedError
from protocol.keys import KemPrivateKey, KemPublicKey, VerifyingKey

Load = Callable[[str], Any]


def cases(load: Load, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for group in load(f"wycheproof/wycheproof/{name}.json")["testGroups"]:
        for test in group["tests"]:
            yield group, test


def holds(key: VerifyingKey, test: dict[str, Any]) -> str:
    try:
        key.verify(bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"]))
    except AuthenticationError:
        return "invalid"
    return "valid"


def test_ecdsa_p256_with_raw_signatures(load_vectors: Load) -> None:
    outcomes: Counter[str] = Counter()
    for group, test in cases(load_vectors, "ecdsa_secp256r1_sha256_p1363_test"):
        key = VerifyingKey.from_raw_untrusted(ESP256, bytes.fromhex(group["publicKey"]["uncompressed"])[1:])
        outcome = holds(key, test)
        assert outcome == test["result"], test["tcId"]
        outcomes[outcome] += 1
    assert outcomes == {"valid": 173, "invalid": 89}


def test_ed25519(load_vectors: Load) -> None:
    outcomes: Counter[str] = Counter()
    for group, test in cases(load_vectors, "ed25519_test"):
        key = VerifyingKey.from_raw_untrusted(ED25519, bytes.fromhex(group["publicKey"]["pk"]))
        outcome = holds(key, test)
        assert outcome == test["result"], test["tcId"]
        outcomes[outcome] += 1
    assert outcomes == {"valid": 88, "invalid": 63}


def test_x25519(load_vectors: Load) -> None:
    """Public keys that give everybody the same secret are refused; all others agree on the right one."""
    outcomes: Counter[str] = Counter()
    for _, test in cases(load_vectors, "x25519_test"):
        public = bytes.fromhex(test["public"])
        if "ZeroSharedSecret" in test["flags"]:
            try:
                KemPublicKey.from_raw_untrusted(HPKE_3_KE, public)
            except MalformedError:
                outcomes["refused"] += 1
            continue
        theirs: Any = KemPublicKey.from_raw_untrusted(HPKE_3_KE, public).key
        ours: Any = KemPrivateKey.from_seed(HPKE_3_KE, bytes.fromhex(test["private"])).key
        assert ours.exchange(theirs).hex() == test["shared"], test["tcId"]
        outcomes["agreed"] += 1
    assert outcomes == {"refused": 31, "agreed": 487}


def test_aes_256_gcm(load_vectors: Load) -> None:
    outcomes: Counter[str] = Counter()
    for group, test in cases(load_vectors, "aes_gcm_test"):
        if (group["keySize"], group["ivSize"], group["tagSize"]) != (256, 96, 128):
            outcomes["not used here"] += 1
            continue
        key, iv, aad, message, ciphertext, tag = (
            bytes.fromhex(test[name]) for name in ("key", "iv", "aad", "msg", "ct", "tag")
        )
        try:
            assert AeadKey(key, bytes(12)).decrypt_untrusted(iv, ciphertext + tag, aad) == message
            assert AeadKey(key, bytes(12)).encrypt(iv, message, aad) == ciphertext + tag
            outcome = "valid"
        except AuthenticationError:
            outcome = "invalid"
        assert outcome == test["result"], test["tcId"]
        outcomes[outcome] += 1
    assert outcomes == {"valid": 39, "invalid": 27, "not used here": 250}


def test_hkdf_sha256(load_vectors: Load) -> None:
    """Those without salt and with a secret of at least 32 bytes: the only ones that `derive` takes."""
    outcomes: Counter[str] = Counter()
    for _, test in cases(load_vectors, "hkdf_sha256_test"):
        secret, salt, info = (bytes.fromhex(test[name]) for name in ("ikm", "salt", "info"))
        if salt or len(secret) < 32 or test["result"] != "valid":
            outcomes["not used here"] += 1
            continue
        assert derive(secret, info, test["size"]).hex() == test["okm"], test["tcId"]
        outcomes["agreed"] += 1
    assert outcomes == {"agreed": 8, "not used here": 78}
