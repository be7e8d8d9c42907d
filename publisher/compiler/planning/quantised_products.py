"""Convolutions and products of matrices whose operands are dequantised, in integers."""

from typing import Any, Final

import numpy as np

from publisher.compiler.graph import Attribute, Node
from publisher.compiler.planning.quantised_wiring import Quantised, Wiring

CLOSE: Final = 1e-5
"""How far, in relation, the scale of a bias may be from the product of scales that it stands for."""


def conv(wiring: Wiring, node: Node, to: Quantised) -> Node | None:
    """A Conv as QLinearConv."""
    x, w = wiring.whole(node.inputs[0]), wiring.weights(node.inputs[1], 0)
    if x is None or w is None or not wiring.only_reader(node.outputs[0]) or _rank(wiring, x) not in {3, 4}:
        return None
    given = [x.name, x.scale, wiring.zero(x), w.name, w.scale, wiring.zero(w), to.scale, wiring.zero(to)]
    if node.has(2):
        bias = _bias(wiring, node.inputs[2], x, w, 1.0)
        if not bias:
            return None
        given.append(bias)
    return Node("QLinearConv", tuple(given), (), node.attributes, version=node.version)


def matmul(wiring: Wiring, node: Node, to: Quantised) -> Node | None:
    """A MatMul as QLinearMatMul."""
    operands = _operands(wiring, node, wiring.whole(node.inputs[0]))
    if operands is None or not wiring.only_reader(node.outputs[0]):
        return None
    a, b = operands
    given = (a.name, a.scale, wiring.zero(a), b.name, b.scale, wiring.zero(b), to.scale, wiring.zero(to))
    return Node("QLinearMatMul", given, (), version=node.version)


def gemm(wiring: Wiring, node: Node, to: Quantised) -> Node | None:
    """A Gemm as the planner's product with a bias of sums."""
    operands = _operands(wiring, node, wiring.whole(node.inputs[0]))
    if operands is None or not wiring.only_reader(node.outputs[0]):
        return None
    a, b = operands
    alpha = node.number("alpha", 1.0)
    given = [a.name, a.scale, wiring.zero(a), b.name, b.scale, wiring.zero(b), to.scale, wiring.zero(to)]
    if node.has(2):
        bias = _bias(wiring, node.inputs[2], a, b, alpha) if node.number("beta", 1.0) == 1.0 else ""
        columns = wiring.values[node.outputs[0]].shape[-1]
        if not bias or wiring.values[bias].size not in {1, columns}:
            return None
        given.append(bias)
    return Node("quantised.gemm", tuple(given), (), {"alpha": alpha}, version=node.version)


def reals_of_conv(wiring: Wiring, node: Node) -> Node | None:
    """A Conv of quanta whose result stays real."""
    x, w = wiring.whole_dynamic(node.inputs[0]), wiring.weights(node.inputs[1], 0)
    if node.operator != "Conv" or x is None or w is None or _rank(wiring, x) not in {3, 4}:
        return None
    given = [x.name, wiring.zero(x), w.name, wiring.zero(w), x.scale, w.scale]
    if node.has(2):
        bias = _real_bias(wiring, node.inputs[2])
        if not bias:
            return None
        given.append(bias)
    return Node("quantised.conv", tuple(given), (), node.attributes, version=node.version)


def reals_of_matmul(wiring: Wiring, node: Node) -> Node | None:
    """A MatMul or Gemm of quanta whose result stays real."""
    operands = _operands(wiring, node, wiring.whole_dynamic(node.inputs[0]))
    if operands is None or wiring.data(operands[1].scale) is None:
        return None
    a, b = operands
    if node.number("alpha", 1.0) != 1.0 or node.number("beta", 1.0) != 1.0:
        return None
    given = [a.name, wiring.zero(a), b.name, wiring.zero(b), a.scale, b.scale]
    if node.operator == "Gemm" and node.has(2):
        bias = _real_bias(wiring, node.inputs[2])
        if not bias or wiring.values[bias].size not in {1, wiring.values[node.outputs[0]].shape[-1]}:
            return None
        given.append(bias)
    return Node("quantised.matmul", tuple(given), (), version=node.version)


def _operands(wiring: Wiring, node: Node, a: Quantised | None) -> tuple[Quantised, Quantised] | None:
    """Both operands of a product: a matrix that is constant lies as MatMul wants it; what is computed has one scale."""
    if a is None or node.integer("transA", 0):
        return None
    turned = node.operator == "Gemm" and node.integer("transB", 0) == 1
    rank = len(wiring.values[node.inputs[1]].shape)
    b = wiring.weights(node.inputs[1], 0 if turned else max(rank - 1, 0)) if rank <= 2 else None
    b = b or (None if turned else wiring.whole(node.inputs[1]))
    if b is None:
        return None
    data = wiring.data(b.name)
    if turned and data is not None:
        b = Quantised(wiring.constant(b.name, np.ascontiguousarray(data.T)), b.scale, b.zero, 1)
    return a, b


def _rank(wiring: Wiring, tensor: Quantised) -> int:
    return len(wiring.values[tensor.name].shape)


