"""Signing keys: forms, refusals, thumbprints, and silence about secrets."""

import hashlib
import pickle
import random
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from protocol import cbor
from protocol.algorithms import ED25519, ESP256
from protocol.errors import AuthenticationError, ConfigurationError, MalformedError, RemoteError, UnsupportedError
from protocol.keys import SigningKey, VerifyingKey

BOTH = pytest.mark.parametrize("algorithm", [ESP256, ED25519])
GENERATOR = {algorithm: SigningKey.generate(algorithm=algorithm) for algorithm in (ESP256, ED25519)}


def seeded(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


@BOTH
@given(data=st.binary(max_size=100), other=st.binary(max_size=100))
def test_signatures(algorithm: int, data: bytes, other: bytes) -> None:
    key = GENERATOR[algorithm]
    signature = key.sign(data)
    assert len(signature) == 64
    key.public.verify(signature, data)
    if data != other:
        with pytest.raises(AuthenticationError):
            key.public.verify(signature, other)


@BOTH
def test_every_flipped_bit_of_a_signature_is_refused(algorithm: int) -> None:
    key = GENERATOR[algorithm]
    signature = key.sign(b"data")
    for position in range(64):
        changed = bytearray(signature)
        changed[position] ^= 1 << position % 8
        with pytest.raises(AuthenticationError):
            key.public.verify(bytes(changed), b"data")


@BOTH
@given(signature=st.binary(max_size=80))
def test_garbage_is_no_signature(algorithm: int, signature: bytes) -> None:
    with pytest.raises(AuthenticationError):
        GENERATOR[algorithm].public.verify(signature, b"data")


@BOTH
@pytest.mark.parametrize("length", [0, 63, 65, 70, 128])
def test_signatures_of_other_lengths(algorithm: int, length: int) -> None:
    key = GENERATOR[algorithm]
    with pytest.raises(AuthenticationError):
        key.public.verify((key.sign(b"data") * 2)[:length], b"data")


def test_padded_or_stripped_halves_are_refused() -> None:
    """r and s as numbers would be the same: only one form of them is a signature."""
    key = GENERATOR[ESP256]
    signature = key.sign(b"data")
    for padded in (b"\0" + signature, signature[:32] + b"\0" + signature[32:]):
        with pytest.raises(AuthenticationError):
            key.public.verify(padded, b"data")
    short_s = next(each for each in iter(lambda: key.sign(b"data"), b"") if each[32] == 0)
    with pytest.raises(AuthenticationError):
        key.public.verify(short_s[:32] + short_s[33:], b"data")


def test_der_signatures_are_refused() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(AuthenticationError):
        SigningKey.from_cryptography(private).public.verify(private.sign(b"data", ec.ECDSA(hashes.SHA256())), b"data")


@BOTH
def test_generation_is_a_function_of_the_randomness(algorithm: int) -> None:
    one, same, other = (SigningKey.generate(seeded(seed), algorithm=algorithm) for seed in (1, 1, 2))
    assert one.public == same.public != other.public
    assert hash(one.public) == hash(same.public)


@pytest.mark.parametrize("fill", [b"\x00", b"\xff"])
def test_extreme_randomness_still_gives_a_p256_key(fill: bytes) -> None:
    key = SigningKey.generate(lambda length: fill * length)
    key.public.verify(key.sign(b"data"), b"data")


@BOTH
def test_cose_key_round_trip(algorithm: int) -> None:
    public = GENERATOR[algorithm].public
    decoded = cbor.decode_untrusted(cbor.encode(public.to_cose_key()))
    assert VerifyingKey.from_cose_key_untrusted(decoded) == public


@BOTH
def test_pem_round_trip(algorithm: int) -> None:
    key = GENERATOR[algorithm]
    again = SigningKey.from_pem(key.pem())
    assert again.public == key.public
    assert again.algorithm == algorithm


@BOTH
def test_public_pem_round_trip(algorithm: int) -> None:
    public = GENERATOR[algorithm].public
    assert VerifyingKey.from_pem(public.pem()) == public


def public_pem(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | x25519.X25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"garbage",
        GENERATOR[ESP256].pem(),
        public_pem(ec.generate_private_key(ec.SECP384R1()).public_key()),
        public_pem(x25519.X25519PrivateKey.generate().public_key()),
        public_pem(ed25519.Ed25519PublicKey.from_public_bytes(b"\x01" + bytes(31))),
    ],
    ids=["empty", "garbage", "private key", "P-384", "X25519", "small order"],
)
def test_other_public_pem_is_refused(pem: bytes) -> None:
    with pytest.raises(ConfigurationError):
        VerifyingKey.from_pem(pem)


