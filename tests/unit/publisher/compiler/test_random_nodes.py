"""Nodes of random shapes and attributes against onnxruntime: each strides, blocks and merges dimensions its own way."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.support.single_nodes import Constant, Single, Table, const

Random = np.random.Generator
TYPES = ("float32", "float32", "int64", "int32", "uint8", "float64")


def shape(rng: Random, least: int = 1, most: int = 4) -> tuple[int, ...]:
    return tuple(int(each) for each in rng.choice([1, 2, 3, 4, 5, 17], rng.integers(least, most + 1)))


def array(rng: Random, lengths: tuple[int, ...], dtype: str = "") -> Any:
    return (rng.standard_normal(lengths) * 9).astype("int32").astype(dtype or str(rng.choice(TYPES)))


def narrowed(rng: Random, lengths: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that can be broadcast onto another."""
    behind = lengths[rng.integers(0, len(lengths) + 1) :]
    return tuple(1 if rng.random() < 0.4 else each for each in behind)


def broadcast(rng: Random) -> Single:
    lengths = shape(rng)
    operator = str(rng.choice(["Add", "Sub", "Mul"]))
    return Single(operator, array(rng, lengths, "float32"), array(rng, narrowed(rng, lengths), "float32"))


def where(rng: Random) -> Single:
    lengths = shape(rng)
    parts = [array(rng, narrowed(rng, lengths), "float32") for _ in range(2)]
    return Single("Where", array(rng, lengths, "int32") > 0, *parts)


def transpose(rng: Random) -> Single:
    lengths = shape(rng, 2, 5)
    return Single("Transpose", array(rng, lengths), perm=[int(each) for each in rng.permutation(len(lengths))])


def slices(rng: Random) -> Single:
    lengths = shape(rng)
    bounds = [const(*rng.integers(-20, 20, len(lengths))) for _ in range(2)]
    steps = rng.choice([-3, -2, -1, 1, 1, 2, 3], len(lengths))
    return Single("Slice", array(rng, lengths), *bounds, const(*range(len(lengths))), const(*steps))


def pads(rng: Random) -> Single:
    lengths, mode = shape(rng), str(rng.choice(["constant", "edge", "wrap"]))
    borders = rng.integers(0, 4, 2 * len(lengths))
    return Single("Pad", array(rng, lengths, "float32"), const(*borders), mode=mode)


def gather(rng: Random) -> Single:
    lengths = shape(rng)
    axis = int(rng.integers(-len(lengths), len(lengths)))
    return Single("Gather", array(rng, lengths), indices(rng, shape(rng, 0, 2), lengths[axis]), axis=axis)


def indices(rng: Random, lengths: tuple[int, ...], count: int) -> Any:
    return rng.integers(-count, count, lengths)


def gather_elements(rng: Random) -> Single:
    lengths = shape(rng)
    axis = int(rng.integers(0, len(lengths)))
    inner = tuple(int(rng.integers(1, each + 1)) for each in lengths)
    return Single("GatherElements", array(rng, lengths), indices(rng, inner, lengths[axis]), axis=axis)


def gather_nd(rng: Random) -> Single:
    lengths = shape(rng, 1, 4)
    depth = int(rng.integers(1, len(lengths) + 1))
    rows = np.stack([indices(rng, (3, 2), each) for each in lengths[:depth]], axis=-1)
    return Single("GatherND", array(rng, lengths), rows)


def scatter_nd(rng: Random) -> Single:
    lengths = shape(rng, 1, 4)
    depth = int(rng.integers(1, len(lengths) + 1))
    rows = np.stack([indices(rng, (4,), each) for each in lengths[:depth]], axis=-1)
    updates = array(rng, (4, *lengths[depth:]), "float32")
    return Single("ScatterND", array(rng, lengths, "float32"), rows, updates, reduction="add")


def reduction(rng: Random) -> Single:
    lengths = shape(rng)
    axes = [each for each in range(len(lengths)) if rng.random() < 0.5] or [0]
    operator = str(rng.choice(["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceLogSumExp"]))
    return Single(operator, array(rng, lengths, "float32"), const(*axes), keepdims=int(rng.integers(0, 2)))


def selection(rng: Random) -> Single:
    lengths = shape(rng)
    axis = int(rng.integers(0, len(lengths)))
    if rng.random() < 0.5:
        return Single(str(rng.choice(["ArgMax", "ArgMin"])), array(rng, lengths, "float32"), axis=axis)
    count = int(rng.integers(1, lengths[axis] + 1))
    largest = int(rng.integers(0, 2))
    return Single("TopK", array(rng, lengths, "float32"), const(count), outputs=2, axis=axis, largest=largest)


def cumulated(rng: Random) -> Single:
    lengths = shape(rng)
    ways = {name: int(rng.integers(0, 2)) for name in ("reverse", "exclusive")}
    return Single("CumSum", array(rng, lengths, "float32"), Constant(np.array(rng.integers(0, len(lengths)))), **ways)


def tiled(rng: Random) -> Single:
    lengths = shape(rng)
    return Single("Tile", array(rng, lengths, "float32"), const(*rng.integers(1, 4, len(lengths))))


def concatenated(rng: Random) -> Single:
    lengths, dtype = shape(rng), str(rng.choice(TYPES))
    axis = int(rng.integers(0, len(lengths)))
    parts = [(*lengths[:axis], int(rng.integers(0, 5)), *lengths[axis + 1 :]) for _ in range(3)]
    return Single("Concat", *(array(rng, each, dtype) for each in parts), axis=axis)


def resized(rng: Random) -> Single:
    image = array(rng, (1, 2, int(rng.integers(1, 9)), int(rng.integers(1, 9))), "float32")
    how = str(rng.choice(["half_pixel", "asymmetric", "align_corners"]))
    sizes = const(1, 2, *rng.integers(1, 12, 2))
    mode = str(rng.choice(["nearest", "linear"]))
    return Single("Resize", image, None, None, sizes, mode=mode, coordinate_transformation_mode=how)


KINDS: tuple[Callable[[Random], Single], ...] = (
    *(broadcast, where, transpose, slices, pads, gather, gather_elements, gather_nd, scatter_nd, reduction),
    *(selection, cumulated, tiled, concatenated, resized),
)


def table(seed: int, each: int) -> Table:
    """As many nodes of each kind."""
    rng = np.random.default_rng(seed)
    return Table({f"{kind.__name__} {number}": kind(rng) for kind in KINDS for number in range(each)})


def test_some_random_nodes_answer_as_onnxruntime_does() -> None:
    some = table(1, 2)
    for name in some.cases:
        some.check(name)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 5))
def test_random_nodes_answer_as_onnxruntime_does(seed: int) -> None:
    many = table(seed, 20)
    for name in many.cases:
        many.check(name)
