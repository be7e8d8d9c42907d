"""Pools over channels-last images (`max_pool` and so on, made of MaxPool… by planning/layout.py), and MaxUnpool."""

from dataclasses import replace
from typing import Final

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import C_TYPES, Node
from publisher.compiler.operators.registry import operator
from publisher.compiler.operators.window import Three, Window, window_of
from publisher.compiler.step import Step, literal

_LEAST: Final = {"float64": "-__builtin_inf()", "float32": "-__builtin_inff()", "int8": "-128", "uint8": "0"}


@operator("max_pool")
def max_pool(node: Node, step: Step) -> None:
    """ONNX MaxPool on [images, …, channels], with positions where they are wanted."""
    window, wanted = _window(node, step), len(node.outputs) > 1 and node.outputs[1] != ""
    source = step.value(node.inputs[0])
    if source.dtype == "float32" and not wanted:
        _pool(node, step, window, "POOL_MAX")
        return
    if source.dtype not in _LEAST:
        raise UnsupportedError("MaxPool", f"is not known for {source.dtype}", "cast its input to float32 before it")
    step.include("pooling.h")
    step.call(
        "POOL_GREATEST",
        *(C_TYPES[source.dtype], _LEAST[source.dtype], f"({_patch(step, node, window)})"),
        *(step.pointer(source.name), source.shape[0], step.pointer(node.outputs[0])),
        *(step.pointer(node.outputs[1]) if wanted else "0", node.integer("storage_order", 0)),
    )


@operator("average_pool")
def average_pool(node: Node, step: Step) -> None:
    """ONNX AveragePool: padding counts where `count_include_pad` says so, what `ceil_mode` adds never does."""
    window = _window(node, step)
    rank = len(step.value(node.inputs[0]).shape) - 2
    end = window.end if node.text("auto_pad", "NOTSET") != "NOTSET" else _declared_end(node, rank)
    limits: Three = tuple(size + more for size, more in zip(window.source, end, strict=True))  # type: ignore[assignment] # three of three
    _pool(node, step, window, "POOL_MEAN", counts=node.integer("count_include_pad", 0), limits=limits)


@operator("lp_pool")
def lp_pool(node: Node, step: Step) -> None:
    """ONNX LpPool."""
    _pool(node, step, _window(node, step), "POOL_NORM", power=node.number("p", 2))


@operator("global_max_pool", "global_average_pool", "global_lp_pool")
def global_pool(node: Node, step: Step) -> None:
    """ONNX GlobalMaxPool, GlobalAveragePool and GlobalLpPool."""
    kernel = step.value(node.inputs[0]).shape[1:-1]
    kinds = {"global_max_pool": "POOL_MAX", "global_average_pool": "POOL_MEAN", "global_lp_pool": "POOL_NORM"}
    whole = replace(node, attributes={"kernel_shape": kernel})
    _pool(node, step, _window(whole, step), kinds[node.operator], power=node.number("p", 2))


def _window(node: Node, step: Step) -> Window:
    source, out = step.value(node.inputs[0]).shape, step.value(node.outputs[0]).shape
    if source[:1] != out[:1] or source[-1:] != out[-1:]:
        raise ConfigurationError(f"{node.operator}: its output does not fit its input")
    return window_of(node, source[1:-1], node.integers("kernel_shape"), out[1:-1])


def _declared_end(node: Node, rank: int) -> Three:
    pads = node.integers("pads") or (0,) * (2 * rank)
    depth, height, width = (0,) * (3 - rank) + pads[rank:]
    return depth, height, width


def _pool(
    node: Node,
    step: Step,
    window: Window,
    kind: str,
    *,
    power: float = 2,
    counts: int = 0,
    limits: Three | None = None,
) -> None:
    source = step.value(node.inputs[0])
    if source.dtype != "float32":
        raise UnsupportedError(node.operator, f"is not known for {source.dtype}", "cast its input to float32 before it")
    step.include("pooling.h")
    how = ", ".join(literal(each) for each in (kind, counts, power, *(limits or window.source)))
    pointers = (step.pointer(source.name), source.shape[0], step.pointer(node.outputs[0]))
    step.call("pool", _patch(step, node, window), f"(Pool){{{how}}}", *pointers)


def _patch(step: Step, node: Node, window: Window) -> str:
    channels = step.value(node.inputs[0]).shape[-1]
    lists = (window.kernel, window.strides, window.dilations, window.begin, window.out)
    numbers = (*window.source, channels, 0, channels, *(number for each in lists for number in each))
    return f"(Patches){{{', '.join(map(str, numbers))}}}"


@operator("MaxUnpool")
def max_unpool(node: Node, step: Step) -> None:
    """ONNX MaxUnpool: each element goes to its position in the output; a position outside is impossible input."""
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    if source.dtype != out.dtype or step.value(node.inputs[1]).shape != source.shape:
        raise ConfigurationError("MaxUnpool: its inputs do not fit each other")
    step.call("__builtin_memset", step.pointer(out.name), 0, out.bytes)
    step.line(
        f"for (int i = 0; i < {source.size}; i++) {{",
        f"const int64_t to = {step.pointer(node.inputs[1])}[i];",
        f"if (to < 0 || to >= {out.size}) invalid = 1;",
        f"else {step.pointer(out.name)}[to] = {step.pointer(source.name)}[i];",
        "}",
    )