def test_thumbprint_covers_the_required_parameters_only() -> None:
    """RFC 9679 §3: kty, crv, x, y for EC2; kty, crv, x for OKP; nothing else, in deterministic order."""
    p256, ed = GENERATOR[ESP256].public, GENERATOR[ED25519].public
    x, y = p256.raw[:32], p256.raw[32:]
    expected = bytes.fromhex("a4" + "0102" + "2001" + "215820") + x + bytes.fromhex("225820") + y
    assert p256.thumbprint == hashlib.sha256(expected).digest()
    expected = bytes.fromhex("a3" + "0101" + "2006" + "215820") + ed.raw
    assert ed.thumbprint == hashlib.sha256(expected).digest()


def test_thumbprint_of_rfc_9679() -> None:
    """The example of RFC 9679 §6."""
    x = "65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d"
    y = "1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c"
    key = VerifyingKey.from_raw_untrusted(ESP256, bytes.fromhex(x + y))
    assert key.thumbprint.hex() == "496bd8afadf307e5b08c64b0421bf9dc01528a344a43bda88fadd1669da253ec"


def changed(algorithm: int, change: dict[int, cbor.CborValue]) -> dict[int, cbor.CborValue]:
    return {**GENERATOR[algorithm].public.to_cose_key(), **change}


REFUSED: dict[str, cbor.CborValue] = {
    "not a map": [1, 2],
    "empty": {},
    "ES256": changed(ESP256, {3: -7}),
    "EdDSA": changed(ED25519, {3: -8}),
    "no algorithm": {label: value for label, value in GENERATOR[ESP256].public.to_cose_key().items() if label != 3},
    "algorithm of the other": changed(ESP256, {3: ED25519}),
    "other algorithm of the other": changed(ED25519, {3: ESP256}),
    "OKP with P-256": changed(ESP256, {1: 1}),
    "EC2 with Ed25519": changed(ED25519, {1: 2}),
    "P-384": changed(ESP256, {-1: 2}),
    "X25519": changed(ED25519, {-1: 4}),
    "X448": changed(ED25519, {-1: 5}),
    "compressed point": changed(ESP256, {-3: True}),
    "point off the curve": changed(ESP256, {-2: bytes(31) + b"\x01"}),
    "coordinate not below the prime": changed(ESP256, {-2: b"\xff" * 32}),
    "short coordinate": changed(ESP256, {-2: bytes(31)}),
    "coordinates split elsewhere": changed(ESP256, {-2: bytes(33), -3: bytes(31)}),
    "text coordinate": changed(ED25519, {-2: "x" * 32}),
    "private part": changed(ESP256, {-4: bytes(32)}),
    "key operations": changed(ESP256, {4: [2]}),
    "algorithm as a float": changed(ESP256, {3: -9.0}),
    "algorithm as a list": changed(ESP256, {3: [-9]}),
    "kty as a bool": changed(ED25519, {1: True}),
    "curve as a bool": changed(ESP256, {-1: True}),
}


@pytest.mark.parametrize("cose_key", REFUSED.values(), ids=REFUSED)
def test_refused_cose_keys(cose_key: cbor.CborValue) -> None:
    with pytest.raises((MalformedError, UnsupportedError)):
        VerifyingKey.from_cose_key_untrusted(cose_key)


@given(
    st.dictionaries(
        st.sampled_from([1, 2, 3, -1, -2, -3, "kty"]),
        st.sampled_from([1, 2, 7, -7, -8, -9, -19, 4, 6, True, None, 1.0, "x", []]) | st.binary(max_size=33),
    )
    | st.recursive(st.integers() | st.none() | st.text(), st.lists)
)
def test_garbage_is_no_cose_key(found: cbor.CborValue) -> None:
    with pytest.raises(RemoteError):
        VerifyingKey.from_cose_key_untrusted(found)


