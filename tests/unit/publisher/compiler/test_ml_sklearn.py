"""What scikit-learn trains and skl2onnx exports: the same answers as onnxruntime gives, labels by name included."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from skl2onnx import to_onnx
from sklearn import datasets
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM

from publisher.compiler.importing import import_model
from publisher.compiler.planning import planned
from tests.support.compiling import close, compiled

ROWS = 40
NUMBERS, NAMES, TARGETS = "numbers", "names", "targets"

pytestmark = pytest.mark.slow


def data(kind: str) -> tuple[Any, Any]:
    if kind == TARGETS:
        return datasets.load_diabetes(return_X_y=True)
    x, y = datasets.load_iris(return_X_y=True)
    return x, y if kind == NUMBERS else np.array(["setosa", "versicolor", "virginica"])[y]


@pytest.mark.parametrize(
    ("estimator", "kind"),
    [
        (RandomForestClassifier(10, random_state=1), NAMES),
        (ExtraTreesClassifier(5, random_state=1), NUMBERS),
        (GradientBoostingClassifier(n_estimators=5, random_state=1), NUMBERS),
        (RandomForestRegressor(5, random_state=1), TARGETS),
        (GradientBoostingRegressor(n_estimators=9, random_state=1), TARGETS),
        (IsolationForest(n_estimators=5, random_state=1), NUMBERS),
        (make_pipeline(StandardScaler(), LogisticRegression()), NAMES),
        (make_pipeline(PolynomialFeatures(), Ridge()), TARGETS),
        (SVC(), NUMBERS),
        (SVC(kernel="poly"), NAMES),
        (SVR(), TARGETS),
        (LinearSVC(), NUMBERS),
        (OneClassSVM(), NUMBERS),
        (MLPClassifier((8,), max_iter=500, random_state=1), NAMES),
    ],
    ids=lambda each: type(each).__name__ if not isinstance(each, str) else each,
)
@pytest.mark.filterwarnings("ignore")
def test_exported_estimators(estimator: Any, kind: str) -> None:
    x, y = data(kind)
    x = x.astype(np.float32)
    estimator.fit(x, y)
    model = to_onnx(estimator, x[:1], target_opset={"": 18, "ai.onnx.ml": 3}).SerializeToString()
    some = x[np.random.default_rng(0).permutation(len(x))[:ROWS]]
    graph = planned(import_model(model, shapes={"X": [ROWS, x.shape[1]]}))
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for name, found, said in zip(graph.outputs, compiled(graph)([some]), session.run(None, {"X": some}), strict=True):
        expected = np.array([list(each.values()) for each in said], np.float32) if isinstance(said, list) else said
        if expected.dtype.kind in "OU":
            expected = np.array([graph.labels[name].index(each) for each in expected.ravel()]).reshape(expected.shape)
        close(found, expected, 1e-4, name)
