"""Elements change places; nothing is computed."""

from math import prod

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node, Value
from publisher.compiler.loops import Stride, broadcast
from publisher.compiler.operators.moving import Walk, copy, fill, whole
from publisher.compiler.operators.parameters import axes_of, axis_of, check, numbers
from publisher.compiler.operators.pointwise import check_broadcast
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step, row_major


@operator("Transpose")
def transpose(node: Node, step: Step) -> None:
    """ONNX Transpose: reversed dimensions without `perm`."""
    source, out = _ends(node, step)
    rank = len(source.shape)
    order = axes_of(node, node.integers("perm", tuple(reversed(range(rank)))), rank)
    check(out.shape == tuple(source.shape[axis] for axis in order), node, "the output is of another shape")
    strides = row_major(source.shape)
    copy(step, out.shape, whole(out), Walk(source, tuple(strides[axis] for axis in order)))


@operator("Concat")
def concat(node: Node, step: Step) -> None:
    """ONNX Concat."""
    out = step.value(node.outputs[0])
    axis = axis_of(node, node.integer("axis", 0), len(out.shape))
    strides, start = row_major(out.shape), 0
    for part in (step.value(name) for name in node.inputs):
        _check_part(node, part.shape, out.shape, axis)
        copy(step, part.shape, Walk(out, strides, start * strides[axis]), whole(part))
        start += part.shape[axis]
    check(start == out.shape[axis], node, "the inputs do not fill the output")


@operator("Split")
def split(node: Node, step: Step) -> None:
    """ONNX Split: the outputs' shapes say where, whatever the version."""
    source = step.value(node.inputs[0])
    axis = axis_of(node, node.integer("axis", 0), len(source.shape))
    strides, start = row_major(source.shape), 0
    sizes = numbers(node, step, 1, "split")
    for number, part in enumerate(step.value(name) if name else None for name in node.outputs):
        if part is not None:
            _check_part(node, part.shape, source.shape, axis)
            check(start + part.shape[axis] <= source.shape[axis], node, "the outputs are larger than the input")
            copy(step, part.shape, whole(part), Walk(source, strides, start * strides[axis]))
        check(part is not None or sizes is not None, node, "an output is left out")
        start += part.shape[axis] if part is not None else (sizes or ())[number]


def _check_part(node: Node, part: tuple[int, ...], all_of: tuple[int, ...], axis: int) -> None:
    same = len(part) == len(all_of) and part[:axis] + part[axis + 1 :] == all_of[:axis] + all_of[axis + 1 :]
    check(same, node, f"a part of shape {part} is no part of {all_of} along axis {axis}")


@operator("Slice")
def slice_of(node: Node, step: Step) -> None:
    """ONNX Slice: bounds are cut to the tensor's, steps may be negative."""
    source, out = _ends(node, step)
    rank = len(source.shape)
    starts, ends = (numbers(node, step, which, name) for which, name in ((1, "starts"), (2, "ends")))
    check(starts is not None and ends is not None, node, "starts or ends are missing")
    axes = axes_of(node, _or(numbers(node, step, 3, "axes"), tuple(range(len(starts or ())))), rank)
    steps = _or(numbers(node, step, 4, "steps"), (1,) * len(axes))
    check(len(starts or ()) == len(ends or ()) == len(axes) == len(steps), node, "lists are not of one length")
    check(0 not in steps, node, "a step is 0")
    strides: list[int] = list(row_major(source.shape))
    start, shape = 0, list(source.shape)
    for axis, first, last, by in zip(axes, starts or (), ends or (), steps, strict=True):
        walked = _walked(source.shape[axis], first, last, by)
        shape[axis] = len(walked)
        start += (walked[0] if walked else 0) * strides[axis]
        strides[axis] *= by
    check(tuple(shape) == out.shape, node, f"the output is {out.shape}, the slice {tuple(shape)}")
    copy(step, out.shape, whole(out), Walk(source, tuple(strides), start))


