"""Tensors to bytes and back, with numpy and without; what does not fit is said with expected and found."""

import builtins
import math
import struct
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ConfigurationError, MalformedError, ProtocolMisuseError, RemoteError
from schemas.model import DType, TensorSpec
from schemas.reason import Reason
from sealedge.client.tensors import (
    class_names_untrusted,
    decode_array_untrusted,
    decode_values_untrusted,
    encode_inputs,
    encode_tensor,
    split_outputs_untrusted,
    tensor_bytes,
)

DTYPES = [*get_args(DType)]


def spec(dtype: str = "float32", shape: tuple[int, ...] = (2, 3), labels: tuple[str, ...] | None = None) -> TensorSpec:
    return TensorSpec(name="x", dtype=dtype, shape=shape, labels=labels)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(6,), (2, 3), (1, 2, 3), ()])
def test_arrays_lists_and_bytes_say_the_same(dtype: str, shape: tuple[int, ...]) -> None:
    about = spec(dtype, shape)
    array = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    encoded = encode_tensor(about, array)
    assert len(encoded) == tensor_bytes(about)
    assert encode_tensor(about, array.tolist()) == encoded
    assert encode_tensor(about, encoded) == encoded
    assert encode_tensor(about, bytearray(encoded)) == encoded
    back = decode_array_untrusted(about, encoded)
    assert back.dtype == array.dtype
    assert back.shape == shape
    assert np.array_equal(back, array)
    assert decode_values_untrusted(about, encoded) == tuple(array.ravel().tolist())


def test_arrays_that_lie_otherwise_in_memory_are_row_major_and_little_endian_on_the_wire() -> None:
    array = np.asfortranarray(np.arange(6, dtype="float32").reshape(2, 3))
    expected = struct.pack("<6f", *range(6))
    assert encode_tensor(spec(), array) == expected
    assert encode_tensor(spec(), np.arange(12, dtype="float32").reshape(2, 6)[:, ::2] / 2) == expected


def test_a_decoded_array_is_the_programs_own() -> None:
    array = decode_array_untrusted(spec("uint8", (2,)), b"ab")
    array[0] = 7
    assert array.tolist() == [7, 98]


@pytest.mark.parametrize(
    ("value", "expected", "found"),
    [
        (np.zeros((2, 3)), "float32", "float64"),
        (np.zeros((2, 3), dtype=">f4"), "float32", ">f4"),
        (np.zeros((3, 2), dtype="float32"), "(2, 3)", "(3, 2)"),
        (np.zeros(6, dtype="float32"), "(2, 3)", "(6,)"),
        ([[0.0] * 3], "(2, 3)", "(1, 3)"),
        ([[0.0] * 3, [0.0] * 2], "(2, 3)", "None"),
        ([0.0] * 5, "(2, 3)", "(5,)"),
        (["a"] * 6, "numbers that are float32", "another"),
        ("abcdef", "(2, 3)", "()"),
        (None, "(2, 3)", "()"),
        ([1e39] * 6, "numbers that are float32", "another"),
        (bytes(23), "24", "23"),
        ({"y": [0.0] * 6}, "['x']", "['y']"),
    ],
)
def test_what_does_not_fit_is_said(value: Any, expected: str, found: str) -> None:
    with pytest.raises(ProtocolMisuseError) as caught:
        encode_inputs([spec()], value)
    assert caught.value.reason is Reason.INPUT_INVALID
    finding = caught.value.finding
    assert finding is not None
    assert (finding.expected, finding.found) == (expected, found)
    assert f"expected {expected}, found {found}" in caught.value.diagnostics


def test_a_refused_input_is_not_in_the_error() -> None:
    with pytest.raises(ProtocolMisuseError) as caught:
        encode_inputs([spec("uint8", (2,))], [147, 1_000_147])
    assert "147" not in caught.value.diagnostics


def test_several_inputs_by_name_in_order_and_as_bytes() -> None:
    specs = [
        TensorSpec(name="a", dtype="uint8", shape=(2,)),
        TensorSpec(name="b", dtype="int16", shape=(1,)),
    ]
    expected = b"\x01\x02\x03\x00"
    assert encode_inputs(specs, {"b": [3], "a": [1, 2]}) == expected
    assert encode_inputs(specs, ([1, 2], [3])) == expected
    assert encode_inputs(specs, expected) == expected
    for wrong in ([1, 2, 3], ([1, 2],), b"\x01", {"a": [1, 2]}):
        with pytest.raises(ProtocolMisuseError):
            encode_inputs(specs, wrong)


def test_outputs_are_split_by_name() -> None:
    specs = [TensorSpec(name="a", dtype="uint8", shape=(2,)), TensorSpec(name="b", dtype="int16", shape=())]
    assert split_outputs_untrusted(specs, b"abcd") == {"a": b"ab", "b": b"cd"}
    for wrong in (b"", b"abc", b"abcde"):
        with pytest.raises(MalformedError):
            split_outputs_untrusted(specs, wrong)


@pytest.mark.parametrize(
    ("dtype", "shape", "labels", "values", "names"),
    [
        ("float32", (1,), ("no", "yes"), [0.49], ("no",)),
        ("float32", (1,), ("no", "yes"), [0.5], ("yes",)),
        ("float32", (2,), ("no", "yes"), [0.9, 0.1], ("no",)),
        ("float32", (2, 3), ("a", "b", "c"), [0, 1, 0, 5, 1, 4], ("b", "a")),
        ("int8", (3,), ("a", "b", "c"), [-3, -1, -2], ("b",)),
        ("int64", (2,), ("a", "b", "c"), [2, 0], ("c", "a")),
        ("uint8", (), ("a", "b"), [1], ("b",)),
        ("bool", (1,), ("a", "b"), [True], ("b",)),
        ("int64", (2,), ("a", "b", "c"), [3, 0], ()),
        ("int64", (2,), ("a", "b", "c"), [-1, 0], ()),
        ("float32", (1,), ("a", "b", "c"), [0.5], ()),
        ("float32", (1,), ("a", "b"), [math.nan], ()),
        ("float32", (2,), ("a", "b"), [math.inf, 0], ()),
        ("float32", (1,), None, [0.5], ()),
    ],
)
def test_class_names(
    dtype: str, shape: tuple[int, ...], labels: tuple[str, ...] | None, values: list[float], names: tuple[str, ...]
) -> None:
    about = spec(dtype, shape, labels)
    assert class_names_untrusted(about, encode_tensor(about, values if shape else values[0])) == names


def test_without_numpy_only_arrays_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name == "numpy":
            raise ImportError(name)
        return genuine(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    data = encode_inputs([spec("float32", (2,))], [1.0, 2.0])
    assert decode_values_untrusted(spec("float32", (2,)), data) == (1.0, 2.0)
    with pytest.raises(ConfigurationError, match="numpy is not installed"):
        decode_array_untrusted(spec("float32", (2,)), data)


specs = st.builds(
    spec,
    st.sampled_from(DTYPES),
    st.lists(st.integers(1, 4), max_size=3).map(tuple),
    st.none() | st.lists(st.text(max_size=5), max_size=5).map(tuple),
)


@given(specs, st.binary(max_size=100))
def test_any_output_is_decoded_or_refused_as_the_remotes_fault(about: TensorSpec, data: bytes) -> None:
    for decode in (decode_values_untrusted, decode_array_untrusted, class_names_untrusted):
        try:
            decode(about, data)
        except RemoteError:
            assert len(data) != tensor_bytes(about)
        else:
            assert len(data) == tensor_bytes(about)
