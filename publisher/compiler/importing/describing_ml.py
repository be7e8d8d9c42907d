"""Types and shapes of what ai.onnx.ml's operators give out: ONNX infers few of them."""

from collections.abc import Mapping
from typing import Any, Final

import onnx
from onnx import TensorProto, helper

Described = tuple[int, tuple[int, ...]]
"""An element type, and a shape."""

FLOATS: Final = frozenset({"Scaler", "Normalizer"})
SAME: Final = frozenset({"Binarizer", "Imputer"})
SCORED: Final = frozenset({"LinearRegressor", "TreeEnsembleRegressor", "TreeEnsemble", "SVMRegressor"})
CLASSIFIED: Final = frozenset({"LinearClassifier", "TreeEnsembleClassifier", "SVMClassifier"})


def outputs_of(node: onnx.NodeProto, known: Mapping[str, Described]) -> tuple[Described, ...]:
    """What a node gives out, where its first input is known; () where nobody can say."""
    if node.domain != "ai.onnx.ml" or node.input[0] not in known:
        return ()
    told: dict[str, Any] = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    elem, shape = known[node.input[0]]
    if node.op_type in FLOATS:
        return ((TensorProto.FLOAT, shape),)
    if node.op_type in SAME:
        return ((elem, shape),)
    rows = shape[0] if len(shape) > 1 else 1
    if node.op_type in SCORED:
        double = node.op_type == "TreeEnsemble" and elem == TensorProto.DOUBLE
        count = told.get("n_targets", 1) if "Tree" in node.op_type else told.get("targets", 1)
        return ((TensorProto.DOUBLE if double else TensorProto.FLOAT, (rows, int(count))),)
    if node.op_type in CLASSIFIED:
        return ((TensorProto.INT64, (rows,)), (TensorProto.FLOAT, (rows, _scores(node.op_type, told))))
    return _encoded(node, told, known)


def _scores(operator: str, told: Mapping[str, Any]) -> int:
    classes = len(told.get("classlabels_ints", told.get("classlabels_int64s", ())))
    if operator == "LinearClassifier":
        return max(len(told.get("intercepts", ())), 2 if classes == 2 else 1)
    if operator == "SVMClassifier" and not told.get("prob_a"):
        return max(classes * (classes - 1) // 2, 2)
    return classes


def _encoded(node: onnx.NodeProto, told: Mapping[str, Any], known: Mapping[str, Described]) -> tuple[Described, ...]:
    elem, shape = known[node.input[0]]
    if node.op_type == "LabelEncoder":
        table = told.get("values_tensor")
        of_values = {"values_int64s": TensorProto.INT64, "values_floats": TensorProto.FLOAT}
        kinds = [kind for name, kind in of_values.items() if name in told] + ([table.data_type] if table else [])
        return tuple((kind, shape) for kind in kinds[:1])
    if node.op_type == "ArrayFeatureExtractor" and node.input[1] in known:
        count = 1
        for length in known[node.input[1]][1]:
            count *= length
        return ((elem, (*(shape[:-1] if len(shape) > 1 else (1,)), count)),)
    if node.op_type == "OneHotEncoder":
        return ((TensorProto.FLOAT, (*shape, len(told.get("cats_int64s", ())))),)
    if node.op_type == "FeatureVectorizer":
        return ((TensorProto.FLOAT, (shape[0] if len(shape) > 1 else 1, sum(told.get("inputdimensions", ())))),)
    return ()
