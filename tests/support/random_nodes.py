"""Nodes and blocks of nodes at random, behind a value that is there: they need not fit."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Random = np.random.Generator
Values = Mapping[str, Array]
FILTERS = (1, 3, 4, 5, 8, 16, 17, 20)


@dataclass(frozen=True)
class Drawn:
    """A node: inputs are names of values, "" for one left out, or constants."""

    operator: str
    inputs: tuple[str | Array, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1


Block = Generator[Drawn, str, None]
"""Nodes one after the other; told the name of each one's first output."""


def weights(rng: Random, *shape: int) -> Array:
    """So small that sums stay in size."""
    fan = max(1, int(np.prod(shape[1:])))
    return (rng.standard_normal(shape) * 1.5 / np.sqrt(fan)).astype(np.float32)


def ints(*numbers: Any) -> Array:
    """A list as operators take it."""
    return np.array(numbers, np.int64)


def some(rng: Random, choices: tuple[Any, ...], count: int) -> list[int]:
    """As many of these numbers."""
    return [int(each) for each in rng.choice(choices, count)]


def divisor(rng: Random, number: int) -> int:
    """1, the number, or something between."""
    return int(rng.choice([each for each in range(1, number + 1) if number % each == 0] or [1]))


def window(rng: Random, rank: int) -> dict[str, Any]:
    """Attributes of a convolution or a pool, without the kernel."""
    found: dict[str, Any] = {"strides": some(rng, (1, 1, 2, 3), rank)}
    if rng.random() < 0.2:
        return {**found, "auto_pad": str(rng.choice(["SAME_UPPER", "SAME_LOWER", "VALID"]))}
    return {**found, "pads": some(rng, (0, 1, 1, 2), 2 * rank), "dilations": some(rng, (1, 1, 1, 2), rank)}


