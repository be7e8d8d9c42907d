"""onnxruntime's own quantised operators said in ONNX's words: dequantise, compute, quantise.

ONNX infers no shapes for what is not its own, and planning knows one form of quantised models instead of two: it puts
integer operators back in the place of these. What its quantiser writes ("QOperator") and its optimiser makes is here.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from publisher.compiler.importing.parsing import EXTENSION, graphs

Nodes = list[onnx.NodeProto]

ONE_INPUT: Final = frozenset({"Sigmoid", "LeakyRelu", "GlobalAveragePool", "AveragePool", "Softmax", "ReduceMean"})
TWO_INPUTS: Final = frozenset({"Add", "Mul"})
OWN_ATTRIBUTES: Final = frozenset({"channels_last", "opset"})


def standardise(model: onnx.ModelProto) -> None:
    """Replace the operators that are known here, in place; the others stay."""
    for graph in graphs(model.graph):
        writer = _Writer(graph)
        nodes: Nodes = []
        for node in graph.node:
            nodes += writer.replaced(node) or [node]
        del graph.node[:]
        graph.node.extend(nodes)


class _Writer:
    """Writes nodes into a graph under names that nothing has yet."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.constants = {each.name: each for each in graph.initializer}
        self._taken = {name for node in graph.node for name in (*node.input, *node.output)} | set(self.constants)
        self._taken |= {each.name for each in graph.input}
        self.nodes: Nodes = []

    def replaced(self, node: onnx.NodeProto) -> Nodes | None:
        """What stands for a node; None where it is not one of these, or in a form that is not known."""
        if node.domain != EXTENSION or _is_last(node):
            return None
        self.nodes = []
        name = node.op_type.removeprefix("QLinear")
        if node.op_type in FORMS:
            made = FORMS[node.op_type](self, node)
        elif node.op_type.startswith("QLinear") and name in ONE_INPUT | TWO_INPUTS:
            made = self._arithmetic(node, name)
        else:
            made = False
        return self.nodes if made else None

    def fresh(self) -> str:
        """A name."""
        name = f"standard {len(self._taken)}"
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        return name

    def add(self, operator: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        """Add a node with one output; its name."""
        output = output or self.fresh()
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, data: NDArray[Any]) -> str:
        """Add a constant; its name."""
        name = self.fresh()
        self.graph.initializer.append(numpy_helper.from_array(data, name))
        return name

    def real(self, node: onnx.NodeProto, at: int, axis: int | None = None) -> str:
        """The input `at` and its scale and zero point, dequantised."""
        inputs = [name for name in node.input[at : at + 3] if name]
        attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
        return self.add("DequantizeLinear", inputs, **attributes)

    def quantised(self, node: onnx.NodeProto, real: str, at: int) -> None:
        """The node's output: a real quantised by the scale and zero point from input `at` on."""
        self.add("QuantizeLinear", [real, *(name for name in node.input[at : at + 2] if name)], node.output[0])

    def _arithmetic(self, node: onnx.NodeProto, name: str) -> bool:
        count = 2 if name in TWO_INPUTS else 1
        reals = [self.real(node, 3 * each) for each in range(count)]
        made = self.add(name, reals)
        self.nodes[-1].attribute.extend(each for each in node.attribute if each.name not in OWN_ATTRIBUTES)
        self.quantised(node, made, 3 * count)
        return True

    def known(self, name: str) -> NDArray[Any] | None:
        """The data of a constant."""
        return numpy_helper.to_array(self.constants[name]) if name in self.constants else None


def _is_last(node: onnx.NodeProto) -> bool:
    return any(each.name == "channels_last" and each.i for each in node.attribute)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _concat(writer: _Writer, node: onnx.NodeProto) -> bool:
    reals = [writer.real(node, at) for at in range(2, len(node.input), 3)]
    writer.quantised(node, writer.add("Concat", reals, **_attributes(node)), 0)
    return True


def _where(writer: _Writer, node: onnx.NodeProto) -> bool:
    chosen = writer.add("Where", [node.input[0], writer.real(node, 1), writer.real(node, 4)])
    writer.quantised(node, chosen, 7)
    return True


def _gemm(writer: _Writer, node: onnx.NodeProto) -> bool:
    attributes = _attributes(node)
    scales = [writer.known(node.input[at]) for at in (1, 4)]
    if scales[0] is None or scales[1] is None:
        return False
    axis = (0 if attributes.get("transB", 0) else 1) if scales[1].size > 1 else None
    inputs = [writer.real(node, 0), writer.real(node, 3, axis)]
    if len(node.input) > 6 and node.input[6]:
        worth = np.float32(attributes.get("alpha", 1.0)) * scales[0].reshape(()) * scales[1].reshape(-1)
        worth = worth if worth.size > 1 else worth.reshape(())
        axes: dict[str, Any] = {"axis": 0} if worth.size > 1 else {}
        inputs.append(writer.add("DequantizeLinear", [node.input[6], writer.constant(worth)], **axes))
    quantised = len(node.input) > 7 and node.input[7] != ""
    real = writer.add("Gemm", inputs, "" if quantised else node.output[0], **attributes)
    if quantised:
        writer.quantised(node, real, 7)
    return True


def _product(writer: _Writer, node: onnx.NodeProto, a: str, b: list[str], bias: str) -> bool:
    scale = writer.known(b[1])
    axis: dict[str, Any] = {"axis": 1} if scale is not None and scale.size > 1 else {}
    right = writer.add("DequantizeLinear", [name for name in b if name], **axis)
    product = writer.add("MatMul", [a, right], "" if bias else node.output[0])
    if bias:
        writer.add("Add", [product, bias], node.output[0])
    return True


def _seven(node: onnx.NodeProto) -> list[str]:
    """Seven inputs, those that are left out being ""."""
    return [*node.input, *([""] * 7)][:7]


def _matmul_to_float(writer: _Writer, node: onnx.NodeProto) -> bool:
    a, b, a_scale, b_scale, a_zero, b_zero, bias = _seven(node)
    left = writer.add("DequantizeLinear", [name for name in (a, a_scale, a_zero) if name])
    return _product(writer, node, left, [b, b_scale, b_zero], bias)


def _dynamic_matmul(writer: _Writer, node: onnx.NodeProto) -> bool:
    a, b, b_scale, b_zero, bias = _seven(node)[:5]
    made = [writer.fresh() for _ in range(3)]
    writer.nodes.append(helper.make_node("DynamicQuantizeLinear", [a], made))
    return _product(writer, node, writer.add("DequantizeLinear", made), [b, b_scale, b_zero], bias)


def _same(writer: _Writer, node: onnx.NodeProto) -> bool:
    """ONNX has it by now."""
    writer.add(node.op_type, list(node.input), node.output[0], **_attributes(node))
    return True


FORMS: Final[dict[str, Callable[[_Writer, onnx.NodeProto], bool]]] = {
    "QLinearConcat": _concat,
    "QLinearWhere": _where,
    "QGemm": _gemm,
    "MatMulIntegerToFloat": _matmul_to_float,
    "DynamicQuantizeMatMul": _dynamic_matmul,
    "QuantizeLinear": _same,
    "DequantizeLinear": _same,
}