def _bias(wiring: Wiring, name: str, x: Quantised, w: Quantised, alpha: float) -> str:
    """A bias as numbers of 32 bits that are added to the sums; "" where it cannot be."""
    x_scale, w_scale = wiring.data(x.scale), wiring.data(w.scale)
    if x_scale is None or w_scale is None:
        return ""
    worth = np.float32(alpha) * x_scale.reshape(-1) * w_scale.reshape(-1)
    found = wiring.dequantised(name, frozenset({"int32"}))
    data, scale = (None, None) if found is None else (wiring.data(found.name), wiring.data(found.scale))
    if found is not None and data is not None and scale is not None and _is_zero(wiring, found.zero):
        if not {scale.size, worth.size} <= {1, data.size}:
            return ""
        if np.allclose(scale.reshape(-1), worth, rtol=CLOSE, atol=0):
            return wiring.constant(name, data.reshape(-1))
        reals: Any = data.reshape(-1) * scale.reshape(-1).astype(np.float64)
    else:
        reals = wiring.data(name)
    if reals is None or worth.size not in {1, reals.size}:
        return ""
    with np.errstate(all="ignore"):
        sums = np.rint(reals.reshape(-1).astype(np.float64) / worth)
    if not np.all(np.abs(sums) < 2.0**30):
        return ""
    return wiring.constant(name, sums.astype(np.int32))


def _is_zero(wiring: Wiring, name: str) -> bool:
    data = wiring.data(name)
    return not name or (data is not None and not np.any(data))


def _real_bias(wiring: Wiring, name: str) -> str:
    """A constant bias of reals; "" where it is none."""
    data = wiring.data(name)
    if data is not None:
        return name if data.dtype == np.float32 else ""
    found = wiring.dequantised(name, frozenset({"int32", "int8", "uint8"}))
    if found is None:
        return ""
    data, scale = wiring.data(found.name), wiring.data(found.scale)
    if data is None or scale is None or not _is_zero(wiring, found.zero) or scale.size not in {1, data.size}:
        return ""
    return wiring.constant(name, (data.reshape(-1) * scale.reshape(-1)).astype(np.float32))


def scaled_sums(wiring: Wiring, node: Node) -> Node | None:
    """What dynamic quantisation writes: sums, cast to reals, times both scales, and perhaps a bias."""
    if node.operator == "Add":
        return _with_bias(wiring, node)
    for sums, factor in (node.inputs, reversed(node.inputs)):
        cast = wiring.maker(sums, "Cast")
        product = wiring.maker(cast.inputs[0], "MatMulInteger", "ConvInteger") if cast else None
        scales = _two_scales(wiring, factor)
        if cast is None or product is None or scales is None or not wiring.only_reader(cast.inputs[0]):
            continue
        return _reals(wiring, product, *scales)
    return None


def _reals(wiring: Wiring, product: Node, x_scale: str, w_scale: str) -> Node | None:
    x, w = product.inputs[:2]
    zeros = [product.inputs[at] if product.has(at) else "" for at in (2, 3)]
    given = [Quantised(x, x_scale, zeros[0]), Quantised(w, w_scale, zeros[1])]
    if wiring.data(w) is None or len(wiring.values[w].shape) < 2:
        return None
    columns = wiring.values[w].shape[0 if product.operator == "ConvInteger" else -1]
    scale = wiring.data(w_scale)
    if scale is None or scale.size not in {1, columns}:
        return None
    flat = wiring.constant(w_scale, scale.reshape(-1).astype(np.float32))
    names = (x, wiring.zero(given[0]), w, wiring.zero(given[1]), x_scale, flat)
    operator = "quantised.conv" if product.operator == "ConvInteger" else "quantised.matmul"
    attributes: dict[str, Attribute] = dict(product.attributes)
    return Node(operator, names, (), attributes, version=product.version)


def _two_scales(wiring: Wiring, name: str) -> tuple[str, str] | None:
    """A product of scales: of the left operand, which may be computed, and of the right one, which is constant."""
    node = wiring.maker(name, "Mul")
    if node is None:
        return None
    for one, other in (node.inputs, reversed(node.inputs)):
        if wiring.data(other) is not None and wiring.values[one].size == 1:
            return one, other
    return None


def _with_bias(wiring: Wiring, node: Node) -> Node | None:
    for real, bias in (node.inputs, reversed(node.inputs)):
        maker, data = wiring.maker(real, "Mul", "MatMul"), wiring.data(bias)
        if maker is None or data is None or data.dtype != np.float32 or not wiring.only_reader(real):
            continue
        made = scaled_sums(wiring, maker) if maker.operator == "Mul" else reals_of_matmul(wiring, maker)
        if made is None or not _fits(wiring, made, node.outputs[0], bias):
            continue
        flat = wiring.constant(bias, data.reshape(-1))
        return Node(made.operator, (*made.inputs, flat), (), made.attributes, version=made.version)
    return None


def _fits(wiring: Wiring, made: Node, out: str, bias: str) -> bool:
    """Whether a bias is one number for each column or channel."""
    shape, given = wiring.values[out].shape, wiring.values[bias].shape
    columns = wiring.values[made.inputs[2]].shape[0 if made.operator == "quantised.conv" else -1]
    if len(made.inputs) != 6 or wiring.values[bias].size not in {1, columns} or len(given) > len(shape):
        return False
    axis = 1 if made.operator == "quantised.conv" else len(shape) - 1
    wide = (1,) * (len(shape) - len(given)) + given
    return all(length == 1 or at == axis for at, length in enumerate(wide))
