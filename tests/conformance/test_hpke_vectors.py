"""HPKE base mode: RFC 9180 Appendix A, and X-Wing from the draft and from another implementation.

The vectors' ciphertexts have an aad, which sealedge's calls leave empty. What they must agree on is the key
schedule: a message sealed under the vector's own `key` and `base_nonce`, with an empty aad, must open.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from protocol.algorithms import HPKE_3_KE, HPKE_XWING_KE
from protocol.errors import AuthenticationError
from protocol.hpke import open_suite_untrusted, open_untrusted
from protocol.keys import KemPrivateKey

Load = Callable[[str], Any]

COSE_ID = {(0x10, 1, 1): 46, (0x20, 1, 1): 49, (0x20, 1, 3): 50}
AEADS: dict[int, type[AESGCM] | type[ChaCha20Poly1305]] = {1: AESGCM, 2: AESGCM, 3: ChaCha20Poly1305}


def unhex(vector: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(vector[name]) for name in names]


def test_rfc9180_base_mode(load_vectors: Load) -> None:
    outcomes: Counter[str] = Counter()
    for vector in load_vectors("hpke/rfc9180/rfc9180_subset.json"):
        if vector["mode"] != 0:
            outcomes["not base mode"] += 1
            continue
        algorithm = COSE_ID.get((vector["kem_id"], vector["kdf_id"], vector["aead_id"]))
        if algorithm is None:
            outcomes["no COSE number"] += 1
            continue
        secret, enc, info, key, nonce = unhex(vector, "skRm", "enc", "info", "key", "base_nonce")
        private = (
            KemPrivateKey.from_seed(HPKE_3_KE, secret).key
            if vector["kem_id"] == 0x20
            else ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
        )
        ciphertext = AEADS[vector["aead_id"]](key).encrypt(nonce, b"beauty is truth", b"")
        assert open_suite_untrusted(algorithm, private, enc, ciphertext, info) == b"beauty is truth"
        outcomes["opened"] += 1
    assert outcomes == {"opened": 3, "no COSE number": 4, "not base mode": 21}


@pytest.fixture(scope="module")
def xwing() -> Any:
    return json.loads((Path(__file__).parent / "xwing.json").read_text(encoding="utf-8"))


def test_xwing_of_the_draft(xwing: Any) -> None:
    """Our seed expansion and the library's X-Wing agree with draft-ietf-hpke-pq (a suite with ChaCha20)."""
    seed, public, info, enc, key, nonce = unhex(
        xwing["draft-ietf-hpke-pq"], "seed", "public", "info", "enc", "key", "base_nonce"
    )
    private = KemPrivateKey.from_seed(HPKE_XWING_KE, seed)
    assert private.public.raw == public
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    ciphertext = ChaCha20Poly1305(key).encrypt(nonce, b"beauty is truth", b"")
    assert suite.decrypt(enc + ciphertext, private.key, info=info) == b"beauty is truth"


def test_xwing_sealed_by_go(xwing: Any) -> None:
    """The suite that sealedge uses, sealed elsewhere."""
    vector = xwing["go-crypto-hpke"]
    seed, public, info, enc, ciphertext = unhex(vector, "seed", "public", "info", "enc", "ciphertext")
    private = KemPrivateKey.from_seed(HPKE_XWING_KE, seed)
    assert private.public.raw == public
    assert open_untrusted(private, enc, ciphertext, info).hex() == vector["plaintext"]
    with pytest.raises(AuthenticationError):
        open_untrusted(private, enc, ciphertext, info + b"!")
