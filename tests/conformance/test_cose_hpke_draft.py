"""The vectors of draft-ietf-cose-hpke-27: 192 messages; those in reach of base mode with an empty aad open.

Out of reach, and why:
  pre-shared key    `cryptography`'s public calls have base mode only; sealedge uses no other
  integrated mode   COSE_Encrypt0 puts the Enc_structure into HPKE's aad, which those calls leave empty
  external aad      the same, in key encryption
  X448              HPKE-5 and HPKE-6, which `cryptography`'s HPKE does not have
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from protocol import cbor
from protocol.algorithms import HPKE_3_KE, HPKE_SUITES
from protocol.cose_encrypt import recipient_structure
from protocol.cose_structure import enc_structure
from protocol.hpke import open_suite_untrusted
from protocol.kem_keys import HpkePrivateKey, KemPrivateKey

PLAINTEXT = b"hpke test payload"
CURVES = {1: ec.SECP256R1(), 2: ec.SECP384R1(), 3: ec.SECP521R1()}
CHACHA20_POLY1305 = 24
HPKE_4_KE = 50


@dataclass
class Case:
    title: str
    key: dict[int, int | bytes]
    message: bytes

    @property
    def out_of_reach(self) -> str | None:
        if "PSK" in self.title:
            return "pre-shared key"
        if "Encrypt0" in self.title:
            return "integrated mode"
        if "external hpke aad" in self.title:
            return "external aad"
        return None if self.key[3] in HPKE_SUITES else "X448"


def cases(vectors: Path) -> Iterator[Case]:
    key: dict[int, int | bytes] = {}
    title = ""
    text = (vectors / "cose-hpke/draft-cose-hpke/testvectors.txt").read_text(encoding="utf-8")
    for line in filter(None, text.splitlines()):
        if found := re.fullmatch(r"HPKE-\S+ COSE_Key::? (\w+)", line):
            key = decode_key(bytes.fromhex(found[1]))
        elif found := re.fullmatch(r"Ciphertext: (\w+)", line):
            yield Case(title, key, bytes.fromhex(found[1]))
        else:
            title = line


def decode_key(encoded: bytes) -> dict[int, int | bytes]:
    """The draft's keys are not deterministic (kty, kid, alg, ...), so not ours to decode."""
    found: dict[int, int | bytes] = cbor2.loads(encoded)
    return found


def private_key(key: dict[int, int | bytes]) -> HpkePrivateKey | ec.EllipticCurvePrivateKey:
    secret = key[-4]
    assert isinstance(secret, bytes)
    if key[3] in (HPKE_3_KE, HPKE_4_KE):
        return KemPrivateKey.from_seed(HPKE_3_KE, secret).key
    assert isinstance(key[-1], int)
    return ec.derive_private_key(int.from_bytes(secret, "big"), CURVES[key[-1]])


def opened(case: Case) -> bytes:
    message = cbor.decode_untrusted(case.message)
    assert isinstance(message, cbor.CBORTag)
    protected, unprotected, ciphertext, (recipient,) = message.value
    algorithm = case.key[3]
    assert isinstance(algorithm, int)
    content_algorithm = cbor2.loads(protected)[1]
    extra = b"external-info" if "external info" in case.title else b""
    info = recipient_structure(recipient[0], extra, content_algorithm)
    cek = open_suite_untrusted(algorithm, private_key(case.key), recipient[1][-4], recipient[2], info)
    aad = enc_structure("Encrypt", protected, b"external-aad" if "external aad" in case.title else b"")
    aead = ChaCha20Poly1305(cek) if content_algorithm == CHACHA20_POLY1305 else AESGCM(cek)
    return aead.decrypt(unprotected[5], ciphertext, aad)


def test_all_vectors_in_reach_open(vectors: Path) -> None:
    found = list(cases(vectors))
    reachable = [case for case in found if case.out_of_reach is None]
    assert [case.title for case in reachable if opened(case) != PLAINTEXT] == []
    assert len(found) == 192
    assert Counter(case.key[3] for case in reachable) == {46: 4, 47: 4, 48: 4, 49: 4, 50: 4, 53: 4}


def test_what_is_out_of_reach_is_counted(vectors: Path) -> None:
    reasons = Counter(case.out_of_reach for case in cases(vectors))
    assert reasons == {None: 24, "pre-shared key": 96, "integrated mode": 32, "external aad": 32, "X448": 8}
