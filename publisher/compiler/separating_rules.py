"""For each operator, when parts of its output along a dimension depend on the same parts of its input alone."""

from collections.abc import Callable
from math import prod
from typing import Final

from publisher.compiler.separating import FIXED, Place

Rule = Callable[[Place], None]
"""Raises `InseparableError` where the dimension does not pass through."""


def elementwise(place: Place) -> None:
    """Broadcasting lines dimensions up from the right; what is fixed is broadcast along the dimension."""
    out = place.out()
    rank = len(place.out_shape())
    for number in range(len(place.node.inputs)):
        axis = place.axis(number)
        place.require(axis is None or (out is not None and place.rank(number) - axis == rank - out))


def expansion(place: Place) -> None:
    """`Expand` like other broadcasting; its second input says the output's shape, which is known."""
    axis, out = place.axis(0), place.out()
    aligned = axis is None or (out is not None and place.rank(0) - axis == len(place.out_shape()) - out)
    place.require(aligned and place.kind(0) != "final")


def batched(place: Place) -> None:
    """The first dimension of the first input is a batch."""
    place.only(0)
    place.require(place.axis(0) == 0 == place.out() and place.rank(0) > 1)
    place.require(not place.node.integer("training_mode", 0))


def convolution(place: Place) -> None:
    """A batch; or a spatial dimension along which the filter is one element wide."""
    axis = place.axis(0)
    if axis is None or axis < 2:
        batched(place)
        return
    place.only(0)
    spatial, width = axis - 2, place.rank(0) - 2
    strides = place.node.integers("strides") or (1,) * width
    pads = place.node.integers("pads") or (0,) * (2 * width)
    place.require(place.shape(1)[axis] == 1 == strides[spatial] and place.out() == axis)
    place.require(pads[spatial] == pads[spatial + width] == 0)


def reshaped(place: Place) -> None:
    """Elements stay in order: as many rows before the dimension as before."""
    axis, out = place.axis(0), place.out()
    if axis is not None and out is not None:
        place.require(prod(place.shape(0)[:axis]) == prod(place.out_shape()[:out]))
    place.require((axis is None) == (out is None))


def transposed(place: Place) -> None:
    """The dimension moves where `perm` says."""
    order = place.node.integers("perm") or tuple(reversed(range(place.rank(0))))
    out = place.out()
    place.require(out is not None and order[out] == place.axis(0))


def concatenated(place: Place) -> None:
    """Along another axis."""
    axis = place.node.integer("axis", 0) % len(place.out_shape())
    out = place.out()
    place.require(out is not None and out != axis)
    for number in range(len(place.node.inputs)):
        place.require(place.axis(number) == out)


def matrix_product(place: Place) -> None:
    """Not along the inner dimension; others line up from the right. Scales and zero points are fixed."""
    left, right = (0, 1) if place.node.operator != "QLinearMatMul" else (0, 3)
    place.only(left, right)
    out = place.out()
    rank = len(place.out_shape())
    for number, inner in ((left, 1), (right, 2)):
        axis = place.axis(number)
        if axis is None:
            continue
        back = place.rank(number) - axis
        place.require(place.rank(left) > 1 and place.rank(right) > 1)
        place.require(back != inner and out is not None and back == rank - out)


def gemm(place: Place) -> None:
    """Rows of A and of the output."""
    rows = 1 if place.node.integer("transA", 0) else 0
    place.only(0, 2)
    place.require(place.axis(0) == rows and place.out() == 0)
    axis = place.axis(2)
    place.require(axis is None or (axis == 0 and place.rank(2) == 2))


def along_axis(default: int) -> Rule:
    """Something is computed along one other axis."""

    def rule(place: Place) -> None:
        place.only(0)
        own = place.axis(0)
        place.require(own is not None)
        axis = place.node.integer("axis", default) % place.rank(0)
        removed = place.rank(0) - len(place.out_shape())
        after = own - removed if own is not None and own > axis else own
        place.require(own != axis)
        for number, name in enumerate(place.node.outputs):
            place.require(not name or place.out(number) == after)

    return rule


def from_axis_on(default: int) -> Rule:
    """Something is computed over all axes from one on."""

    def rule(place: Place) -> None:
        axis = place.node.integer("axis", default) % place.rank(0)
        own = place.axis(0)
        place.only(0)
        place.require(own is not None and own < axis and place.out() == own)

    return rule


def softmax(place: Place) -> None:
    """One axis since version 13, all from one on before."""
    (along_axis(-1) if place.node.version >= 13 else from_axis_on(1))(place)


