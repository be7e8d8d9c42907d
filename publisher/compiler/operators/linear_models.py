"""Linear models of ai.onnx.ml: a product, and what becomes of its scores."""

import numpy as np

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.operators.parameters import check
from publisher.compiler.operators.registry import operator
from publisher.compiler.operators.scores import (
    TRANSFORMS,
    class_labels,
    float_rows,
    label_type,
    rows_and_features,
    transform_of,
)
from publisher.compiler.step import Step

PROBIT = TRANSFORMS.index("PROBIT")


@operator("ml.LinearRegressor")
def linear_regressor(node: Node, step: Step) -> None:
    """ai.onnx.ml LinearRegressor. onnxruntime transforms a single target by PROBIT alone."""
    out, targets, transform = step.value(node.outputs[0]), node.integer("targets", 1), transform_of(node)
    rows, _ = rows_and_features(node, step)
    check(out.shape == (rows, targets) and out.dtype == "float32", node, "the output is of another shape")
    scores = f"({step.pointer(out.name)} + r * {targets})"
    _product(node, step, targets, scores)
    if transform and (targets > 1 or transform == PROBIT):
        step.call("transform_scores", scores, targets, transform)
    step.line("}")


@operator("ml.LinearClassifier")
def linear_classifier(node: Node, step: Step) -> None:
    """ai.onnx.ml LinearClassifier: as many scores as intercepts; one score of two classes becomes two."""
    labels, transform = class_labels(node, "classlabels_ints"), transform_of(node)
    targets = len(node.numbers("intercepts"))
    rows, _ = rows_and_features(node, step)
    check(0 < targets <= len(labels), node, "has more intercepts than classes, or none")
    if targets == 1 and (len(labels) != 2 or transform == PROBIT):
        raise UnsupportedError(node.operator, "of one class, or PROBIT of one score, is not known", "use two scores")
    kind, scores = label_type(node, step), step.scratch(max(targets, 2))
    names = step.constant(np.array(labels, np.int64))
    _product(node, step, targets, scores)
    best = f"largest_score({scores}, {targets})" if targets > 1 else f"{scores}[0] > 0"
    step.line(f"(({kind} *){step.pointer(node.outputs[0])})[r] = {names}[{best}];")
    if targets == 1:
        # LOGISTIC of a score and of its opposite are each other's complements.
        single = f"score_logistic({scores}[0])" if transform == TRANSFORMS.index("LOGISTIC") else f"{scores}[0]"
        step.call("second_score", scores, single, "COMPLEMENT", 0)
    else:
        step.call("transform_scores", scores, targets, transform)
    if len(node.outputs) > 1 and node.outputs[1]:
        out, width = step.value(node.outputs[1]), max(targets, 2)
        check(out.shape == (rows, width) and out.dtype == "float32", node, "the scores are of another shape")
        to = f"{step.pointer(out.name)}[r * {width} + t]"
        step.line(f"for (int t = 0; t < {width}; t++) {to} = {scores}[t];")
    step.line("}")


def _product(node: Node, step: Step, targets: int, scores: str) -> None:
    """Begin a loop over rows `r`: their products with the coefficients, and the intercepts."""
    rows, features = rows_and_features(node, step)
    coefficients = np.array(node.numbers("coefficients"), np.float32)
    intercepts = np.array(node.numbers("intercepts") or (0.0,) * targets, np.float32)
    check(targets > 0 and coefficients.size == targets * features, node, "does not have a coefficient per feature")
    check(intercepts.size == targets, node, "does not have an intercept per target")
    step.include("support_vectors.h")
    data, weights, added = float_rows(node, step), step.constant(coefficients), step.constant(intercepts)
    product = f"dot_product({data} + r * {features}, {weights} + t * {features}, {features})"
    step.line(
        f"for (int r = 0; r < {rows}; r++) {{",
        f"for (int t = 0; t < {targets}; t++) {scores}[t] = {product} + {added}[t];",
    )
