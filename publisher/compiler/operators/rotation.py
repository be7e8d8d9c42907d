"""The rotation of queries and keys by their position."""

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.operators.heads import Heads, heads_of, listed
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, literal


@operator("RotaryEmbedding")
def rotary(node: Node, step: Step) -> None:
    """ONNX RotaryEmbedding: whole or in part, halves or neighbours, positions given or in order."""
    x = heads_of(node, step, step.value(node.inputs[0]), node.integer("num_heads", 0))
    turning = node.integer("rotary_embedding_dim", 0) or x.size
    if not 0 < turning <= x.size or turning % 2:
        raise ConfigurationError(f"RotaryEmbedding turns {turning} of {x.size} elements")
    step.include("rotation.h")
    fields = {
        "batch": literal(x.batch),
        "heads": literal(x.heads),
        "length": literal(x.length),
        "size": literal(x.size),
        "turning": literal(turning),
        "interleaved": literal(int(node.integer("interleaved", 0) != 0)),
        "strides": listed(x.strides),
        "x": x.pointer,
        "y": step.pointer(node.outputs[0]),
        "cosines": step.pointer(node.inputs[1]),
        "sines": step.pointer(node.inputs[2]),
        **_positions(node, step, x, turning // 2),
    }
    written = ", ".join(f".{name} = {value}" for name, value in fields.items())
    step.call("rotate", f"(struct rotation){{{written}}}")


def _positions(node: Node, step: Step, x: Heads, half: int) -> dict[str, str]:
    """Which row of the tables a position has; the tables fit after this."""
    cosines, sines = (step.value(name) for name in node.inputs[1:3])
    if {cosines.dtype, sines.dtype} != {"float32"}:
        raise UnsupportedError("RotaryEmbedding", f"with tables of {cosines.dtype} is not known", "cast to float32")
    expected = (cosines.shape[0], half) if node.has(3) and cosines.shape else (x.batch, x.length, half)
    if cosines.shape != expected or sines.shape != expected:
        raise ConfigurationError("RotaryEmbedding: its tables do not fit")
    if not node.has(3):
        return {}
    positions = step.value(node.inputs[3])
    if positions.dtype != "int64" or positions.shape != (x.batch, x.length) or not cosines.shape[0]:
        raise ConfigurationError("RotaryEmbedding: each position is one int64")
    return {"positions": step.pointer(positions.name), "rows": literal(cosines.shape[0])}
