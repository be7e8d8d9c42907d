"""Attention: a whole transformer block of single operators, and ONNX's one operator in its forms."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from protocol.errors import ConfigurationError, EnclaveError
from schemas.reason import Reason
from tests.support.compiling import against_onnxruntime, compiled, model_of
from tests.support.single_nodes import Single, Table

RNG = np.random.default_rng(13)
LENGTH, WIDTH, HEADS, HIDDEN = 9, 24, 3, 40


def floats(*shape: int) -> NDArray[np.float32]:
    return RNG.standard_normal(shape).astype(np.float32)


Q, K, V = floats(2, 4, 5, 8), floats(2, 4, 7, 8), floats(2, 4, 7, 6)
SEEN = RNG.random((5, 7)) < 0.7
SEEN[:, 0] = True
PAST = floats(2, 4, 3, 8), floats(2, 4, 3, 6)
FLAT = floats(2, 5, 32), floats(2, 7, 16), floats(2, 7, 12)
TABLE = Table(
    {
        "plain": Single("Attention", Q, K, V),
        "scaled, capped": Single("Attention", Q, K, V, scale=0.2, softcap=1.5),
        "causal": Single("Attention", Q, K, V, is_causal=1),
        "a mask to add": Single("Attention", Q, K, V, floats(5, 7)),
        "a mask of words": Single("Attention", Q, K, V, SEEN),
        "a mask of each head": Single("Attention", Q, K, V, floats(2, 4, 5, 7), is_causal=1),
        "shared keys": Single("Attention", Q, K[:, :2], V[:, :2]),
        "flat, shared keys": Single("Attention", *FLAT, q_num_heads=4, kv_num_heads=2),
        "with what is past": Single("Attention", Q, K, V, None, *PAST, outputs=3, is_causal=1),
    },
    opset=23,
)


def turned(x: Any, cosines: Any, sines: Any, positions: Any = None) -> Any:
    """RotaryEmbedding of halves."""
    if positions is not None:
        cosines, sines = cosines[positions], sines[positions]
    c, s = cosines[:, None], sines[:, None]
    half = c.shape[-1]
    one, other, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return np.concatenate([c * one - s * other, s * one + c * other, rest], axis=-1).astype(np.float32)


def turned_pairs(x: Any, cosines: Any, sines: Any) -> Any:
    """RotaryEmbedding of neighbours, over [batch, length, heads * size]."""
    pairs = x.reshape(2, 5, 4, 4, 2)
    c, s = cosines[:, :, None], sines[:, :, None]
    one, other = pairs[..., 0], pairs[..., 1]
    return np.stack([c * one - s * other, s * one + c * other], axis=-1).reshape(x.shape).astype(np.float32)


POSITIONS = RNG.integers(0, 10, (2, 5))
TURNS = Table(
    {
        "halves": Single("RotaryEmbedding", Q, floats(10, 4), floats(10, 4), POSITIONS, expected=turned),
        "a part, in order": Single(
            "RotaryEmbedding", Q, floats(2, 5, 2), floats(2, 5, 2), expected=turned, rotary_embedding_dim=4
        ),
        "neighbours, flat": Single(
            *("RotaryEmbedding", FLAT[0], floats(2, 5, 4), floats(2, 5, 4)),
            expected=turned_pairs,
            num_heads=4,
            interleaved=1,
        ),
    },
    opset=23,
)


def test_the_operator_with_all_that_it_can_be_given() -> None:
    mask = floats(2, 1, 5, 10)
    single = Single("Attention", Q, K, V, mask, *PAST, outputs=3, is_causal=1, softcap=2.0)
    Table({"all": single}, opset=23).check("all")


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE.cases)
def test_the_operator_answers_as_onnxruntime_does(name: str) -> None:
    TABLE.check(name)


@pytest.mark.parametrize("name", TURNS.cases)
def test_positions_turn_pairs(name: str) -> None:
    TURNS.check(name)


def test_a_position_outside_the_table_is_an_invalid_input() -> None:
    single = TURNS.cases["halves"]
    run = compiled(single.model(23))
    given = single.given
    run(given)
    for wrong in (10, -1, 2**62):
        given["i3"] = np.full((2, 5), wrong)
        with pytest.raises(EnclaveError) as told:
            run(given)
        assert told.value.reason is Reason.INPUT_INVALID


def block() -> tuple[list[Any], dict[str, NDArray[Any]]]:
    """x + attention(norm(x)), then that + mlp(norm(that)), as exporters write it."""
    constants: dict[str, NDArray[Any]] = {
        "scale": floats(WIDTH),
        "bias": floats(WIDTH),
        "qkv": floats(WIDTH, 3 * WIDTH) / 5,
        "out": floats(WIDTH, WIDTH) / 5,
        "up": floats(WIDTH, HIDDEN) / 5,
        "up_bias": floats(HIDDEN),
        "down": floats(HIDDEN, WIDTH) / 5,
        "split": np.array([LENGTH, 3, HEADS, WIDTH // HEADS]),
        "join": np.array([1, LENGTH, WIDTH]),
        "root": np.float32((WIDTH // HEADS) ** 0.5),
        "axis0": np.array([0]),
        **{f"part{number}": np.array(number) for number in range(3)},
    }
    node = helper.make_node
    nodes = [
        node("LayerNormalization", ["x", "scale", "bias"], ["n"]),
        node("MatMul", ["n", "qkv"], ["p"]),
        node("Reshape", ["p", "split"], ["s"]),
        node("Transpose", ["s"], ["t"], perm=[1, 2, 0, 3]),
        *(node("Gather", ["t", f"part{number}"], [name]) for number, name in enumerate("qkv")),
        node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        node("MatMul", ["q", "kt"], ["scores"]),
        node("Div", ["scores", "root"], ["scaled"]),
        node("Softmax", ["scaled"], ["weights"]),
        node("MatMul", ["weights", "v"], ["seen"]),
        node("Transpose", ["seen"], ["heads"], perm=[1, 0, 2]),
        node("Reshape", ["heads", "join"], ["joined"]),
        node("MatMul", ["joined", "out"], ["o"]),
        node("Add", ["o", "x"], ["y"]),
        node("LayerNormalization", ["y", "scale", "bias"], ["m"]),
        node("MatMul", ["m", "up"], ["u"]),
        node("Add", ["u", "up_bias"], ["ub"]),
        node("Gelu", ["ub"], ["g"]),
        node("MatMul", ["g", "down"], ["d"]),
        node("Add", ["d", "y"], ["z"]),
    ]
    return nodes, constants


def test_a_transformer_block() -> None:
    nodes, constants = block()
    x = floats(1, LENGTH, WIDTH)
    model = model_of(nodes, {"x": x}, ["z"], constants)
    against_onnxruntime(model, {"x": x}, 1e-6)


def test_what_is_refused() -> None:
    for single, word in (
        (Single("Attention", Q, K[:, :3], V[:, :3]), "fit"),
        (Single("Attention", Q, K, V, floats(4, 7)), "mask"),
        (Single("RotaryEmbedding", Q, floats(2, 5, 3), floats(2, 5, 3)), "tables"),
    ):
        with pytest.raises(ConfigurationError, match=word):
            compiled(single.model(23))
