"""Support vector machines of ai.onnx.ml."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.operators.parameters import check
from publisher.compiler.operators.registry import operator
from publisher.compiler.operators.scores import class_labels, float_rows, label_type, rows_and_features, transform_of
from publisher.compiler.step import Step, literal

KERNELS: Final = ("LINEAR", "POLY", "RBF", "SIGMOID")
"""In the order of kernels/support_vectors.h."""


@operator("ml.SVMRegressor")
def svm_regressor(node: Node, step: Step) -> None:
    """ai.onnx.ml SVMRegressor; with `one_class` 1 for what is inside and -1 for what is not."""
    out, supports = step.value(node.outputs[0]), node.integer("n_supports", 0)
    rows, features = rows_and_features(node, step)
    coefficients, rho = np.array(node.numbers("coefficients"), np.float32), node.numbers("rho") or (0.0,)
    check(out.size == rows and out.dtype == "float32", node, "the output is of another shape")
    check(0 <= supports <= coefficients.size, node, "does not have a coefficient per support vector")
    if transform_of(node):
        raise UnsupportedError(node.operator, "with a post_transform is not known", "use NONE, and transform behind it")
    step.include("support_vectors.h")
    weights, data = step.constant(coefficients), float_rows(node, step)
    if supports:
        kernels = step.scratch(supports)
        _kernels(node, step, _Vectors(supports, features, data, kernels), rows)
        step.line(f"float sum = dot_product({kernels}, {weights}, {supports}) + {literal(rho[0])};")
    else:
        check(coefficients.size == features, node, "does not have a coefficient per feature")
        step.line(f"for (int r = 0; r < {rows}; r++) {{")
        step.line(f"float sum = dot_product({data} + r * {features}, {weights}, {features}) + {literal(rho[0])};")
    answer = "sum > 0 ? 1.0f : -1.0f" if node.integer("one_class", 0) else "sum"
    step.line(f"{step.pointer(out.name)}[r] = {answer};", "}")


@operator("ml.SVMClassifier")
def svm_classifier(node: Node, step: Step) -> None:
    """ai.onnx.ml SVMClassifier: votes between pairs of classes, and probabilities where Platt's numbers are there."""
    labels = class_labels(node, "classlabels_ints")
    per_class = node.integers("vectors_per_class")
    if not sum(per_class):
        raise UnsupportedError(node.operator, "without support vectors is not known", "use LinearClassifier")
    check(len(per_class) == len(labels) > 1 and min(per_class) >= 0, node, "does not say how many vectors a class has")
    rows, features = rows_and_features(node, step)
    pairs, vectors = len(labels) * (len(labels) - 1) // 2, sum(per_class)
    coefficients, rho = node.numbers("coefficients"), node.numbers("rho")
    check(len(coefficients) == (len(labels) - 1) * vectors and len(rho) >= pairs, node, "lacks coefficients or rho")
    step.include("support_vectors.h")
    kernels, data = step.scratch(vectors), float_rows(node, step)
    scores, votes = step.scratch(max(pairs, len(labels))), step.scratch(len(labels), "int32")
    starts = step.constant(np.cumsum([0, *per_class], dtype=np.int32))
    tables = [step.constant(np.array(each, np.float32)) for each in (coefficients, rho)]
    _kernels(node, step, _Vectors(vectors, features, data, kernels), rows)
    step.call("pairs_of_classes", kernels, *tables, starts, len(labels), vectors, scores, votes)
    _choose(node, step, labels, votes)
    _write_scores(node, step, len(labels), scores)
    step.line("}")


@dataclass(frozen=True, slots=True)
class _Vectors:
    """How many support vectors of how many features; the rows, and where a row's kernels go."""

    count: int
    features: int
    data: str
    kernels: str


def _kernels(node: Node, step: Step, of: _Vectors, rows: int) -> None:
    """Begin a loop over rows `r`: the kernel of each with every support vector."""
    vectors = np.array(node.numbers("support_vectors"), np.float32)
    check(vectors.size == of.count * of.features, node, "does not have a number per support vector and feature")
    kernel = node.text("kernel_type", "LINEAR")
    check(kernel in KERNELS, node, "has an unknown kernel_type")
    numbers = (*node.numbers("kernel_params"), 0.0, 0.0, 0.0)[:3]
    table = step.constant(vectors)
    pair = f"{of.data} + r * {of.features}, {table} + v * {of.features}, {of.features}"
    told = f"{KERNELS.index(kernel)}, {', '.join(map(literal, numbers))}"
    step.line(
        f"for (int r = 0; r < {rows}; r++) {{",
        f"for (int v = 0; v < {of.count}; v++) {of.kernels}[v] = support_kernel({pair}, {told});",
    )


def _choose(node: Node, step: Step, labels: tuple[int, ...], votes: str) -> None:
    """The class with most votes, the first of equals."""
    names, kind = step.constant(np.array(labels, np.int64)), label_type(node, step)
    step.line(
        f"int best = 0; for (int c = 1; c < {len(labels)}; c++) best = {votes}[c] > {votes}[best] ? c : best;",
        f"(({kind} *){step.pointer(node.outputs[0])})[r] = {names}[best];",
    )


def _write_scores(node: Node, step: Step, classes: int, scores: str) -> None:
    if len(node.outputs) < 2 or not node.outputs[1]:
        return
    transform, pairs = transform_of(node), classes * (classes - 1) // 2
    a, b = (np.array(node.numbers(name), np.float32) for name in ("prob_a", "prob_b"))
    rows, _ = rows_and_features(node, step)
    width = classes if a.size else max(pairs, 2)
    out = step.value(node.outputs[1])
    check(out.shape == (rows, width) and out.dtype == "float32", node, "the scores are of another shape")
    found = scores
    if a.size:
        check(a.size >= pairs and b.size >= pairs, node, "lacks prob_a or prob_b")
        r, q = step.scratch(classes * classes), step.scratch(classes * classes)
        work, found = step.scratch(classes), step.scratch(classes)
        step.call("pair_probabilities", scores, step.constant(a), step.constant(b), classes, r)
        step.call("coupled_probabilities", r, classes, q, work, found)
    if not a.size and classes == 2:
        how = "COMPLEMENT" if transform else "OPPOSITE_FIRST"
        step.call("second_score", found, f"{found}[0]", how, transform)
    else:
        step.call("transform_scores", found, width, transform)
    step.line(f"for (int t = 0; t < {width}; t++) {step.pointer(out.name)}[r * {width} + t] = {found}[t];")