@given(st.sampled_from([ESP256, ED25519, -7, -8, 0]), st.binary(max_size=70))
def test_garbage_is_a_key_or_refused(algorithm: int, raw: bytes) -> None:
    try:
        key = VerifyingKey.from_raw_untrusted(algorithm, raw)
    except RemoteError:
        return
    with pytest.raises(AuthenticationError):
        key.verify(bytes(64), b"data")


PRIME = 2**255 - 19
ORDER_EIGHT = (
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)
SMALL_ORDER_Y = [0, 1, PRIME - 1, *(int.from_bytes(bytes.fromhex(y), "little") for y in ORDER_EIGHT)]
SMALL_ORDER = [y | sign << 255 for y in (*SMALL_ORDER_Y, PRIME, PRIME + 1) for sign in (0, 1)]


@pytest.mark.parametrize("encoded", SMALL_ORDER, ids=hex)
def test_ed25519_keys_of_small_order_are_refused(encoded: int) -> None:
    with pytest.raises(MalformedError):
        VerifyingKey.from_raw_untrusted(ED25519, encoded.to_bytes(32, "little"))


def test_why_small_orders_are_refused() -> None:
    """Under the neutral element as key, the library takes one signature for every message."""
    neutral = ed25519.Ed25519PublicKey.from_public_bytes(b"\x01" + bytes(31))
    for message in (b"one", b"two"):
        neutral.verify(b"\x01" + bytes(63), message)


def doubled(y: int) -> int:
    """The y of 2P for a point with this y on -x² + y² = 1 + d x² y²."""
    d = -121665 * pow(121666, -1, PRIME) % PRIME
    x_squared = (y * y - 1) * pow(d * y * y + 1, -1, PRIME) % PRIME
    return (y * y + x_squared) * pow(1 - d * x_squared * y * y, -1, PRIME) % PRIME


@pytest.mark.parametrize("y", SMALL_ORDER_Y, ids=hex)
def test_the_listed_points_have_small_order(y: int) -> None:
    """Eight times the point is the neutral element; there are eight such points, on five values of y."""
    assert doubled(doubled(doubled(y))) == 1


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        x25519.X25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
        GENERATOR[ESP256].public,
    ],
    ids=["P-384", "X25519", "RSA", "public key"],
)
def test_other_private_keys_are_refused(key: object) -> None:
    with pytest.raises(ConfigurationError):
        SigningKey.from_cryptography(key)


def test_a_key_that_never_leaves_its_device_signs_as_any_other() -> None:
    """A device's own implementation of the interface: it signs, names its public key, and gives nothing out."""
    inside = ec.generate_private_key(ec.SECP256R1())

    def keep(*_: object) -> bytes:
        raise PermissionError("the key stays in the device")

    methods = dict.fromkeys(ec.EllipticCurvePrivateKey.__abstractmethods__, keep)
    answers = {
        "curve": inside.curve,
        "sign": lambda _self, data, algorithm: inside.sign(data, algorithm),
        "public_key": lambda _self: inside.public_key(),
    }
    key = SigningKey.from_cryptography(type("Device", (ec.EllipticCurvePrivateKey,), {**methods, **answers})())
    assert key.public == SigningKey.from_cryptography(inside).public
    key.public.verify(key.sign(b"data"), b"data")
    with pytest.raises(PermissionError):
        key.pem()


def test_other_pem_is_refused() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    encrypted = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"word")
    )
    for pem in (b"", b"garbage", encrypted, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"):
        with pytest.raises(ConfigurationError):
            SigningKey.from_pem(pem)


def test_no_key_for_other_algorithms() -> None:
    for algorithm in (-7, -8, 0, -48):
        with pytest.raises(ConfigurationError):
            SigningKey.generate(algorithm=algorithm)


@BOTH
def test_the_secret_is_not_shown(algorithm: int) -> None:
    randomness = seeded(3)
    key = SigningKey.generate(randomness, algorithm=algorithm)
    assert repr(key) == str(key) == f"SigningKey({key.public.thumbprint.hex()})"
    assert repr(key.public) == f"VerifyingKey({key.public.thumbprint.hex()})"
    with pytest.raises(ConfigurationError):
        pickle.dumps(key)


def test_a_verifying_key_does_not_change() -> None:
    with pytest.raises(AttributeError):
        GENERATOR[ESP256].public.algorithm = ED25519  # type: ignore[misc]  # that is the test
