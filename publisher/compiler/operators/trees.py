"""Ensembles of decision trees: classifiers and regressors of ai.onnx.ml, in their old and new forms."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import C_TYPES, Node
from publisher.compiler.operators.forest import Forest, by_identifiers, by_numbers
from publisher.compiler.operators.parameters import check
from publisher.compiler.operators.registry import operator
from publisher.compiler.operators.scores import (
    TRANSFORMS,
    checked_type,
    class_labels,
    label_type,
    rows_and_features,
    transform_of,
)
from publisher.compiler.step import Step, literal

_AGGREGATES: Final = ("AVERAGE", "SUM", "MIN", "MAX")
_GATHERS: Final = {"AVERAGE": 0, "SUM": 0, "MIN": 1, "MAX": 2}
PROBIT: Final = TRANSFORMS.index("PROBIT")


@dataclass(frozen=True, slots=True)
class _Ensemble:
    """What the forms have in common."""

    forest: Forest
    targets: int
    aggregate: str
    transform: int
    base: tuple[float, ...]


@operator("ml.TreeEnsembleRegressor")
def tree_regressor(node: Node, step: Step) -> None:
    """ai.onnx.ml TreeEnsembleRegressor."""
    aggregate = node.text("aggregate_function", "SUM")
    check(aggregate in _AGGREGATES, node, "has an unknown aggregate_function")
    forest = by_identifiers(node, "target")
    targets = node.integer("n_targets", 0)
    _regress(node, step, _Ensemble(forest, targets, aggregate, transform_of(node), _base_values(node)))


@operator("ml.TreeEnsemble")
def tree_ensemble(node: Node, step: Step) -> None:
    """ai.onnx.ml TreeEnsemble: a regressor whose words are numbers."""
    aggregate, transform = node.integer("aggregate_function", 1), node.integer("post_transform", 0)
    known = 0 <= aggregate < len(_AGGREGATES) and 0 <= transform < len(TRANSFORMS)
    check(known, node, "has an unknown aggregate_function or post_transform")
    targets = node.integer("n_targets", 1)
    _regress(node, step, _Ensemble(by_numbers(node), targets, _AGGREGATES[aggregate], transform, ()))


def _regress(node: Node, step: Step, ensemble: _Ensemble) -> None:
    out, targets = step.value(node.outputs[0]), ensemble.targets
    rows, _ = rows_and_features(node, step)
    check(targets > 0 and out.shape == (rows, targets), node, "the output is of another shape")
    check(len(ensemble.base) in {0, 1, targets}, node, "has more or fewer base values than targets")
    scores = _gathered(node, step, ensemble, out.dtype)
    count = len(ensemble.forest.roots) if ensemble.aggregate == "AVERAGE" else 1
    base = ensemble.base if len(ensemble.base) == targets else ensemble.base * (targets == 1)
    for target in range(targets):
        added = f" + {_real(base[target])}" if base else ""
        answer = f"{scores}[{target}] / {count}{added}"
        # Of several targets, onnxruntime leaves those of which no leaf speaks at zero, base value or not.
        answer = answer if targets == 1 else f"spoken[{target}] ? {answer} : 0"
        step.line(f"{step.pointer(out.name)}[r * {targets} + {target}] = {answer};")
    # onnxruntime leaves a single number as it is, but for PROBIT.
    if ensemble.transform and (targets > 1 or ensemble.transform == PROBIT):
        check(out.dtype == "float32", node, "transforms what is not float32")
        step.call("transform_scores", f"{step.pointer(out.name)} + r * {targets}", targets, ensemble.transform)
    step.line("}")


@operator("ml.TreeEnsembleClassifier")
def tree_classifier(node: Node, step: Step) -> None:
    """ai.onnx.ml TreeEnsembleClassifier, with onnxruntime's meaning of two classes of which weights name one."""
    forest = by_identifiers(node, "class")
    labels = class_labels(node, "classlabels_int64s")
    ensemble = _Ensemble(forest, len(labels), "SUM", transform_of(node), _base_values(node))
    rows, _ = rows_and_features(node, step)
    if len(labels) < 2:
        raise UnsupportedError(node.operator, "of one class is not known", "train it on two classes or more")
    check(len(ensemble.base) in {0, 1, len(labels)}, node, "has more or fewer base values than classes")
    kind = label_type(node, step)
    numbers = step.scratch(len(labels))
    sums = _gathered(node, step, ensemble, "float32")
    names = step.constant(np.array(labels, np.int64))
    if len(labels) == 2:
        chosen = _of_two(step, ensemble, sums, numbers)
    else:
        _with_base(step, ensemble.base, sums)
        step.line(f"for (int t = 0; t < {len(labels)}; t++) {numbers}[t] = {sums}[t];")
        chosen = f"choose_of_many({numbers}, spoken, {len(labels)}, {ensemble.transform})"
    step.line(f"int chosen = {chosen};", f"(({kind} *){step.pointer(node.outputs[0])})[r] = {names}[chosen];")
    if len(node.outputs) > 1 and node.outputs[1]:
        scores = step.value(node.outputs[1])
        check(
            scores.shape == (rows, len(labels)) and scores.dtype == "float32", node, "the scores are of another shape"
        )
        to = f"{step.pointer(scores.name)}[r * {len(labels)} + t]"
        step.line(f"for (int t = 0; t < {len(labels)}; t++) {to} = {numbers}[t];")
    step.line("}")


