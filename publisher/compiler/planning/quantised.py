"""Quantised models as they run: what dequantises, computes and quantises becomes one integer operator.

Where onnxruntime would compute in integers too, the rounding is its own: halves to even, once, at the end.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from publisher.compiler.graph import Attribute, Graph, Node, Value
from publisher.compiler.planning.quantised_products import (
    conv,
    gemm,
    matmul,
    reals_of_conv,
    reals_of_matmul,
    scaled_sums,
)
from publisher.compiler.planning.quantised_tables import RANGES, table, table_of
from publisher.compiler.planning.quantised_wiring import BYTES, SEPARATOR, Quantised, Wiring

SAME: Final = frozenset(
    {
        *(
            "DepthToSpace",
            "Expand",
            "Flatten",
            "Gather",
            "Identity",
            "MaxPool",
            "Reshape",
            "Resize",
            "Slice",
            "SpaceToDepth",
        ),
        *("Squeeze", "Tile", "Transpose", "Unsqueeze"),
    }
)
"""Operators that choose or move elements of their first input: they do so with quanta as with reals."""

INTEGERS: Final = BYTES | {"int16", "uint16", "int32"}


def integer_forms(graph: Graph) -> Graph:
    """The graph with integer operators; constants that stay dequantised are reals."""
    if not any(node.operator in {"DequantizeLinear", "MatMulInteger", "ConvInteger"} for node in graph.nodes):
        return graph
    wiring = Wiring(graph)
    # Scales are anybody's numbers: what they make of others is for operators to refuse.
    with np.errstate(all="ignore"):
        nodes = [made for node in graph.nodes for made in _replaced(wiring, node)]
        return _folded(wiring.pruned(nodes))


def _replaced(wiring: Wiring, node: Node) -> list[Node]:
    """The node, or what computes its output in integers."""
    if node.operator == "Resize" and wiring.values[node.inputs[0]].dtype in BYTES:
        return _interpolated(wiring, node)
    made = None
    if node.operator == "QuantizeLinear":
        made = _quantised(wiring, node)
    elif node.operator in {"Conv", "ConvTranspose"}:
        made = reals_of_conv(wiring, node)
    elif node.operator in {"MatMul", "Gemm"}:
        made = reals_of_matmul(wiring, node)
    elif node.operator in {"Mul", "Add"}:
        made = scaled_sums(wiring, node)
    return [node if made is None else replace(made, outputs=node.outputs)]


def _interpolated(wiring: Wiring, node: Node) -> list[Node]:
    """Between quanta, onnxruntime interpolates in reals, and cuts off what is behind the point."""
    if node.text("mode", "nearest") == "nearest":
        return [node]
    names = []
    for name in (node.inputs[0], node.outputs[0]):
        value = wiring.values[name]
        names.append(f"{name}{SEPARATOR}real")
        wiring.values[names[-1]] = Value(names[-1], "float32", value.shape)
    back = TensorProto.UINT8 if wiring.values[node.inputs[0]].dtype == "uint8" else TensorProto.INT8
    return [
        Node("Cast", node.inputs[:1], (names[0],), {"to": int(TensorProto.FLOAT)}, version=node.version),
        replace(node, inputs=(names[0], *node.inputs[1:]), outputs=(names[1],)),
        Node("Cast", (names[1],), node.outputs, {"to": int(back)}, version=node.version),
    ]


def _quantised(wiring: Wiring, node: Node) -> Node | None:
    """What computes the quanta that a QuantizeLinear makes, out of quanta."""
    output = wiring.values[node.outputs[0]]
    if output.dtype not in BYTES or wiring.number(node.inputs[1]) is None:
        return None
    if node.has(2) and wiring.number(node.inputs[2]) is None:
        return None
    to = Quantised(node.outputs[0], node.inputs[1], node.inputs[2] if node.has(2) else "")
    made = table_of(wiring, node.inputs[0], to)
    if made is not None:
        return made
    source, clipped = _unclipped(wiring, node.inputs[0], to)
    maker = wiring.makers.get(source)
    whole = source == node.inputs[0]
    if maker is not None and maker.operator in FORMS and (whole or maker.operator not in SAME):
        made = FORMS[maker.operator](wiring, maker, to)
    return made if made is None else replace(made, attributes={**made.attributes, **clipped})


def _unclipped(wiring: Wiring, name: str, to: Quantised) -> tuple[str, dict[str, Attribute]]:
    """What is quantised before Clip and Relu, and the range of quanta that they leave."""
    low, high = RANGES[wiring.values[to.name].dtype]
    while (node := wiring.maker(name, "Relu", "Clip")) is not None and wiring.only_reader(name):
        least: Any = 0.0
        most: Any = None
        if node.operator == "Clip":
            bounds = [wiring.number(node.inputs[at]) if node.has(at) else None for at in (1, 2)]
            if any(node.has(at) and bounds[at - 1] is None for at in (1, 2)) or node.version < 11:
                break
            least, most = bounds
        if least is not None:
            low = max(low, int(table(wiring, np.float32(least), to)))
        if most is not None:
            high = min(high, int(table(wiring, np.float32(most), to)))
        name = node.inputs[0]
    return name, {"low": low, "high": high}


def _binary(wiring: Wiring, node: Node, to: Quantised) -> Node | None:
    operands = [wiring.whole(name) for name in node.inputs]
    if operands[0] is None or operands[1] is None:
        return None
    given = [name for each in operands if each for name in (each.name, each.scale, wiring.zero(each))]
    return Node(f"QLinear{node.operator}", (*given, to.scale, wiring.zero(to)), ())


def _average(wiring: Wiring, node: Node, to: Quantised) -> Node | None:
    source = wiring.whole(node.inputs[0])
    dilated = any(each != 1 for each in node.integers("dilations"))
    if source is None or dilated or len(wiring.values[source.name].shape) not in {3, 4}:
        return None
    given = (source.name, source.scale, wiring.zero(source), to.scale, wiring.zero(to))
    return Node(f"QLinear{node.operator}", given, (), node.attributes, version=node.version)


def _concat(wiring: Wiring, node: Node, to: Quantised) -> Node | None:
    parts = [wiring.whole(name) for name in node.inputs]
    if any(each is None for each in parts):
        return None
    given = [name for each in parts if each for name in (each.name, each.scale, wiring.zero(each))]
    return Node("QLinearConcat", (to.scale, wiring.zero(to), *given), (), node.attributes, version=node.version)


def _same(wiring: Wiring, node: Node, to: Quantised) -> Node | None:
    """Moved as quanta, if what goes in is quantised like what comes out."""
    source = wiring.whole(node.inputs[0])
    if source is None or len(node.outputs) != 1 or not _alike(wiring, source, to):
        return None
    if node.operator == "Resize" and node.text("mode", "nearest") != "nearest":
        return None
    return replace(node, inputs=(source.name, *node.inputs[1:]))


def _alike(wiring: Wiring, one: Quantised, other: Quantised) -> bool:
    zeros = [wiring.number(each.zero) if each.zero else 0 for each in (one, other)]
    same = wiring.number(one.scale) == wiring.number(other.scale) and int(zeros[0] or 0) == int(zeros[1] or 0)
    return same and wiring.values[one.name].dtype == wiring.values[other.name].dtype


def _folded(graph: Graph) -> Graph:
    """Dequantised constants that somebody still reads, computed."""
    wiring = Wiring(graph)
    nodes = []
    for node in graph.nodes:
        reals = _constant(wiring, node)
        if reals is None:
            nodes.append(node)
        else:
            value = wiring.values[node.outputs[0]]
            wiring.values[value.name] = replace(value, data=reals.astype(value.dtype).reshape(value.shape))
    return wiring.pruned(nodes)


def _constant(wiring: Wiring, node: Node) -> NDArray[Any] | None:
    """What a DequantizeLinear of constants makes."""
    if node.operator != "DequantizeLinear" or any(wiring.data(name) is None for name in node.inputs if name):
        return None
    data, scale = (wiring.data(name) for name in node.inputs[:2])
    zero = wiring.data(node.inputs[2]) if node.has(2) else np.zeros((), np.int32)
    if data is None or scale is None or zero is None or data.dtype.name not in INTEGERS:
        return None
    points, worth = (_spread(node, data, each) for each in (zero.astype(np.int32), scale))
    if points is None or worth is None:
        return None
    made: NDArray[Any] = (data.astype(np.int32) - points).astype(np.float32) * worth
    return made


def _spread(node: Node, data: NDArray[Any], numbers: NDArray[Any]) -> NDArray[Any] | None:
    """Scales or zero points in a shape that meets the data: of all, of an axis, of blocks; None where none does."""
    if numbers.size == 1:
        return numbers.reshape(())
    axis, block = node.integer("axis", 1), node.integer("block_size", 0)
    if not -data.ndim <= axis < data.ndim:
        return None
    length = data.shape[axis]
    if block > 0 and numbers.ndim == data.ndim and numbers.shape[axis] * block >= length:
        spread = np.take(np.repeat(numbers, block, axis), np.arange(length), axis)
        return spread if spread.shape == data.shape else None
    shape = [1] * data.ndim
    shape[axis] = numbers.size
    return numbers.reshape(shape) if numbers.size == length and not block else None


FORMS: Final[dict[str, Callable[[Wiring, Node, Quantised], Node | None]]] = {
    "Add": _binary,
    "AveragePool": _average,
    "Concat": _concat,
    "Conv": conv,
    "Gemm": gemm,
    "GlobalAveragePool": _average,
    "MatMul": matmul,
    "Mul": _binary,
    **dict.fromkeys(SAME, _same),
}
"""What becomes of operators whose inputs are dequantised and whose result is quantised."""