def reduction(place: Place) -> None:
    """Over other axes, which are attributes or, later, constants."""
    place.only(0)
    found = place.constant(1)
    axes = [int(each) for each in found.ravel()] if found is not None else list(place.node.integers("axes"))
    own, rank = place.axis(0), place.rank(0)
    reduced = {each % rank for each in axes}
    place.require(own is not None and own not in reduced and bool(reduced))
    before = 0 if place.node.integer("keepdims", 1) else sum(each < (own or 0) for each in reduced)
    place.require(place.out() == (own or 0) - before)


def sliced(place: Place) -> None:
    """Other axes are cut."""
    place.only(0)
    axes = place.constant(3)
    if place.node.version < 10:
        cut = place.node.integers("axes") or tuple(range(len(place.node.integers("starts"))))
    else:
        starts = place.constant(1)
        place.require(starts is not None and (axes is not None or not place.node.has(3)))
        cut = tuple(range(starts.size if starts is not None else 0)) if axes is None else tuple(map(int, axes.ravel()))
    own = place.axis(0)
    place.require(own is not None and own not in {each % place.rank(0) for each in cut} and place.out() == own)


def padded(place: Place) -> None:
    """Nothing is added along the dimension."""
    place.only(0)
    own, rank = place.axis(0), place.rank(0)
    found = place.constant(1)
    pads = [int(each) for each in found.ravel()] if found is not None else list(place.node.integers("pads"))
    place.require(own is not None and not place.node.has(3) and len(pads) == 2 * rank)
    place.require(pads[own or 0] == pads[(own or 0) + rank] == 0 and place.out() == own)


def gathered(place: Place) -> None:
    """Along another axis of the data, or from fixed data by indices that are spread."""
    axis = place.node.integer("axis", 0) % place.rank(0)
    own, other = place.axis(0), place.axis(1)
    if own is None:
        place.require(place.kind(0) == FIXED and other is not None and place.out() == axis + other)
    else:
        place.only(0)
        place.require(own != axis and place.out() == (own if own < axis else own + place.rank(1) - 1))


def tiled(place: Place) -> None:
    """Once along the dimension."""
    place.only(0)
    repeats, own = place.constant(1), place.axis(0)
    place.require(repeats is not None and own is not None and int(repeats[own]) == 1 and place.out() == own)


def quantised(place: Place) -> None:
    """By one scale, or by scales along another axis."""
    place.only(0)
    own = place.axis(0)
    place.require(own is not None and place.out() == own and not place.node.integer("block_size", 0))
    along = place.node.integer("axis", 1) % max(1, place.rank(0))
    place.require(prod(place.shape(1)) == 1 or along != own)


_ELEMENTWISE: Final = (
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike "
    "Ceil Celu Clip Cos Cosh Div Dropout Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish "
    "Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal "
    "Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu "
    "Where Xor ml.LabelEncoder ml.Binarizer QLinearAdd QLinearMul QLinearSigmoid QLinearLeakyRelu"
)
_BATCHED: Final = (
    "AveragePool BatchNormalization ConvInteger ConvTranspose DepthToSpace GlobalAveragePool GlobalLpPool "
    "GlobalMaxPool GroupNormalization InstanceNormalization LRN LpPool MaxPool QLinearConv QLinearAveragePool "
    "QLinearGlobalAveragePool SpaceToDepth ml.Scaler ml.Normalizer ml.LinearClassifier ml.LinearRegressor "
    "ml.SVMClassifier ml.SVMRegressor ml.TreeEnsemble ml.TreeEnsembleClassifier ml.TreeEnsembleRegressor ml.Imputer"
)
_REDUCTIONS: Final = (
    "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare"
)
RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(_ELEMENTWISE.split(), elementwise),
    **dict.fromkeys(_BATCHED.split(), batched),
    **dict.fromkeys(_REDUCTIONS.split(), reduction),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), reshaped),
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul"), matrix_product),
    **dict.fromkeys(("ArgMax", "ArgMin", "CumSum"), along_axis(0)),
    **dict.fromkeys(("LpNormalization", "TopK"), along_axis(-1)),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), from_axis_on(-1)),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), softmax),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), quantised),
    "Concat": concatenated,
    "Conv": convolution,
    "Expand": expansion,
    "Gather": gathered,
    "Gemm": gemm,
    "Pad": padded,
    "Slice": sliced,
    "Split": along_axis(0),
    "Tile": tiled,
    "Transpose": transposed,
}
