"""Bad models get one clear line each, and nothing else happens."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from protocol.errors import ConfigurationError
from publisher.compiler.importing import bounds, import_model, read_model_untrusted
from publisher.compiler.importing.preparing import prepared
from publisher.compiler.importing.wishes import Wishes

FLOAT = TensorProto.FLOAT


def vector(name: str, shape: list[object] | None = None, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, [4] if shape is None else shape)


def model(*nodes: onnx.NodeProto, **parts: object) -> onnx.ModelProto:
    """A model from x [4] to y [4]; `parts` are other inputs, outputs, constants, operator sets."""
    inputs = parts.get("inputs", [vector("x")])
    outputs = parts.get("outputs", [vector("y")])
    graph = helper.make_graph(list(nodes), "g", inputs, outputs, parts.get("constants", []))
    sets = parts.get("sets", [helper.make_opsetid("", 21)])
    return helper.make_model(graph, opset_imports=sets, ir_version=10)


def relu(source: str = "x", target: str = "y") -> onnx.NodeProto:
    return helper.make_node("Relu", [source], [target])


def constant(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.zeros(shape, np.float32), name)


def edited(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    made = model(helper.make_node("Add", ["x", "w"], ["y"]), constants=[constant("w", 4)])
    change(made)
    return made


def nested(depth: int) -> onnx.ModelProto:
    graph = other = helper.make_graph([relu("x", "z")], "g", [], [vector("z")])
    for _ in range(depth):
        node = helper.make_node("If", ["c"], ["z"], then_branch=graph, else_branch=other)
        graph = helper.make_graph([node], "g", [], [vector("z")])
    return model(*graph.node, inputs=[vector("x"), vector("c", [], TensorProto.BOOL)], outputs=[vector("z")])


def loop() -> onnx.ModelProto:
    ends = [vector("i", [], TensorProto.INT64), vector("c", [], TensorProto.BOOL)]
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"])], "b", ends, [vector("d", [], TensorProto.BOOL)]
    )
    return model(helper.make_node("Loop", ["n", ""], [], body=body), relu(), inputs=[vector("x"), vector("n", [], 7)])


def undecided() -> onnx.ModelProto:
    branches = [
        helper.make_graph([helper.make_node(each, ["x"], ["z"])], "b", [], [vector("z")]) for each in ("Relu", "Neg")
    ]
    node = helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])
    return model(node, inputs=[vector("x"), vector("c", [], TensorProto.BOOL)])


def doubling(levels: int) -> onnx.ModelProto:
    """Functions that call one another twice each."""
    made = model(
        helper.make_node("f0", ["x"], ["y"], domain="own"),
        sets=[helper.make_opsetid("", 21), helper.make_opsetid("own", 1)],
    )
    for level in range(levels):
        inner = [helper.make_node(f"f{level + 1}", [a], [b], domain="own") for a, b in (("a", "b"), ("b", "c"))]
        last = [relu("a", "c")]
        nodes = last if level == levels - 1 else inner
        made.functions.append(helper.make_function("own", f"f{level}", ["a"], ["c"], nodes, made.opset_import))
    return made


GOOD = model(relu()).SerializeToString()
BAD: dict[str, tuple[onnx.ModelProto | bytes, str]] = {
    "nothing": (b"", "no ONNX model, or it was cut short"),
    "other bytes": (b"\x7fELF" + bytes(range(256)), "no ONNX model, or it was cut short"),
    "truncated": (GOOD[: len(GOOD) // 2], "no ONNX model, or it was cut short"),
    "no outputs": (model(relu(), outputs=[]), "no outputs"),
    "no operator set": (edited(lambda m: m.ClearField("opset_import")), "no ONNX model"),
    "an operator set in two versions": (
        model(relu(), sets=[helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx", 20)]),
        "of an operator set",
    ),
    "an operator set of tomorrow": (model(relu(), sets=[helper.make_opsetid("", 999)]), "newer than this compiler"),
    "an unknown operator": (model(helper.make_node("Magic", ["x"], ["y"])), "No Op registered for Magic"),
    "an unknown domain": (
        model(
            helper.make_node("Magic", ["x"], ["y"], domain="acme"),
            sets=[helper.make_opsetid("", 21), helper.make_opsetid("acme", 1)],
        ),
        "acme.Magic is nobody's standard",
    ),
    "a cycle": (model(helper.make_node("Add", ["x", "b"], ["a"]), relu("a", "b"), relu("b", "y")), "has a cycle"),
    "a missing input": (model(relu("nowhere")), "'nowhere' of a 'Relu' is nowhere defined"),
    "a missing output": (model(relu("x", "z")), "output 'y' is nowhere defined"),
    "a name twice": (model(relu("x", "y"), relu("x", "y")), "two values of the model have one name: 'y'"),
    "an input that is computed": (model(relu("x", "x"), relu()), "two values of the model have one name: 'x'"),
    "shapes that do not fit": (
        model(helper.make_node("MatMul", ["x", "w"], ["y"]), constants=[constant("w", 5, 3)]),
        "shapes in the model do not fit together",
    ),
    "another shape than computed": (model(relu(), outputs=[vector("y", [5])]), "another shape than it computes"),
    "a control character": (model(relu("x", "a\nb"), relu("a\nb", "y")), "cannot be printed: 'a?b'"),
    "a direction mark": (model(relu("x", "a\u202eb"), relu("a\u202eb", "y")), "cannot be printed"),
    "a long name": (model(relu("x", "n" * 5000), relu("n" * 5000, "y")), "a name in the model is too long"),
    "a constant without data": (edited(lambda m: m.graph.initializer[0].ClearField("raw_data")), "longer or shorter"),
    "a constant that overflows": (
        edited(lambda m: m.graph.initializer[0].dims.extend([2**40, 2**40])),
        "'w' is too large",
    ),
    "a negative shape": (edited(lambda m: m.graph.initializer[0].dims.extend([-1])), "shape of 'w' is impossible"),
    "a constant of no type": (edited(lambda m: setattr(m.graph.initializer[0], "data_type", 99)), "type of 'w'"),
    "a constant of bfloat16": (
        edited(lambda m: setattr(m.graph.initializer[0], "data_type", 16)),
        "export the model in float32",
    ),
    "a sparse constant": (edited(lambda m: m.graph.sparse_initializer.add()), "sparse"),
    "text": (
        model(helper.make_node("Identity", ["x"], ["y"]), inputs=[vector("x", kind=8)], outputs=[vector("y", kind=8)]),
        "type that modules do not hold",
    ),
    "a sequence": (
        model(relu(), inputs=[vector("x"), helper.make_tensor_sequence_value_info("s", FLOAT, [4])]),
        "'s' is no tensor",
    ),
    "an operator on sequences": (
        model(helper.make_node("SequenceConstruct", ["x"], ["s"]), relu()),
        "SequenceConstruct",
    ),
    "a loop": (loop(), "the operator Loop runs its body"),
    "an undecided branch": (undecided(), "the operator If has a condition that depends on the input"),
    "branches in branches": (nested(20), "nested too deeply"),
    "a shape that depends on data": (
        model(helper.make_node("NonZero", ["x"], ["y"]), outputs=[vector("y", ["a", "b"], 7)]),
        "the operator NonZero has an output whose shape depends on the data",
    ),
    "an enormous value": (
        model(
            helper.make_node("Expand", ["x", "s"], ["y"]),
            outputs=[vector("y", ["a", "b", "c"])],
            constants=[numpy_helper.from_array(np.array([2**20, 2**20, 4]), "s")],
        ),
        "too large",
    ),
    "functions that double": (doubling(18), "too many nodes"),
    "an open length": (
        model(relu(), inputs=[vector("x", [4, "width"])], outputs=[vector("y", [4, "width"])]),
        "'width' of the input 'x' open",
    ),
    "an input of any rank": (
        model(
            relu(),
            inputs=[helper.make_tensor_value_info("x", FLOAT, None)],
            outputs=[helper.make_tensor_value_info("y", FLOAT, None)],
        ),
        "Field 'shape' of 'type' is required",
    ),
    "many nodes": (model(*[relu()] * (bounds.NODES + 1)), "too many nodes"),
    "many inputs": (
        model(relu(), inputs=[vector("x"), *(vector(f"x{n}") for n in range(bounds.INPUTS))]),
        "too many inputs",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_model_gets_one_clear_line(kind: str) -> None:
    bad, words = BAD[kind]
    data = bad if isinstance(bad, bytes) else bad.SerializeToString()
    with pytest.raises(ConfigurationError) as refusal:
        import_model(data)
    line = refusal.value.diagnostics
    assert words in line
    assert line.isprintable()
    assert len(line) < 700


def test_a_function_that_calls_itself_is_refused() -> None:
    made = doubling(2)
    made.functions[1].node[0].op_type = "f0"
    made.functions[1].node[0].domain = "own"
    with pytest.raises(ConfigurationError, match="calls itself"):
        import_model(made.SerializeToString())


GIVEN = {
    "an unknown dimension": ({"dims": {"M": 2}}, "no such dimension"),
    "an unknown input": ({"shapes": {"z": [1]}}, "no such input"),
    "another length than the model's": ({"shapes": {"x": [2, 5]}}, "the model fixes this dimension"),
    "another rank": ({"shapes": {"x": [2, 4, 1]}}, "does not fit the model"),
    "a negative length": ({"dims": {"N": -1}}, "a dimension is impossible"),
    "an enormous length": ({"dims": {"N": 2**31}}, "a dimension is impossible"),
    "two lengths": ({"dims": {"N": 2}, "shapes": {"x": [3, 4]}}, "one dimension is given two lengths"),
    "a constant of another shape": ({"constants": {"x": [[1, 2, 3]]}}, "no value of the input 'x'"),
    "a constant that is no number": ({"constants": {"x": [["a"] * 4]}}, "no value of the input 'x'"),
    "a ragged constant": ({"constants": {"x": [[1, 2, 3, 4], [5]]}}, "no value of the input 'x'"),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_wishes_that_do_not_fit_the_model_are_refused(kind: str) -> None:
    wishes, words = GIVEN[kind]
    data = model(relu(), inputs=[vector("x", ["N", 4])], outputs=[vector("y", ["N", 4])]).SerializeToString()
    with pytest.raises(ConfigurationError) as refusal:
        import_model(data, **wishes)
    assert words in refusal.value.diagnostics


def external(location: str, **more: int) -> bytes:
    def change(made: onnx.ModelProto) -> None:
        tensor = made.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **more}.items():
            tensor.external_data.add(key=key, value=str(value))

    return edited(change).SerializeToString()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(bytes(16))
    inside = tmp_path / "model"
    (inside / "sub").mkdir(parents=True)
    (inside / "sub" / "w.bin").write_bytes(np.arange(5, dtype=np.float32).tobytes())
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "up").symlink_to(tmp_path)
    os.mkfifo(inside / "pipe")
    return inside


def test_external_data_is_read_beside_the_model(folder: Path) -> None:
    graph = prepared(external("sub/w.bin", offset=4, length=16), Wishes(folder=folder)).graph()
    np.testing.assert_array_equal(graph.constant("w"), [1, 2, 3, 4])


OUTSIDE = {
    "/etc/hostname": "not beside the model",
    "../secret": "not beside the model",
    "sub/../../secret": "not beside the model",
    "C:\\w.bin": "not beside the model",
    "": "not beside the model",
    ".": "not beside the model",
    "a\nb": "not beside the model",
    "link": "cannot be read",
    "up/secret": "cannot be read",
    "missing": "cannot be read",
    "sub": "no regular file",
    "pipe": "no regular file",
}


@pytest.mark.parametrize("location", OUTSIDE)
def test_external_data_is_read_nowhere_else(folder: Path, location: str) -> None:
    with pytest.raises(ConfigurationError, match=OUTSIDE[location]):
        prepared(external(location), Wishes(folder=folder))


@pytest.mark.parametrize(
    "place", [{"length": 40}, {"offset": 8, "length": 16}, {"offset": 99}, {"length": 12}, {"offset": "-4"}]
)
def test_external_data_of_another_length_is_refused(folder: Path, place: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        prepared(external("sub/w.bin", **place), Wishes(folder=folder))


def test_external_data_is_not_read_unless_a_folder_is_named() -> None:
    with pytest.raises(ConfigurationError, match="lie in other files"):
        prepared(external("sub/w.bin"), Wishes())


def test_files_that_cannot_be_models_are_not_read(tmp_path: Path) -> None:
    large = tmp_path / "large.onnx"
    with large.open("wb") as file:
        file.truncate(3 * 2**30)
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (large, "too large"),
        (tmp_path, "no regular file"),
        (tmp_path / "pipe", "no regular file"),
        (tmp_path / "none", "cannot be read"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            read_model_untrusted(path)