def conv(rng: Random, name: str, values: Values) -> Drawn:
    shape = values[name].shape
    rank, channels = max(1, len(shape) - 2), max(1, shape[min(1, len(shape) - 1)])
    groups = int(rng.choice([1, 1, 1, channels, divisor(rng, channels)]))
    filters = groups * int(rng.choice([1, 1, 2, 3])) if groups > 1 else int(rng.choice(FILTERS))
    kernel = some(rng, (1, 2, 3, 3, 5), rank) if rng.random() < 0.7 else [int(rng.choice([1, 3]))] * rank
    attributes = window(rng, rank) if rng.random() < 0.6 else {"pads": [each // 2 for each in kernel] * 2}
    bias = (weights(rng, filters),) if rng.random() < 0.6 else ()
    return Drawn(
        "Conv", (name, weights(rng, filters, channels // groups, *kernel), *bias), {"group": groups, **attributes}
    )


def conv_transpose(rng: Random, name: str, values: Values) -> Drawn:
    shape = values[name].shape
    rank, channels = max(1, len(shape) - 2), max(1, shape[min(1, len(shape) - 1)])
    groups, each = divisor(rng, channels), int(rng.choice([1, 2, 3, 5]))
    kernel, strides = some(rng, (1, 2, 3, 4), rank), some(rng, (1, 2, 3), rank)
    attributes = {"group": groups, "strides": strides, "pads": some(rng, (0, 0, 1), 2 * rank)}
    if rng.random() < 0.3:
        attributes["output_padding"] = [int(rng.integers(0, stride)) for stride in strides]
    bias = (weights(rng, groups * each),) if rng.random() < 0.5 else ()
    return Drawn("ConvTranspose", (name, weights(rng, channels, each, *kernel), *bias), attributes)


def pool(rng: Random, name: str, values: Values) -> Drawn:
    rank = max(1, values[name].ndim - 2)
    if rng.random() < 0.25:
        return Drawn(str(rng.choice(["GlobalAveragePool", "GlobalMaxPool"])), (name,))
    operator = str(rng.choice(["MaxPool", "AveragePool", "LpPool"]))
    attributes = {"kernel_shape": some(rng, (1, 2, 3), rank), **window(rng, rank), "ceil_mode": int(rng.integers(0, 2))}
    if "auto_pad" in attributes:
        # onnxruntime pads by less than nothing where strides are longer than kernels, and some pools not at all.
        attributes |= {"strides": [1] * rank, "ceil_mode": 0}
    if operator == "AveragePool":
        attributes["count_include_pad"] = int(rng.integers(0, 2))
    return Drawn(operator, (name,), attributes)


def normalised(rng: Random, name: str, values: Values) -> Drawn:
    shape = values[name].shape
    channels = shape[min(1, len(shape) - 1)]
    rows = [weights(rng, channels) for _ in range(3)]
    operator = str(rng.choice(["BatchNormalization", "InstanceNormalization", "LayerNormalization"]))
    if operator == "BatchNormalization":
        return Drawn(operator, (name, *rows, np.abs(weights(rng, channels)) + np.float32(0.5)))
    if operator == "InstanceNormalization":
        return Drawn(operator, (name, *rows[:2]), {"epsilon": 0.1})
    axis = int(rng.integers(-len(shape), 0))
    return Drawn(
        operator, (name, weights(rng, *shape[axis:]), weights(rng, *shape[axis:])), {"axis": axis, "epsilon": 0.1}
    )


ACTIVATIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    *((each, {}) for each in ("Relu", "Sigmoid", "Tanh", "Erf", "Softplus", "Softsign", "HardSwish", "Mish", "Gelu")),
    *((each, {}) for each in ("Abs", "Neg", "Elu", "Selu", "Identity", "Dropout", "Celu")),
    *(("LeakyRelu", {"alpha": each}) for each in (0.1, -0.5, 1.5)),
    *(("HardSigmoid", {"alpha": each}) for each in (0.2, -0.3)),
    ("Gelu", {"approximate": "tanh"}),
)


def activation(rng: Random, name: str, _: Values) -> Drawn:
    operator, attributes = ACTIVATIONS[rng.integers(len(ACTIVATIONS))]
    return Drawn(operator, (name,), attributes)


def clip(rng: Random, name: str, _: Values) -> Drawn:
    bounds = [np.float32(each) if rng.random() < 0.7 else "" for each in rng.choice([-np.inf, -1.5, 0, 0.5, 6], 2)]
    return Drawn("Clip", (name, *(each if isinstance(each, str) else np.array(each) for each in bounds)))


def narrowed(rng: Random, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that can be broadcast onto another."""
    behind = shape[rng.integers(0, len(shape) + 1) :] if rng.random() < 0.5 else shape
    return tuple(1 if rng.random() < 0.4 else each for each in behind)


def other(rng: Random, name: str, values: Values) -> str:
    """A value of the same shape, perhaps the same; else any."""
    alike = [each for each, array in values.items() if array.shape == values[name].shape]
    return str(rng.choice(alike if rng.random() < 0.8 else list(values)))


def binary(rng: Random, name: str, values: Values) -> Drawn:
    operator = str(rng.choice(["Add", "Sub", "Mul", "Max", "Min", "Add", "Mul"]))
    second = other(rng, name, values) if rng.random() < 0.5 else weights(rng, *narrowed(rng, values[name].shape))
    return Drawn(operator, (name, second) if rng.random() < 0.7 else (second, name))


def divided(rng: Random, name: str, values: Values) -> Drawn:
    return Drawn("Div", (name, np.abs(weights(rng, *narrowed(rng, values[name].shape))) + np.float32(1)))


def prelu(rng: Random, name: str, values: Values) -> Drawn:
    return Drawn("PRelu", (name, weights(rng, *narrowed(rng, values[name].shape))))


def where(rng: Random, name: str, values: Values) -> Drawn:
    shape = values[name].shape
    chosen = rng.integers(0, 2, narrowed(rng, shape)).astype(bool)
    second = other(rng, name, values) if rng.random() < 0.5 else weights(rng, *narrowed(rng, shape))
    return Drawn("Where", (chosen, name, second))


def transpose(rng: Random, name: str, values: Values) -> Drawn:
    return Drawn("Transpose", (name,), {"perm": [int(each) for each in rng.permutation(values[name].ndim)]})


def reshape(rng: Random, name: str, values: Values) -> Drawn:
    shape = list(values[name].shape)
    way = int(rng.integers(4))
    if way == 0:
        return Drawn("Flatten", (name,), {"axis": int(rng.integers(-len(shape), len(shape) + 1))})
    if way == 1:
        return Drawn("Unsqueeze", (name, ints(int(rng.integers(-len(shape) - 1, len(shape) + 1)))))
    if way == 2 and 1 in shape:
        return Drawn("Squeeze", (name, ints(shape.index(1))))
    at = int(rng.integers(0, max(1, len(shape) - 1)))
    shape[at : at + 2] = [int(np.prod(shape[at : at + 2]))]
    if rng.random() < 0.5:
        part = divisor(rng, max(1, shape[at]))
        shape[at : at + 1] = [part, shape[at] // part]
    return Drawn("Reshape", (name, ints(*shape)))


def sliced(rng: Random, name: str, values: Values) -> Drawn:
    rank = values[name].ndim
    axes = [each for each in range(rank) if rng.random() < 0.5] or [0]
    bounds = [ints(*rng.integers(-6, 7, len(axes))), ints(*rng.choice([3, 5, 99, -1, -99], len(axes)))]
    return Drawn("Slice", (name, *bounds, ints(*axes), ints(*rng.choice([1, 1, 1, 2, -1, -2], len(axes)))))


def split(rng: Random, name: str, values: Values) -> Drawn:
    shape = values[name].shape
    axis = int(rng.integers(-len(shape), len(shape)))
    cut = int(rng.integers(0, shape[axis] + 1))
    if rng.random() < 0.3:
        return Drawn("Split", (name,), {"axis": axis, "num_outputs": 2}, 2)
    return Drawn("Split", (name, ints(cut, shape[axis] - cut)), {"axis": axis}, 2)


def concat(rng: Random, name: str, values: Values) -> Drawn:
    parts = [other(rng, name, values) for _ in range(int(rng.integers(1, 3)))]
    return Drawn("Concat", (name, *parts), {"axis": int(rng.integers(-values[name].ndim, values[name].ndim))})


def padded(rng: Random, name: str, values: Values) -> Drawn:
    borders = ints(*rng.choice([0, 0, 1, 2, -1], 2 * values[name].ndim))
    mode = str(rng.choice(["constant", "constant", "edge", "reflect"]))
    return Drawn("Pad", (name, borders, np.array(0.5, np.float32)), {"mode": mode})


def resized(rng: Random, name: str, values: Values) -> Drawn:
    shape = values[name].shape
    sizes = [*shape[:2], *some(rng, (1, 3, 4, 6, 9), len(shape[2:]))]
    how = str(rng.choice(["half_pixel", "asymmetric", "align_corners"]))
    mode = "linear" if rng.random() < 0.6 else "nearest"
    return Drawn("Resize", (name, "", "", ints(*sizes)), {"mode": mode, "coordinate_transformation_mode": how})


def gathered(rng: Random, name: str, values: Values) -> Drawn:
    axis = int(rng.integers(-values[name].ndim, values[name].ndim))
    length = values[name].shape[axis]
    return Drawn("Gather", (name, rng.integers(-length, max(length, 1), (int(rng.integers(1, 4)),))), {"axis": axis})


def spread(rng: Random, name: str, values: Values) -> Drawn:
    shape = values[name].shape
    if rng.random() < 0.5:
        return Drawn("Tile", (name, ints(*rng.choice([1, 1, 2], len(shape)))))
    wider = [3 if each == 1 and rng.random() < 0.5 else each for each in shape]
    return Drawn("Expand", (name, ints(*([2] if rng.random() < 0.2 else []), *wider)))


def reduced(rng: Random, name: str, values: Values) -> Drawn:
    rank = values[name].ndim
    axes = [each - rank * int(rng.integers(0, 2)) for each in range(rank) if rng.random() < 0.5] or [-1]
    operator = str(rng.choice(["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2", "ReduceLogSumExp"]))
    return Drawn(operator, (name, ints(*axes)), {"keepdims": int(rng.integers(0, 2))})


def softmax(rng: Random, name: str, values: Values) -> Drawn:
    operator = str(rng.choice(["Softmax", "Softmax", "LogSoftmax"]))
    return Drawn(operator, (name,), {"axis": int(rng.integers(-values[name].ndim, values[name].ndim))})


def product(rng: Random, name: str, values: Values) -> Drawn:
    depth, columns = values[name].shape[-1], int(rng.choice(FILTERS))
    if values[name].ndim == 2 and rng.random() < 0.5:
        ways = {"transB": int(rng.integers(0, 2)), "alpha": 0.5, "beta": 2.0}
        right = weights(rng, *((columns, depth) if ways["transB"] else (depth, columns)))
        return Drawn("Gemm", (name, right, weights(rng, *narrowed(rng, (values[name].shape[0], columns)))), ways)
    if rng.random() < 0.2:
        return Drawn(
            "MatMul", (weights(rng, columns, values[name].shape[-2] if values[name].ndim > 1 else depth), name)
        )
    outer = values[name].shape[:-2] if rng.random() < 0.3 else ()
    return Drawn("MatMul", (name, weights(rng, *outer, depth, columns)))


def cumulated(rng: Random, name: str, values: Values) -> Drawn:
    axis = np.array(rng.integers(-values[name].ndim, values[name].ndim))
    return Drawn("CumSum", (name, axis), {"exclusive": int(rng.integers(0, 2)), "reverse": int(rng.integers(0, 2))})


def bottleneck(rng: Random, name: str, values: Values) -> Block:
    """Widened, convolved by channel, narrowed, and perhaps added to what it was."""
    channels, wide = values[name].shape[min(1, values[name].ndim - 1)], int(rng.choice([3, 4, 6, 16, 20]))
    source, stride = name, int(rng.choice([1, 1, 2]))
    name = yield Drawn("Conv", (name, weights(rng, wide, channels, 1, 1), weights(rng, wide)))
    name = yield Drawn("Clip", (name, np.array(0, np.float32), np.array(6, np.float32)))
    size = int(rng.choice([3, 5]))
    window = {"group": wide, "pads": [size // 2] * 4, "strides": [stride] * 2}
    name = yield Drawn("Conv", (name, weights(rng, wide, 1, size, size)), window)
    name = yield activation(rng, name, values)
    if rng.random() < 0.4:
        gate = yield Drawn("GlobalAveragePool", (name,))
        gate = yield Drawn("Conv", (gate, weights(rng, wide, wide, 1, 1)))
        gate = yield Drawn("Sigmoid", (gate,))
        name = yield Drawn("Mul", (name, gate))
    name = yield Drawn("Conv", (name, weights(rng, channels, wide, 1, 1)))
    if rng.random() < 0.7:
        name = yield Drawn("Add", (source, name))
        yield activation(rng, name, values)


def attention(rng: Random, name: str, values: Values) -> Block:
    """Queries, keys and values of one sequence, with a mask."""
    length, width = (1, *values[name].shape)[-2:]
    size = int(rng.choice([1, 3, 4, 8]))
    rank = values[name].ndim
    query = yield Drawn("MatMul", (name, weights(rng, width, size)))
    key = yield Drawn("MatMul", (name, weights(rng, width, size)))
    value = yield Drawn("MatMul", (name, weights(rng, width, size)))
    key = yield Drawn("Transpose", (key,), {"perm": [*range(rank - 2), rank - 1, rank - 2]})
    scores = yield Drawn("MatMul", (query, key))
    scores = yield Drawn("Mul", (scores, np.array(size**-0.5, np.float32)))
    scores = yield Drawn("Add", (scores, np.where(np.tri(length), 0, -1e3).astype(np.float32)))
    scores = yield Drawn("Softmax", (scores,), {"axis": -1})
    yield Drawn("MatMul", (scores, value))


def recurrent(rng: Random, name: str, values: Values) -> Block:
    """One of three cells over the first dimension."""
    width, hidden = values[name].shape[-1], int(rng.choice([1, 3, 4, 5, 8]))
    operator, gates = (("LSTM", 4), ("GRU", 3), ("RNN", 1))[rng.integers(3)]
    direction = str(rng.choice(["forward", "reverse", "bidirectional"]))
    ways = 2 if direction == "bidirectional" else 1
    inputs: list[str | Array] = [
        name,
        weights(rng, ways, gates * hidden, width),
        weights(rng, ways, gates * hidden, hidden),
    ]
    if rng.random() < 0.6:
        inputs.append(weights(rng, ways, 2 * gates * hidden))
    attributes = {"hidden_size": hidden, "direction": direction}
    if operator == "GRU":
        attributes["linear_before_reset"] = int(rng.integers(0, 2))
    yield Drawn(operator, tuple(inputs), attributes, int(rng.integers(1, 3)))


KINDS: tuple[Callable[[Random, str, Values], Drawn], ...] = (
    *(conv, conv, conv, conv, conv_transpose, pool, pool, normalised, activation, activation, activation, clip),
    *(binary, binary, binary, divided, prelu, where, transpose, reshape, sliced, split, concat, padded, resized),
    *(gathered, spread, reduced, softmax, product, product, cumulated),
)
BLOCKS: tuple[Callable[[Random, str, Values], Block], ...] = (bottleneck, bottleneck, attention, recurrent)
