"""Models of ai.onnx.ml: trees, linear models, support vectors, encoders, against onnxruntime; classes by name."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from protocol.errors import ConfigurationError
from publisher.compiler.errors import UnsupportedError
from publisher.compiler.importing import import_model
from tests.support.compiling import by_onnxruntime, close, compiled, graph_of, together

ROWS, FEATURES = 23, 5
KINDS = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64}
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")


def model(
    operator: str, outputs: dict[str, tuple[int, list[Any]]], dtype: str = "float32", **told: Any
) -> onnx.ModelProto:
    node = helper.make_node(operator, ["x"], list(outputs), domain="ai.onnx.ml", **told)
    given = [helper.make_tensor_value_info("x", KINDS[dtype], (ROWS, FEATURES))]
    made = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()]
    sets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 5 if operator == "TreeEnsemble" else 3)]
    return helper.make_model(helper.make_graph([node], "g", given, made), opset_imports=sets, ir_version=10)


def scores(*shape: int) -> dict[str, tuple[int, list[Any]]]:
    return {"y": (TensorProto.FLOAT, list(shape))}


def classified(count: int) -> dict[str, tuple[int, list[Any]]]:
    return {"label": (TensorProto.INT64, [ROWS]), "scores": (TensorProto.FLOAT, [ROWS, count])}


def rows(dtype: str = "float32", seed: int = 0) -> NDArray[Any]:
    """Small whole numbers, so that equality and both sides of each threshold happen; some are missing."""
    x = np.random.default_rng(seed).integers(-3, 4, (ROWS, FEATURES)).astype(dtype)
    if x.dtype.kind == "f":
        x[::7, 2] = np.nan
    return x


def trees(prefix: str, seed: int, targets: int, modes: tuple[str, ...] = MODES, one: bool = False) -> dict[str, Any]:
    """Five random trees of depth three; `one`: all weights speak of target 0."""
    r = np.random.default_rng(seed)
    nodes, weights = [], []
    for tree in range(5):
        waiting = [0]
        for number in waiting:
            leaf = number >= 7 or (number >= 3 and r.random() < 0.2)
            yes, no = (0, 0) if leaf else (2 * number + 1, 2 * number + 2)
            waiting += [] if leaf else [yes, no]
            mode = "LEAF" if leaf else str(r.choice(modes))
            nodes.append((tree, number, int(r.integers(FEATURES)), float(r.integers(-3, 4)), yes, no, mode))
            if leaf:
                target = 0 if one else int(r.integers(targets))
                weights.append((tree, number, target, float(np.float32(r.normal()))))
    columns = list(zip(*nodes, strict=True))
    names = ("treeids", "nodeids", "featureids", "values", "truenodeids", "falsenodeids", "modes")
    told = {f"nodes_{name}": list(column) for name, column in zip(names, columns, strict=True)}
    spoken = list(zip(*weights, strict=True))
    ids = ("treeids", "nodeids", "ids", "weights")
    told |= {f"{prefix}_{name}": list(column) for name, column in zip(ids, spoken, strict=True)}
    return told | {"nodes_missing_value_tracks_true": [int(each) for each in r.integers(0, 2, len(nodes))]}


def regressors() -> Iterator[onnx.ModelProto]:
    for seed, (targets, how) in enumerate(((1, "SUM"), (3, "SUM"), (1, "AVERAGE"), (2, "AVERAGE"))):
        told = trees("target", seed, targets)
        base = [0.5] * targets if seed % 2 else []
        yield model("TreeEnsembleRegressor", scores(ROWS, targets), n_targets=targets, aggregate_function=how,
                    **(told | ({"base_values": base} if base else {})))  # fmt: skip
    for seed, how in enumerate(("MIN", "MAX")):
        yield model("TreeEnsembleRegressor", scores(ROWS, 1), n_targets=1, aggregate_function=how,
                    **trees("target", seed, 1, ("BRANCH_LEQ",)))  # fmt: skip
    for transform in ("LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        yield model("TreeEnsembleRegressor", scores(ROWS, 3), n_targets=3, post_transform=transform,
                    **trees("target", 9, 3))  # fmt: skip


def classifiers() -> Iterator[onnx.ModelProto]:
    for transform in ("NONE", "LOGISTIC", "SOFTMAX"):
        yield model("TreeEnsembleClassifier", classified(4), classlabels_int64s=[7, 8, 9, 3],
                    post_transform=transform, base_values=[0.1, 0.2, 0.3, 0.4], **trees("class", 3, 4))  # fmt: skip
        yield model("TreeEnsembleClassifier", classified(2), classlabels_int64s=[0, 1],
                    post_transform=transform, **trees("class", 4, 2))  # fmt: skip
        for base in ([], [0.25]):
            yield model("TreeEnsembleClassifier", classified(2), classlabels_int64s=[5, 6], post_transform=transform,
                        **(trees("class", 5, 2, one=True) | ({"base_values": base} if base else {})))  # fmt: skip
    positive = trees("class", 6, 2, one=True)
    positive["class_weights"] = [abs(each) / 8 for each in positive["class_weights"]]
    yield model("TreeEnsembleClassifier", classified(2), classlabels_int64s=[5, 6], **positive)


def linear() -> Iterator[onnx.ModelProto]:
    r = np.random.default_rng(1)

    def some(count: int) -> list[float]:
        return [float(each) for each in r.normal(size=count).astype("f4")]

    for transform in ("NONE", "LOGISTIC", "SOFTMAX"):
        yield model("LinearClassifier", classified(3), classlabels_ints=[4, 5, 6], post_transform=transform,
                    coefficients=some(3 * FEATURES), intercepts=some(3))  # fmt: skip
    for transform in ("NONE", "LOGISTIC"):
        yield model("LinearClassifier", classified(2), classlabels_ints=[4, 5], post_transform=transform,
                    coefficients=some(FEATURES), intercepts=some(1))  # fmt: skip
    for targets in (1, 2):
        yield model("LinearRegressor", scores(ROWS, targets), targets=targets, coefficients=some(targets * FEATURES),
                    intercepts=some(targets))  # fmt: skip
    for kernel, numbers in (
        ("LINEAR", [0, 0, 0]),
        ("POLY", [0.1, 1, 3]),
        ("RBF", [0.2, 0, 0]),
        ("SIGMOID", [0.1, 1, 0]),
    ):
        vectors = dict(  # noqa: C408 - names of attributes
            kernel_type=kernel, kernel_params=[float(each) for each in numbers]
        )
        yield model("SVMRegressor", scores(ROWS, 1), n_supports=6, coefficients=some(6), rho=some(1),
                    support_vectors=some(6 * FEATURES), **vectors)  # fmt: skip
        vectors |= dict(  # noqa: C408 - likewise
            vectors_per_class=[2, 3, 4], support_vectors=some(9 * FEATURES), coefficients=some(18), rho=some(3)
        )
        yield model("SVMClassifier", classified(3), classlabels_ints=[0, 1, 2], **vectors)
        yield model("SVMClassifier", classified(3), classlabels_ints=[0, 1, 2], prob_a=[-1.0, -2.0, -1.5],
                    prob_b=[0.1, 0.2, 0.3], **vectors)  # fmt: skip
    yield model("SVMRegressor", scores(ROWS, 1), one_class=1, n_supports=6, coefficients=some(6), rho=some(1),
                support_vectors=some(6 * FEATURES), kernel_type="RBF", kernel_params=[0.2, 0.0, 0.0])  # fmt: skip


def encoders() -> Iterator[onnx.ModelProto]:
    shape = (ROWS, FEATURES)
    yield model("Scaler", scores(*shape), offset=[1.0, 2.0, 3.0, 4.0, 5.0], scale=[0.5] * 5)
    for norm in ("MAX", "L1", "L2"):
        yield model("Normalizer", scores(*shape), norm=norm)
    yield model("Binarizer", scores(*shape), threshold=0.5)
    yield model(
        "Imputer", scores(*shape), imputed_value_floats=[1.0, 2.0, 3.0, 4.0, 5.0], replaced_value_float=float("nan")
    )
    yield model("LabelEncoder", {"y": (TensorProto.INT64, list(shape))}, "int64", keys_int64s=[-3, 0, 3],
                values_int64s=[30, 31, 32], default_int64=-7)  # fmt: skip
    yield model("OneHotEncoder", scores(*shape, 3), "int64", cats_int64s=[-1, 0, 2])


def agree(models: list[onnx.ModelProto]) -> None:
    """All of them in one module."""
    given = []
    for each in models:
        kind = each.graph.input[0].type.tensor_type.elem_type
        dtype = next(name for name, number in KINDS.items() if number == kind)
        plain = each.graph.node[0].op_type in {"Normalizer", "LinearClassifier", "LinearRegressor", "Binarizer"}
        data = rows(dtype)
        given.append(np.nan_to_num(data) if plain or "SVM" in each.graph.node[0].op_type else data)
    answers = iter(compiled(together([graph_of(each) for each in models]))(given))
    for each, data in zip(models, given, strict=True):
        for expected in by_onnxruntime(each, {"x": data}):
            close(next(answers), expected, 1e-5, str(each.graph.node[0])[:400])


def test_trees() -> None:
    agree([*regressors(), *classifiers()])


def test_linear_models_and_support_vectors() -> None:
    agree(list(linear()))


def test_encoders() -> None:
    agree(list(encoders()))


@pytest.mark.parametrize("dtype", ["float64"])
def test_trees_compare_in_the_type_of_their_features(dtype: str) -> None:
    told = trees("target", 2, 1)
    agree([model("TreeEnsembleRegressor", scores(ROWS, 1), dtype, n_targets=1, **told)])


def test_classes_by_name_are_numbered_and_their_names_kept() -> None:
    told = trees("class", 3, 3)
    outputs = {"label": (TensorProto.STRING, [ROWS]), "p": (TensorProto.FLOAT, [ROWS, 3])}
    by_name = model("TreeEnsembleClassifier", outputs, classlabels_strings=["ape", "bee", "cat"], **told)
    zipped = helper.make_node(
        "ZipMap", ["p"], ["named"], domain="ai.onnx.ml", classlabels_strings=["ape", "bee", "cat"]
    )
    by_name.graph.node.append(zipped)
    kind = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    del by_name.graph.output[1]
    by_name.graph.output.append(helper.make_value_info("named", helper.make_sequence_type_proto(kind)))
    graph = graph_of(by_name)
    assert graph.labels == {"label": ("ape", "bee", "cat"), "named": ("ape", "bee", "cat")}
    label, probabilities = compiled(graph)([rows()])
    expected, named = _plain(by_name)
    np.testing.assert_array_equal(np.array(["ape", "bee", "cat"])[label], expected)
    np.testing.assert_allclose(probabilities, [[each[name] for name in ("ape", "bee", "cat")] for each in named], 1e-5)


def _plain(named: onnx.ModelProto) -> tuple[Any, Any]:
    import onnxruntime  # noqa: PLC0415

    session = onnxruntime.InferenceSession(named.SerializeToString(), providers=["CPUExecutionProvider"])
    return tuple(session.run(None, {"x": rows()}))


def bad(name: str, value: Any) -> onnx.ModelProto:
    """A regressor in which all entries of one attribute are this value."""
    told = trees("target", 0, 1)
    told[name] = [value] * len(told[name])
    return model("TreeEnsembleRegressor", scores(ROWS, 1), n_targets=1, **told)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (bad("nodes_featureids", 99), "feature that is not there"),
        (bad("nodes_truenodeids", 0), "root"),
        (bad("nodes_falsenodeids", 77), "child that is not there"),
        (
            model(
                "TreeEnsembleRegressor",
                scores(ROWS, 1),
                n_targets=1,
                **(trees("target", 0, 1) | {"nodes_values": [1.0]}),
            ),
            "nodes_values",
        ),
        (bad("target_ids", 3), "target that is not there"),
        (bad("nodes_modes", "BRANCH_MAYBE"), "unknown mode"),
        (bad("nodes_nodeids", 0), "once"),
        (model("Scaler", scores(ROWS, FEATURES), offset=[1.0, 2.0]), "numbers of offset"),
        (model("LinearRegressor", scores(ROWS, 1), coefficients=[1.0]), "coefficient per feature"),
    ],
)
def test_impossible_models_are_refused(broken: onnx.ModelProto, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        compiled(broken)


def test_a_path_that_comes_back_is_refused() -> None:
    """In TreeEnsemble, nodes are places in arrays: two that name each other would be walked for ever."""
    told: dict[str, Any] = dict(  # noqa: C408 - names of attributes
        nodes_featureids=[0, 0], nodes_truenodeids=[1, 0], nodes_falsenodeids=[1, 0], nodes_trueleafs=[0, 0],
        nodes_falseleafs=[0, 0], leaf_targetids=[0], tree_roots=[0],
        nodes_modes=helper.make_tensor("m", TensorProto.UINT8, [2], [0, 0]),
        nodes_splits=helper.make_tensor("s", TensorProto.FLOAT, [2], [0.0, 0.0]),
        leaf_weights=helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0]),
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match="comes back"):
        compiled(model("TreeEnsemble", scores(ROWS, 1), n_targets=1, **told))


def test_words_are_not_computed_with() -> None:
    node = helper.make_node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", keys_strings=["a"], values_int64s=[1])
    given = [helper.make_tensor_value_info("x", TensorProto.STRING, (3,))]
    made = [helper.make_tensor_value_info("y", TensorProto.INT64, (3,))]
    sets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    words = helper.make_model(helper.make_graph([node], "g", given, made), opset_imports=sets, ir_version=10)
    with pytest.raises(UnsupportedError, match="words"):
        import_model(words.SerializeToString())