def _with_base(step: Step, base: tuple[float, ...], sums: str) -> None:
    for target, value in enumerate(base):
        step.line(f"{sums}[{target}] += {_real(value)}; spoken[{target}] = 1;")


def _of_two(step: Step, ensemble: _Ensemble, sums: str, numbers: str) -> str:
    base, leaves = ensemble.base, ensemble.forest.leaves
    if len(base) == 2:
        opposite = f"{sums}[1] = {_real(base[1])} + {sums}[0]; {sums}[0] = -{sums}[1];"
        each = f"{sums}[0] += {_real(base[0])}; {sums}[1] += {_real(base[1])};"
        step.line(f"if (spoken[1]) {{ {opposite} }} else {{ {each} }}")
    elif base:
        step.line(f"{sums}[0] += {_real(base[0])};")
    step.line(f"for (int t = 0; t < 2; t++) {numbers}[t] = {sums}[t];")
    alone = len({target for leaf in leaves for target, _ in leaf}) == 1
    positive = all(weight >= 0 for leaf in leaves for _, weight in leaf)
    flags = (int(alone), int(positive), ensemble.transform, int(len(base) == 2))
    return f"choose_of_two({numbers}, spoken, {', '.join(map(str, flags))})"


def _gathered(node: Node, step: Step, ensemble: _Ensemble, out: str) -> str:
    """Begin a loop over rows `r` in which the returned array holds the sums by target, and `spoken` whose there are."""
    rows, features = rows_and_features(node, step)
    ensemble.forest.check(node, features, ensemble.targets)
    dtype = checked_type(node, step)
    real = "float64" if dtype == "float64" else "float32"
    check(out in {"float32", real}, node, "the output is of another type")
    step.include("trees.h")
    tables = ensemble.forest.tables()
    modes = set(tables["modes"].tolist())
    pointers = {name: step.constant(array) for name, array in tables.items() if name not in {"thresholds", "weights"}}
    thresholds, weights = (step.constant(tables[name].astype(real)) for name in ("thresholds", "weights"))
    fields = ", ".join(pointers[name] for name in ("feature", "yes", "no", "modes", "starts", "targets"))
    scores, spoken = step.scratch(ensemble.targets, real), step.scratch(ensemble.targets, "uint8")
    step.line(
        f"const Forest forest = {{{fields}}};",
        f"uint8_t *const spoken = {spoken};",
        f"for (int r = 0; r < {rows}; r++) {{",
    )
    step.call(
        f"forest_{dtype}_gather",
        *("forest", thresholds, weights, pointers["roots"], len(ensemble.forest.roots), ensemble.targets),
        *(modes.pop() if len(modes) == 1 else -1, _GATHERS[ensemble.aggregate]),
        *(f"((const {C_TYPES[dtype]} *){step.pointer(node.inputs[0])}) + r * {features}", scores, "spoken"),
    )
    return scores


def _base_values(node: Node) -> tuple[float, ...]:
    tensor = node.attributes.get("base_values_as_tensor")
    if isinstance(tensor, np.ndarray) and tensor.size:
        return tuple(float(each) for each in tensor.reshape(-1))
    return node.numbers("base_values")


def _real(value: float) -> str:
    """A literal of double precision: exact in either."""
    finite = value == value and abs(value) != float("inf")  # noqa: PLR0124 - NaN is not itself
    return float(value).hex() if finite else literal(value)
