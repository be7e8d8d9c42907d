"""Features before a model of ai.onnx.ml, and labels behind it: tables, thresholds, columns."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import C_TYPES, Node
from publisher.compiler.loops import Operand, broadcast, nest
from publisher.compiler.operators.parameters import check
from publisher.compiler.operators.pointwise import pointwise
from publisher.compiler.operators.registry import operator
from publisher.compiler.operators.scores import checked_type, float_rows
from publisher.compiler.step import Step, literal, row_major

_KEYS: Final = ("keys_tensor", "keys_int64s", "keys_floats")
_VALUES: Final = ("values_tensor", "values_int64s", "values_floats")
_TEXTS: Final = ("keys_strings", "values_strings", "classes_strings", "cats_strings")


@operator("ml.LabelEncoder")
def label_encoder(node: Node, step: Step) -> None:
    """ai.onnx.ml LabelEncoder between numbers: values by their keys, NaN equal to NaN."""
    _refuse_texts(node)
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    keys, values = _table(node, _KEYS, source.dtype), _table(node, _VALUES, out.dtype)
    check(keys.size == values.size and source.shape == out.shape, node, "does not have a value for each key")
    otherwise = _default(node, out.dtype)
    x, key, value = "{a}", step.constant(keys), step.constant(values)
    same = f"{key}[k] == x"
    if keys.dtype.kind == "f" and np.isnan(keys).any():
        same += f" || ({key}[k] != {key}[k] && x != x)"
    operands = {
        "o": Operand(step.pointer(out.name), row_major(out.shape), C_TYPES[out.dtype]),
        "a": Operand(step.pointer(source.name), row_major(source.shape), f"const {C_TYPES[source.dtype]}"),
    }
    ctype = C_TYPES[source.dtype]
    look = f"for (int k = 0; k < {keys.size}; k++) if ({same}) {{{{ found = {value}[k]; break; }}}}"
    start = f"const {ctype} x = {x}; {C_TYPES[out.dtype]} found = {otherwise};"
    nest(step, out.shape, operands, f"{start} {look} {{o}} = found;", ordered=True)


def _refuse_texts(node: Node) -> None:
    if any(node.texts(name) for name in _TEXTS):
        raise UnsupportedError(node.operator, "of words is not known here", "encode words as numbers beforehand")


def _table(node: Node, names: tuple[str, ...], dtype: str) -> NDArray[Any]:
    for name in names:
        found = node.attributes.get(name)
        if isinstance(found, np.ndarray):
            return found.reshape(-1).astype(dtype)
        if found:
            return np.array(node.numbers(name) if "floats" in name else node.integers(name), dtype)
    return np.zeros(0, dtype)


def _default(node: Node, dtype: str) -> str:
    tensor = node.attributes.get("default_tensor")
    if isinstance(tensor, np.ndarray) and tensor.size:
        return literal(tensor.reshape(-1)[0].item())
    if dtype.startswith("float"):
        return literal(node.number("default_float", -0.0))
    return literal(node.integer("default_int64", -1))


@operator("ml.Binarizer")
def binarizer(node: Node, step: Step) -> None:
    """ai.onnx.ml Binarizer: 1 above the threshold, 0 otherwise."""
    checked_type(node, step)
    pointwise(node, step, f"{{a}} > {literal(node.number('threshold', 0.0))}")


@operator("ml.Imputer")
def imputer(node: Node, step: Step) -> None:
    """ai.onnx.ml Imputer: what is missing (NaN, or one value) becomes a value, one for each column or one for all."""
    dtype = checked_type(node, step)
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    whole = dtype.startswith("int")
    values = _table(node, ("imputed_value_int64s",) if whole else ("imputed_value_floats",), dtype)
    missing = node.integer("replaced_value_int64", 0) if whole else node.number("replaced_value_float", 0.0)
    columns = source.shape[-1] if source.shape else 1
    check(values.size in {1, columns} and out.shape == source.shape, node, "does not have a value for each column")
    is_missing = "{a} != {a}" if missing != missing else f"{{a}} == {literal(missing)}"  # noqa: PLR0124 - NaN
    operands = {
        "o": Operand(step.pointer(out.name), row_major(out.shape), C_TYPES[dtype]),
        "a": Operand(step.pointer(source.name), row_major(source.shape), f"const {C_TYPES[dtype]}"),
        "b": Operand(step.constant(values), broadcast((values.size,), out.shape), f"const {C_TYPES[dtype]}"),
    }
    nest(step, out.shape, operands, f"{{o}} = {is_missing} ? {{b}} : {{a}};")


@operator("ml.ArrayFeatureExtractor")
def array_feature_extractor(node: Node, step: Step) -> None:
    """ai.onnx.ml ArrayFeatureExtractor: chosen columns of the last dimension."""
    source, chosen, out = (step.value(name) for name in (*node.inputs[:2], node.outputs[0]))
    columns = source.shape[-1] if source.shape else 0
    rows = source.size // columns if columns else 0
    check(out.size == rows * chosen.size and chosen.dtype == "int64", node, "the output is of another shape")
    index = f"{step.pointer(chosen.name)}[c]"
    inside = f"if (from < 0 || from >= {columns}) {{ invalid = 1; from = 0; }}"
    step.line(
        f"for (int c = 0; c < {chosen.size}; c++) {{ int64_t from = {index}; {inside}",
        f"for (int r = 0; r < {rows}; r++) {step.pointer(out.name)}[r * {chosen.size} + c] =",
        f"{step.pointer(source.name)}[r * {columns} + from]; }}",
    )


@operator("ml.OneHotEncoder")
def one_hot_encoder(node: Node, step: Step) -> None:
    """ai.onnx.ml OneHotEncoder of whole numbers; what is no category is all zeros, or impossible input."""
    _refuse_texts(node)
    dtype = checked_type(node, step)
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    categories = np.array(node.integers("cats_int64s"), np.int64)
    check(out.size == source.size * categories.size and out.dtype == "float32", node, "the output is of another shape")
    unknown = "(void)known;" if node.integer("zeros", 1) else "invalid |= !known;"
    table = step.constant(categories)
    step.line(
        f"for (int i = 0; i < {source.size}; i++) {{ int known = 0;",
        f"for (int k = 0; k < {categories.size}; k++) {{",
        f"int same = (int64_t){step.pointer(source.name)}[i] == {table}[k]; known |= same;"
        if dtype != "float32"
        else "",
        f"int same = {step.pointer(source.name)}[i] == (float){table}[k]; known |= same;" if dtype == "float32" else "",
        f"{step.pointer(out.name)}[i * {categories.size} + k] = same; }} {unknown} }}",
    )


@operator("ml.FeatureVectorizer")
def feature_vectorizer(node: Node, step: Step) -> None:
    """ai.onnx.ml FeatureVectorizer: columns of all inputs side by side, as float32; too few are filled with zeros."""
    out = step.value(node.outputs[0])
    check(len(out.shape) == 2 and out.dtype == "float32", node, "the output is of another shape or type")
    wanted = node.integers("inputdimensions")
    check(len(wanted) == len(node.inputs) and sum(wanted) == out.shape[1], node, "the inputs' columns do not add up")
    at = 0
    for name, width in zip(node.inputs, wanted, strict=True):
        value = step.value(name)
        own = value.shape[-1] if value.shape else 1
        check(value.size == own * out.shape[0], node, "an input has other rows")
        element = f"c < {own} ? (float){step.pointer(name)}[r * {own} + c] : 0.0f"
        to = f"{step.pointer(out.name)}[r * {out.shape[1]} + {at} + c]"
        step.line(f"for (int r = 0; r < {out.shape[0]}; r++) for (int c = 0; c < {width}; c++) {to} = {element};")
        at += width


@operator("ml.Scaler")
def scaler(node: Node, step: Step) -> None:
    """ai.onnx.ml Scaler: (x - offset) · scale, each one for all or one a column."""
    checked_type(node, step)
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    columns = source.shape[-1] if source.shape else 1
    tables = []
    for name in ("offset", "scale"):
        numbers = np.array(node.numbers(name) or (float(name == "scale"),), np.float32)
        check(numbers.size in {1, columns}, node, f"has {numbers.size} numbers of {name} for {columns} columns")
        tables.append(
            (step.constant(numbers), broadcast((numbers.size,), out.shape or (1,))[-len(out.shape or (1,)) :])
        )
    check(out.shape == source.shape and out.dtype == "float32", node, "the output is of another shape or type")
    (offset, over), (scale, across) = tables
    shape = out.shape or (1,)
    operands = {
        "o": Operand(step.pointer(out.name), row_major(shape), "float"),
        "a": Operand(step.pointer(source.name), row_major(shape), f"const {C_TYPES[source.dtype]}"),
        "b": Operand(offset, over, "const float"),
        "c": Operand(scale, across, "const float"),
    }
    nest(step, shape, operands, "{o} = ((float){a} - {b}) * {c};")


@operator("ml.Normalizer")
def normalizer(node: Node, step: Step) -> None:
    """ai.onnx.ml Normalizer: each row divided by its largest element, its sum of sizes, or its length."""
    kind = node.text("norm", "MAX")
    check(kind in {"MAX", "L1", "L2"}, node, "has an unknown norm")
    source, out = step.value(node.inputs[0]), step.value(node.outputs[0])
    check(out.shape == source.shape and out.dtype == "float32", node, "the output is of another shape or type")
    columns = source.shape[-1] if source.shape else 1
    rows, floats = (source.size // columns if columns else 0), float_rows(node, step)
    add = {"MAX": "norm = i == 0 || x > norm ? x : norm;", "L1": "norm += fabsf(x);", "L2": "norm += x * x;"}[kind]
    to = f"{step.pointer(out.name)}[r * {columns} + i]"
    root = "norm = sqrtf(norm);" if kind == "L2" else ""
    step.line(
        f"for (int r = 0; r < {rows}; r++) {{ const float *row = {floats} + r * {columns}; float norm = 0;",
        f"for (int i = 0; i < {columns}; i++) {{ float x = row[i]; {add} }} {root}",
        # A row of zeros stays as it is.
        f"for (int i = 0; i < {columns}; i++) {to} = norm != 0 ? row[i] / norm : row[i]; }}",
    )
