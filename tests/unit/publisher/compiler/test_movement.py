"""Elements that change places: against onnxruntime, one module for all; and indices that point nowhere."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from onnx import helper

from protocol.errors import ConfigurationError, EnclaveError
from publisher.compiler.emission import emit
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Attribute, Graph, Node, Value
from tests.support.compiling import compiled, model_of
from tests.support.single_nodes import Constant, Single, Table, const

RNG = np.random.default_rng(9)


def floats(*shape: int, dtype: str = "float32") -> Any:
    return RNG.standard_normal(shape).astype(dtype)


def among(*shape: int, count: int, dtype: str = "int64") -> Any:
    return RNG.integers(-count, count, shape).astype(dtype)


X = floats(2, 3, 4, 5)
IMAGE = floats(1, 2, 5, 7)
PLACED = {
    "reversed": Single("Transpose", X),
    "channels last": Single("Transpose", floats(2, 7, 9, 6), perm=[0, 2, 3, 1]),
    "a matrix of some bytes": Single("Transpose", among(19, 33, count=99, dtype="int8")),
    "pixels of bytes": Single("Transpose", among(2, 3, 5, 7, count=99, dtype="int8"), perm=[0, 2, 3, 1]),
    "a matrix of 64 bits": Single("Transpose", among(5, 18, count=99)),
    "heads": Single("Transpose", floats(1, 6, 2, 8), perm=[0, 2, 1, 3]),
    "concat": Single("Concat", floats(2, 1, 3), floats(2, 4, 3), floats(2, 0, 3), axis=1),
    "concat along the last": Single("Concat", floats(5, 1), floats(5, 2), axis=-1),
    "split": Single("Split", X, const(1, 3), outputs=2, axis=2),
    "split evenly": Single("Split", floats(7), outputs=3, num_outputs=3),
    "slice": Single("Slice", X, const(1, 0), const(3, 99), const(2, 3), const(1, 2)),
    "backwards": Single("Slice", X, const(-1, 9), const(-99, 0), const(1, 3), const(-1, -3)),
    "nothing": Single("Slice", X, const(3), const(1), const(3)),
    "expand": Single("Expand", floats(3, 1), const(2, 1, 4)),
    "tile": Single("Tile", floats(2, 3), const(2, 3)),
    "tile a row": Single("Tile", floats(1, 8), const(4, 1)),
    "depth to space": Single("DepthToSpace", floats(1, 8, 2, 3), blocksize=2),
    "columns first": Single("DepthToSpace", floats(1, 8, 2, 3), blocksize=2, mode="CRD"),
    "space to depth": Single("SpaceToDepth", floats(1, 2, 4, 6), blocksize=2),
    "triangle": Single("Trilu", X, Constant(np.array(1)), upper=0),
    "upper triangle": Single("Trilu", floats(5, 3), Constant(np.array(-1))),
    "one hot": Single("OneHot", among(3, 4, count=7), Constant(np.array(5)), floats(2), axis=1),
    "reverse": Single("ReverseSequence", floats(4, 3, 2), np.int64([4, 1, 2])),
    "reverse rows": Single("ReverseSequence", floats(3, 4), np.int64([4, 3, 0]), batch_axis=0, time_axis=1),
    "eye": Single("EyeLike", floats(3, 5), k=1),
}
INDEXED = {
    "gather rows": Single("Gather", floats(9, 4), among(2, 3, count=9)),
    "gather columns": Single("Gather", X, among(3, count=5, dtype="int32"), axis=3),
    "gather one": Single("Gather", X, np.int64(-1), axis=1),
    "gather bytes": Single("Gather", among(9, 3, count=99, dtype="int8"), among(4, count=9)),
    "gather elements": Single("GatherElements", X, among(2, 2, 4, 5, count=3), axis=1),
    "gather of any depth": Single("GatherND", X, among(2, 3, 1, count=4), batch_dims=2),
    "gather blocks": Single("GatherND", X, among(6, 2, count=2)),
    "scatter elements": Single(
        "ScatterElements", X, among(2, 3, 4, 3, count=4), floats(2, 3, 4, 3), axis=2, reduction="add"
    ),
    "scatter the last": Single("ScatterElements", floats(5), np.int64([1, 1, -1]), floats(3)),
    "scatter blocks": Single("ScatterND", X, np.int64([[1, 0], [0, 2]]), floats(2, 4, 5)),
    "scatter largest": Single("ScatterND", floats(8), among(9, 1, count=8), floats(9), reduction="max"),
}  # fmt: skip
PADDED = {
    f"{mode} of {pads}": Single("Pad", floats(3, 4, 2), const(*pads), mode=mode)
    for mode in ("constant", "reflect", "edge", "wrap")
    for pads in ((1, 0, 1, 0, 2, 1), (0, 3, 0, 2, 0, 0))
} | {
    "a number around": Single("Pad", IMAGE, const(0, 0, 1, 2, 0, 0, 2, 1), np.float32(7)),
    "some axes cut": Single("Pad", IMAGE, const(-1, 2, -2, 0), None, const(2, 3)),
}
SIZES = {"larger": (1.0, 1.0, 2.0, 1.5), "smaller": (1.0, 1.0, 0.6, 0.5), "mixed": (1.0, 1.0, 2.5, 0.7)}
RESIZED = {
    f"{mode} {words} {how}": Single(
        "Resize", IMAGE, None, Constant(np.float32(scales)), mode=mode, coordinate_transformation_mode=how
    )
    for mode in ("nearest", "linear", "cubic")
    for words, scales in SIZES.items()
    for how in ("half_pixel", "asymmetric", "pytorch_half_pixel")
} | {
    "to a size": Single(
        "Resize", IMAGE, None, None, const(1, 2, 9, 3), mode="linear", coordinate_transformation_mode="align_corners"
    ),
    "bytes": Single("Resize", among(1, 1, 3, 3, count=99, dtype="int8"), None, None, const(1, 1, 6, 5)),
    "a part": Single(
        "Resize", IMAGE, Constant(np.float32([0, 0, 0.4, 0.6, 1, 1, 0.6, 1.2])), None, const(1, 2, 4, 3),
        mode="linear", coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=9.0,
    ),
}  # fmt: skip
GRID = (RNG.random((1, 4, 3, 2)) * 3 - 1.5).astype(np.float32)
SAMPLED = {
    f"sampled {mode} {padding} {align}": Single(
        "GridSample", IMAGE, GRID, mode=mode, padding_mode=padding, align_corners=align
    )
    for mode in ("nearest", "linear", "cubic")
    for padding in ("zeros", "border", "reflection")
    for align in (0, 1)
} | {
    "sampled in a volume": Single("GridSample", floats(1, 2, 3, 4, 5), floats(1, 2, 2, 2, 3)),
    "sampled nowhere": Single(
        "GridSample", IMAGE, np.full((1, 1, 3, 2), [[np.nan], [np.inf], [-1e30]], np.float32),
        expected=lambda x, _: np.zeros((1, 2, 1, 3), np.float32),
    ),
    "a grid": Single("AffineGrid", floats(2, 2, 3), const(2, 1, 3, 4)),
    "rows of a cache": Single(
        "TensorScatter", floats(2, 5, 3), floats(2, 2, 3), np.int64([3, 0]),
        expected=lambda c, u, _: np.stack([np.concatenate([c[0, :3], u[0]]), np.concatenate([u[1], c[1, 2:]])]),
    ),
}  # fmt: skip
ALL = {**PLACED, **INDEXED, **PADDED, **RESIZED, **SAMPLED}
THOROUGH = tuple(RESIZED)[::3] + tuple(SAMPLED)[: len(SAMPLED) - 4 : 2]
"""Of these many forms, others of the same kind stand in the table that always runs."""
TABLE = Table({name: each for name, each in ALL.items() if name not in THOROUGH}, opset=24)
EXHAUSTIVE = Table({name: ALL[name] for name in THOROUGH}, opset=24)


@pytest.mark.parametrize("name", TABLE.cases)
def test_answers_as_onnxruntime_does(name: str) -> None:
    TABLE.check(name, 2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXHAUSTIVE.cases)
def test_further_forms_answer_as_onnxruntime_does(name: str) -> None:
    EXHAUSTIVE.check(name, 2e-6)


def test_indices_that_point_nowhere_are_impossible_input() -> None:
    data, rows = floats(4, 4), np.int64([[3], [0]])
    nodes = [
        helper.make_node("Gather", ["x", "i0"], ["a"]),
        helper.make_node("GatherElements", ["x", "i1"], ["b"]),
        helper.make_node("GatherND", ["x", "i2"], ["c"]),
        helper.make_node("ScatterElements", ["x", "i3", "u"], ["d"]),
        helper.make_node("ScatterND", ["x", "i4", "r"], ["e"]),
    ]
    given = {"x": data, "u": floats(2, 1), "r": floats(2, 4)} | {f"i{number}": rows for number in range(5)}
    model = compiled(model_of(nodes, given, list("abcde")))
    model(given)
    for number in range(5):
        for outside in (4, -5, 2**62, -(2**63)):
            with pytest.raises(EnclaveError, match="does not take this input"):
                model({**given, f"i{number}": np.int64([[0], [outside]])})


def graph(operator: str, shapes: list[tuple[int, ...]], out: tuple[int, ...], **attributes: Attribute) -> Graph:
    values = {f"i{at}": Value(f"i{at}", "float32", shape) for at, shape in enumerate(shapes)}
    values["o"] = Value("o", "float32", out)
    return Graph(
        (Node(operator, tuple(values)[:-1], ("o",), attributes, version=21),), values, tuple(values)[:-1], ("o",)
    )


WRONG: list[tuple[str, list[tuple[int, ...]], tuple[int, ...], Mapping[str, Attribute]]] = [
    ("Transpose", [(2, 3)], (2, 3), {}),
    ("Transpose", [(2, 3)], (2, 3), {"perm": (0, 0)}),
    ("Transpose", [(2, 3)], (2, 3), {"perm": (0, 7)}),
    ("Concat", [(2, 3), (2, 3)], (2, 7), {"axis": 1}),
    ("Concat", [(2, 3), (9, 3)], (2, 6), {"axis": 1}),
    ("Concat", [(2, 3)], (2, 3), {"axis": 5}),
    ("Expand", [(2, 3)], (2, 4), {}),
    ("Tile", [(2, 3)], (2, 4), {}),
    ("Add", [(2, 3), (4,)], (2, 3), {}),
    ("Add", [(2, 3), (3,)], (2, 2), {}),
    ("DepthToSpace", [(1, 4, 2, 2)], (1, 1, 4, 5), {"blocksize": 2}),
    ("ReduceSum", [(2, 3)], (2,), {"axes": (1,)}),
    ("ArgMax", [(2, 3)], (2,), {"axis": 1}),
    ("Pad", [(2, 3)], (9, 9), {"pads": (1, 1, 1, 1)}),
    ("Trilu", [(3,)], (3,), {}),
    ("CumSum", [(3,)], (3,), {}),
    ("Resize", [(2, 3)], (2, 3, 4), {}),
    ("Identity", [(2, 3)], (2, 4), {}),
    ("Exp", [(2, 3)], (2, 4), {}),
]


@pytest.mark.parametrize(("operator", "shapes", "out", "attributes"), WRONG)
def test_a_node_that_does_not_fit_its_tensors_is_refused(
    operator: str, shapes: list[tuple[int, ...]], out: tuple[int, ...], attributes: Mapping[str, Attribute]
) -> None:
    with pytest.raises(ConfigurationError, match=operator):
        emit(graph(operator, shapes, out, **attributes))


def test_elements_of_two_types_are_refused() -> None:
    for operator in ("Concat", "Split", "Transpose", "Expand", "Identity", "Add", "Exp", "Where", "ReduceSum"):
        values = {"x": Value("x", "float32", (4,)), "y": Value("y", "int64", (4,))}
        inputs = ("x",) * {"Add": 2, "Where": 3}.get(operator, 1)
        with pytest.raises(ConfigurationError):
            emit(Graph((Node(operator, inputs, ("y",), version=21),), values, ("x",), ("y",)))


def test_bounds_that_are_computed_are_refused_with_what_to_do() -> None:
    values = {name: Value(name, "int64", (1,)) for name in ("s", "e")} | {n: Value(n, "float32", (3,)) for n in "xy"}
    node = Node("Slice", ("x", "s", "e"), ("y",), version=21)
    with pytest.raises(UnsupportedError, match=r"Slice computes its starts; export the model with constant starts"):
        emit(Graph((node,), values, ("x", "s", "e"), ("y",)))