def _walked(length: int, start: int, end: int, step: int) -> range:
    """The indices of a slice: unlike Python's, one that begins before the first goes backwards from the first."""
    most = length if step > 0 else length - 1
    first = min(max(start + length * (start < 0), 0), most)
    last = min(max(end + length * (end < 0), 0 if step > 0 else -1), most)
    return range(first, last, step)


def _or(found: tuple[int, ...] | None, default: tuple[int, ...]) -> tuple[int, ...]:
    return default if found is None else found


@operator("Expand")
def expand(node: Node, step: Step) -> None:
    """ONNX Expand."""
    source, out = _ends(node, step)
    check_broadcast(node, source.shape, out.shape)
    copy(step, out.shape, whole(out), Walk(source, broadcast(source.shape, out.shape)))


@operator("Tile")
def tile(node: Node, step: Step) -> None:
    """ONNX Tile, from version 6 on."""
    source, out = _ends(node, step)
    check(len(source.shape) == len(out.shape), node, "the output has another rank")
    shape: list[int] = []
    reads: list[Stride] = []
    for length, repeated, stride in zip(source.shape, out.shape, row_major(source.shape), strict=True):
        check(repeated == 0 or (length > 0 and repeated % length == 0), node, "the output is of another shape")
        shape += [repeated // max(1, length), length]
        reads += [0, stride]
    if out.size:
        copy(step, shape, Walk(out, row_major(shape)), Walk(source, tuple(reads)))


@operator("DepthToSpace", "SpaceToDepth")
def depth_and_space(node: Node, step: Step) -> None:
    """ONNX DepthToSpace (modes DCR, CRD) and SpaceToDepth, whose reverse is DCR."""
    to_space = node.operator == "DepthToSpace"
    source, out = _ends(node, step)
    deep, wide = (source, out) if to_space else (out, source)
    block = node.integer("blocksize", 0)
    check(len(deep.shape) == 4 and block > 0, node, "the input is no batch of images, or blocksize is missing")
    batch, channels, height, width = deep.shape
    per_pixel = channels // (block * block)
    check(wide.shape == (batch, per_pixel, height * block, width * block), node, "the output is of another shape")
    check(per_pixel * block * block == channels, node, "channels are no multiple of blocksize squared")
    mode = node.text("mode", "DCR")
    if mode not in {"DCR", "CRD"}:
        raise UnsupportedError(node.operator, f"has the mode {mode[:20]!a}", "use DCR or CRD")
    # Dimensions in the order of the image: batch, channel, height, block row, width, block column.
    order = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
    lengths = (batch, block, block, per_pixel) if mode == "DCR" else (batch, per_pixel, block, block)
    strides = row_major((*lengths, height, width))
    image = (batch, per_pixel, height, block, width, block)
    ends = Walk(deep, tuple(strides[axis] for axis in order)), Walk(wide, row_major(image))
    copy(step, image, ends[1] if to_space else ends[0], ends[0] if to_space else ends[1])


def _ends(node: Node, step: Step) -> tuple[Value, Value]:
    """The first input and the only output, which must be of one type."""
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    check(source.dtype == out.dtype, node, "input and output are of two types")
    return source, out


@operator("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")
def same(node: Node, step: Step) -> None:
    """ONNX operators that keep all elements in their order, where they are not views of their input anyway."""
    source, out = _ends(node, step)
    check(prod(source.shape) == prod(out.shape), node, "the output has another number of elements")
    copy(step, (source.size,), Walk(out, (1,)), Walk(source, (1,)))


@operator("Dropout")
def dropout(node: Node, step: Step) -> None:
    """ONNX Dropout where nothing is trained: all is kept, which the mask says too."""
    if any(numbers(node, step, 2) or ()):
        raise UnsupportedError("Dropout", "is in training mode", "export the model for inference")
    same(Node(node.operator, node.inputs[:1], node.outputs[:1]), step)
    if len(node.outputs) > 1 and node.outputs[1]:
        fill(step, step.value(node.outputs[1]), "1")
