"""Functions of one element between quanta of 8 bits: 256 answers, found when the model is compiled."""

from collections.abc import Callable
from math import erf
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.graph import Node
from publisher.compiler.planning.quantised_wiring import Quantised, Wiring

RANGES: Final = {"uint8": (0, 255), "int8": (-128, 127)}
DEPTH: Final = 32
Reals = NDArray[np.float32]


def _sigmoid(x: Reals) -> Reals:
    return np.asarray(1.0 / (1.0 + np.exp(-x)), np.float32)


def _hard_sigmoid(x: Reals, node: Node) -> Any:
    return np.clip(x * np.float32(node.number("alpha", 0.2)) + np.float32(node.number("beta", 0.5)), 0, 1)


def _gelu(x: Reals, node: Node) -> Reals:
    if node.text("approximate", "none") == "tanh":
        return x * _sigmoid(2 * np.float32(0.7978845608) * (x + np.float32(0.044715) * x * x * x))
    return x * np.asarray([0.5 * (1 + erf(each / 2**0.5)) for each in x.astype(np.float64)], np.float32)


ONE: Final[dict[str, Callable[[Reals, Node], Any]]] = {
    "Abs": lambda x, _: np.abs(x),
    "Elu": lambda x, node: np.where(x > 0, x, np.float32(node.number("alpha", 1.0)) * np.expm1(x)),
    "Erf": lambda x, _: np.asarray([erf(each) for each in x.astype(np.float64)]),
    "Exp": lambda x, _: np.exp(x),
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda x, _: x * np.clip(x / 6 + np.float32(0.5), 0, 1),
    "LeakyRelu": lambda x, node: np.where(x >= 0, x, x * np.float32(node.number("alpha", 0.01))),
    "Log": lambda x, _: np.log(x),
    "Mish": lambda x, _: x * np.tanh(np.log1p(np.exp(x))),
    "Neg": lambda x, _: -x,
    "Reciprocal": lambda x, _: 1 / x,
    "Relu": lambda x, _: np.maximum(x, 0),
    "Sigmoid": lambda x, _: _sigmoid(x),
    "Softplus": lambda x, _: np.logaddexp(0, x),
    "Softsign": lambda x, _: x / (1 + np.abs(x)),
    "Sqrt": lambda x, _: np.sqrt(x),
    "Tanh": lambda x, _: np.tanh(x),
}
TWO: Final[dict[str, Callable[[Reals, Reals], Any]]] = {
    "Add": lambda a, b: a + b,
    "Div": lambda a, b: a / b,
    "Mul": lambda a, b: a * b,
    "Sub": lambda a, b: a - b,
}


def table(wiring: Wiring, reals: NDArray[Any] | np.float32, to: Quantised) -> NDArray[Any]:
    """Reals as quanta, what is no number becoming the lowest."""
    dtype = wiring.values[to.name].dtype
    low, high = RANGES[dtype]
    zero = int(wiring.number(to.zero) or 0) if to.zero else 0
    with np.errstate(all="ignore"):
        found = np.rint(np.nan_to_num(reals / np.float32(wiring.number(to.scale)), nan=-np.inf)) + zero
    made: NDArray[Any] = np.clip(found, low, high).astype(dtype)
    return made


def table_of(wiring: Wiring, name: str, to: Quantised) -> Node | None:
    """A look-up, where a real depends on one tensor of quanta alone, element by element."""
    sources: set[tuple[str, str, str]] = set()
    with np.errstate(all="ignore"):
        reals = _reals(wiring, name, sources, DEPTH)
    if reals is None or len(sources) != 1:
        return None
    ((source, _, _),) = sources
    if wiring.values[source].shape != wiring.values[to.name].shape:
        return None
    answers = table(wiring, np.broadcast_to(reals, (256,)), to)
    if np.array_equal(answers.view(np.uint8), np.arange(256)) and answers.dtype == wiring.values[source].dtype:
        return Node("Identity", (source,), ())
    return Node("quantised.lookup", (source,), (), {"table": answers})


def _reals(wiring: Wiring, name: str, sources: set[tuple[str, str, str]], depth: int) -> Reals | None:
    """What a real is for each of the 256 bytes of the tensor it depends on."""
    node = wiring.makers.get(name)
    if node is None or node.operator == "DequantizeLinear":
        constant = _known(wiring, name)
        return _dequantised(wiring, name, sources, depth) if constant is None else constant
    if depth == 0 or wiring.values[name].dtype != "float32":
        return None
    return _computed(wiring, node, sources, depth - 1)


def _known(wiring: Wiring, name: str) -> Reals | None:
    """One constant number, perhaps itself quantised."""
    number, found = wiring.number(name), wiring.whole(name)
    if number is not None:
        return np.full((), number, np.float32) if wiring.values[name].dtype == "float32" else None
    quantum = None if found is None else wiring.number(found.name)
    return None if found is None or quantum is None else _worth(wiring, found, np.asarray(quantum))


def _worth(wiring: Wiring, tensor: Quantised, quanta: NDArray[Any]) -> Reals:
    zero = int(wiring.number(tensor.zero) or 0) if tensor.zero else 0
    return (quanta.astype(np.int32) - zero).astype(np.float32) * np.float32(wiring.number(tensor.scale))


def _dequantised(wiring: Wiring, name: str, sources: set[tuple[str, str, str]], depth: int) -> Reals | None:
    """Quanta of the tensor; or, where they were made of another's one by one, what they are for that one's."""
    found = wiring.whole(name)
    if found is None:
        return None
    maker = wiring.maker(found.name, "QuantizeLinear")
    if maker is not None and depth and maker.inputs[1:] == tuple(each for each in found.inputs[1:] if each):
        deeper: set[tuple[str, str, str]] = set()
        inner = _reals(wiring, maker.inputs[0], deeper, depth - 1)
        if inner is not None and len(deeper) == 1:
            sources |= deeper
            return _worth(wiring, found, table(wiring, inner, found))
    sources.add(found.inputs)
    quanta = np.arange(256, dtype=np.uint8).view(wiring.values[found.name].dtype)
    return _worth(wiring, found, quanta)


def _computed(wiring: Wiring, node: Node, sources: set[tuple[str, str, str]], depth: int) -> Reals | None:
    if node.operator not in ONE.keys() | TWO.keys() | {"Clip"} or (node.operator == "Clip" and node.version < 11):
        return None
    given = [_reals(wiring, name, sources, depth) if name else np.full((), np.nan, np.float32) for name in node.inputs]
    known = [each for each in given if each is not None]
    if len(known) != len(node.inputs):
        return None
    if node.operator == "Clip":
        low, high = [*known[1:], *([np.full((), np.nan, np.float32)] * 2)][:2]
        return np.asarray(np.fmin(np.fmax(known[0], low), high), np.float32)
    made = ONE[node.operator](known[0], node) if node.operator in ONE else TWO[node.operator](known[0], known[1])
    return np.asarray(made, np.float32)
