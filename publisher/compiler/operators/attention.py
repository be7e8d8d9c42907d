"""Attention in one operator. Blocks built from MatMul and Softmax do not need it."""

from dataclasses import replace
from math import sqrt

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.loops import Operand, broadcast, nest
from publisher.compiler.operators.heads import Heads, heads_of, listed
from publisher.compiler.operators.packing import packed_columns
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, literal, row_major


@operator("Attention")
def attention(node: Node, step: Step) -> None:
    """ONNX Attention, from operator set 23 on: grouped heads, masks, windows, caches. Softmax is of float32 always."""
    q_heads, kv_heads = node.integer("q_num_heads", 0), node.integer("kv_num_heads", 0)
    q, k, v = (
        heads_of(node, step, step.value(name), heads)
        for name, heads in zip(node.inputs[:3], (q_heads, kv_heads, kv_heads), strict=True)
    )
    k, v = _with_past(node, step, k, 4, 1), _with_past(node, step, v, 5, 2)
    if k.shape[:3] != v.shape[:3] or (q.batch, q.size) != (k.batch, k.size) or not k.heads or q.heads % k.heads:
        raise ConfigurationError("Attention: the shapes of its inputs do not fit one another")
    y = heads_of(node, step, step.value(node.outputs[0]), q.heads)
    step.include("attention.h")
    sizes = (q.batch, q.heads, k.heads, q.length, k.length, q.size, v.size)
    names = ("batch", "heads", "kv_heads", "queries", "keys", "size", "value_size")
    fields = {name: literal(size) for name, size in zip(names, sizes, strict=True)}
    for name, each in zip("qkvy", (q, k, v, y), strict=True):
        fields |= {name: each.pointer, f"{name}_strides": listed(each.strides)}
    fields |= _seen(node, step, q, k) | _functions(node, step, q)
    fields |= {
        "packed_k": step.scratch(packed_columns(k.length) * q.size),
        "packed_v": step.scratch(packed_columns(v.size) * k.length),
        "scores": step.scratch(q.length * k.length),
        "bias": step.scratch(k.length),
    }
    written = ", ".join(f".{name} = {value}" for name, value in fields.items())
    step.call("attend", f"(struct attention){{{written}}}")


def _with_past(node: Node, step: Step, new: Heads, past: int, present: int) -> Heads:
    """Keys or values with those of before in front; they are an output where it is wanted."""
    wanted = node.outputs[present] if present < len(node.outputs) else ""
    if not node.has(past) and not wanted:
        return new
    before = heads_of(node, step, step.value(node.inputs[past]), 0) if node.has(past) else None
    length = (before.length if before else 0) + new.length
    if before and (before.shape[:2], before.size) != (new.shape[:2], new.size):
        raise ConfigurationError("Attention: what is past has another shape than what follows")
    shape = (new.batch, new.heads, length, new.size)
    strides = row_major(shape)
    both = step.pointer(wanted) if wanted else step.scratch(max(1, new.batch * new.heads * length * new.size))
    at = 0
    for part in (before, new):
        if part:
            operands = {
                "o": Operand(f"({both} + {at * new.size})", strides, "float"),
                "a": Operand(part.pointer, (*part.strides, 1), "const float"),
            }
            nest(step, part.shape, operands, "{o} = {a};")
            at += part.length
    return replace(new, pointer=both, length=length, strides=strides[:3])


def _seen(node: Node, step: Step, q: Heads, k: Heads) -> dict[str, str]:
    """Which keys a query may see."""
    past = step.value(node.inputs[4]).shape[2] if node.has(4) else 0
    fields = {
        "offset": literal(past),
        "causal": literal(int(node.integer("is_causal", 0) != 0)),
        "left": literal(_window(node, "left", k.length)),
        "right": literal(_window(node, "right", k.length)),
    }
    if node.has(6):
        lengths = step.value(node.inputs[6])
        if lengths.dtype != "int64" or lengths.size != q.batch:
            raise ConfigurationError("Attention: each sequence has one length, of int64")
        fields["lengths"] = step.pointer(lengths.name)
    if not node.has(3):
        return fields
    mask = step.value(node.inputs[3])
    if mask.dtype not in {"bool", "float32"}:
        raise UnsupportedError("Attention", f"with a mask of {mask.dtype} is not known", "make it bool or float32")
    onto = (q.batch, q.heads, q.length)
    kept = mask.shape[:-1]
    if not mask.shape or len(kept) > 3 or mask.shape[-1] > k.length:
        raise ConfigurationError("Attention: the mask does not fit")
    if any(a not in {1, b} for a, b in zip(kept[::-1], onto[::-1], strict=False)):
        raise ConfigurationError("Attention: the mask does not fit")
    strides = broadcast(kept, onto)
    fields["mask_words" if mask.dtype == "bool" else "mask"] = step.pointer(mask.name)
    fields["mask_strides"] = listed(tuple(each * mask.shape[-1] for each in strides))
    fields["mask_keys"] = literal(mask.shape[-1])
    return fields


def _window(node: Node, side: str, keys: int) -> int:
    """How many keys are seen on a side; -1 for all."""
    size = node.integer(f"{side}_window_size", -1)
    return size if 0 <= size < 2 * keys else -1 if size < 0 else 2 * keys


def _functions(node: Node, step: Step, q: Heads) -> dict[str, str]:
    fields = {
        "scale": literal(node.number("scale", 1 / sqrt(max(1, q.size)))),
        "softcap": literal(node.number("softcap", 0.0)),
    }
    if len(node.outputs) > 3 and node.outputs[3]:
        what = node.integer("qk_matmul_output_mode", 0)
        names = ("PRODUCTS", "CAPPED", "BIASED", "PROBABILITIES")
        if not 0 <= what < len(names):
            raise ConfigurationError("Attention: qk_matmul_output_mode is 0, 1, 2 or 3")
        fields |= {"shown": step.pointer(node.outputs[3]), "what": names[what]}
    return fields
