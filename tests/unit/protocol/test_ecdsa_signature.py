"""The two forms of ECDSA signatures, against those of the cryptographic library."""

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.ecdsa_signature import from_der, to_der
from protocol.errors import AuthenticationError
from protocol.keys import SigningKey, VerifyingKey

coordinates = st.integers(0, 2**256 - 1) | st.integers(0, 255).map(lambda bits: 2**bits)


@given(coordinates, coordinates)
@example(0, 2**256 - 1)
@example(2**255, 2**247)
def test_both_forms_are_those_of_the_library(r: int, s: int) -> None:
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert to_der(raw) == encode_dss_signature(r, s)
    assert from_der(encode_dss_signature(r, s)) == raw


@given(st.integers(2**256, 2**264))
def test_an_integer_that_p256_does_not_have_is_no_coordinate(number: int) -> None:
    with pytest.raises(OverflowError):
        from_der(encode_dss_signature(1, number))


def test_what_a_key_signs_is_what_its_library_signed() -> None:
    key = SigningKey.generate()
    for number in range(64):
        data = bytes((number,))
        signature = key.sign(data)
        key.public.verify(signature, data)
        assert len(signature) == 64
        halves = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        assert decode_dss_signature(to_der(signature)) == halves


@pytest.mark.parametrize("algorithm", [-9, -19])
def test_a_key_verifies_after_it_was_read_from_bytes(algorithm: int) -> None:
    key = SigningKey.generate(algorithm=algorithm)
    public = VerifyingKey.from_raw_untrusted(algorithm, key.public.raw)
    assert public == key.public
    public.verify(key.sign(b"data"), b"data")


@pytest.mark.parametrize("algorithm", [-9, -19])
@given(signature=st.binary(max_size=80) | st.binary(min_size=64, max_size=64))
def test_any_other_bytes_are_no_signature(algorithm: int, signature: bytes) -> None:
    key = SigningKey.generate(b"\7".__mul__, algorithm=algorithm)
    with pytest.raises(AuthenticationError):
        key.public.verify(signature, b"data")
