"""Small models, trained and written as ONNX: perceptrons, a head on EfficientNet's features, classical ones, blocks.

What is trained here is the same on one machine with one set of packages: one thread, one seed, no parameter chosen
for its result on held-out data.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from bench.efficientnet import efficientnet_lite0
from bench.models_packages import Floats, brain
from bench.models_timed import session
from guests.breast_cancer.train import patients, train

SEED: Final = 1
SIZE, BLOCKS = 96, 11
OPSET: Final = 17
CLASSICAL: Final[dict[str, Any]] = {
    "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "random forest": RandomForestClassifier(100, random_state=SEED),
    "gradient boosting": GradientBoostingClassifier(random_state=SEED),
}


def breast_cancer() -> bytes:
    """30-16-1: the demonstration's network, whose output is the probability of `malignant`."""
    found = train(patients()[0])
    output = found.output_weights[:, None]
    return perceptron([(found.hidden_weights.reshape(30, -1), found.hidden_bias), (output, found.output_bias)])


def brain_waves() -> bytes:
    """168-32-1: whether the slow potential is positive. Seeds 0 to 3 are right for 263 to 267 of 293."""
    inputs, labels = brain("TRAIN")
    scaler = StandardScaler().fit(inputs)
    network = MLPClassifier((32,), alpha=1.0, max_iter=1000, random_state=SEED)
    with threadpool_limits(limits=1):
        network.fit(scaler.transform(inputs), labels)
    (hidden, output), (hidden_bias, output_bias) = network.coefs_, network.intercepts_
    folded = hidden / scaler.scale_[:, None]
    return perceptron([(folded, hidden_bias - scaler.mean_ @ folded), (output, output_bias)])


def perceptron(layers: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> bytes:
    """Weights [inputs, outputs] and biases: Relu in between, Sigmoid at the end."""
    nodes, constants, value = [], [], "x"
    for number, (weights, bias) in enumerate(layers):
        constants += [_constant(f"w{number}", weights), _constant(f"b{number}", bias)]
        nodes.append(helper.make_node("Gemm", [value, f"w{number}", f"b{number}"], [f"s{number}"]))
        value = f"v{number}"
        nodes.append(helper.make_node("Relu" if number + 1 < len(layers) else "Sigmoid", [f"s{number}"], [value]))
    return _model(nodes, constants, {"x": (1, layers[0][0].shape[0])}, {value: (1, layers[-1][0].shape[1])})


def small_images(images: Floats) -> Floats:
    """Grey images as EfficientNet sees them: float32[n, 3, 96, 96]."""
    from PIL import Image  # noqa: PLC0415 - comes with the extra `bench`

    found = np.empty((len(images), 1, SIZE, SIZE), np.float32)
    for number, image in enumerate(images):
        grey = Image.fromarray((image * 255).astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        found[number, 0] = (np.asarray(grey, np.float32) - 127) / 128
    return np.broadcast_to(found, (len(images), 3, SIZE, SIZE))


def with_head(images: Floats, labels: NDArray[Any]) -> bytes:
    """EfficientNet-Lite0's blocks 0 to 10, ending in a logistic regression of these classes on their features."""
    body = efficientnet_lite0(SIZE, BLOCKS)
    asked, name = session(body.SerializeToString()), body.graph.output[0].name
    features = np.concatenate([asked.run(None, {"image": each[None]})[0] for each in images])
    scaler = StandardScaler().fit(features)
    with threadpool_limits(limits=1):
        found = LogisticRegression(max_iter=1000).fit(scaler.transform(features), labels)
    weights = found.coef_ / scaler.scale_
    bias = found.intercept_ - weights @ scaler.mean_
    if len(weights) == 1:
        weights, bias = np.concatenate([-weights, weights]), np.concatenate([-bias, bias])
    nodes = [helper.make_node("Gemm", ["features", "weights", "bias"], ["scores"], transB=1)]
    constants = [_constant("weights", weights), _constant("bias", bias)]
    head = onnx.load_from_string(_model(nodes, constants, {"features": (1, 112)}, {"scores": (1, len(weights))}))
    return bytes(compose.merge_models(body, head, [(name, "features")]).SerializeToString())


def classical(name: str) -> tuple[bytes, Floats]:
    """A model of ai.onnx.ml on the same patients, as skl2onnx exports it: probabilities; and what it was fitted to."""
    from skl2onnx import to_onnx  # noqa: PLC0415 - of the group `dev`

    seen, unseen = patients()
    fitted = CLASSICAL[name].fit(seen.inputs, seen.labels)
    exported = to_onnx(fitted, unseen.inputs[:1], options={"zipmap": False}, target_opset={"": OPSET, "ai.onnx.ml": 3})
    return bytes(exported.SerializeToString()), unseen.inputs


def gated_recurrent(steps: int = 32, inputs: int = 64, hidden: int = 128) -> bytes:
    """One GRU, of random weights."""
    random = np.random.default_rng(SEED)
    shapes = {"w": (1, 3 * hidden, inputs), "r": (1, 3 * hidden, hidden), "b": (1, 6 * hidden)}
    constants = [_constant(name, 0.1 * random.standard_normal(shape)) for name, shape in shapes.items()]
    nodes = [helper.make_node("GRU", ["x", "w", "r", "b"], ["y"], hidden_size=hidden)]
    return _model(nodes, constants, {"x": (steps, 1, inputs)}, {"y": (steps, 1, 1, hidden)})


def transformer(length: int = 64, width: int = 128, heads: int = 4) -> bytes:
    """One block: attention of several heads, then two layers with GELU, each with its sum and normalisation."""
    random = np.random.default_rng(SEED)
    shapes = dict.fromkeys("qkvo", (width, width)) | {"up": (width, 4 * width), "down": (4 * width, width)}
    constants = [_constant(name, random.standard_normal(shape) / shape[0] ** 0.5) for name, shape in shapes.items()]
    constants += [_constant("one", np.ones(width)), _constant("root", np.array((width / heads) ** -0.5))]
    constants += [numpy_helper.from_array(np.array([length, heads, -1]), "apart")]
    constants += [numpy_helper.from_array(np.array([length, width]), "joined")]
    nodes: list[onnx.NodeProto] = []

    def add(operator: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, list(inputs), [f"t{len(nodes)}"], **attributes))
        return f"t{len(nodes) - 1}"

    def projected(name: str, order: list[int]) -> str:
        return add("Transpose", add("Reshape", add("MatMul", "x", name), "apart"), perm=order)

    scores = add("Mul", add("MatMul", projected("q", [1, 0, 2]), projected("k", [1, 2, 0])), "root")
    seen = add("MatMul", add("Softmax", scores), projected("v", [1, 0, 2]))
    mixed = add("MatMul", add("Reshape", add("Transpose", seen, perm=[1, 0, 2]), "joined"), "o")
    middle = add("LayerNormalization", add("Add", "x", mixed), "one")
    wide = add("Gelu", add("MatMul", middle, "up"))
    last = add("LayerNormalization", add("Add", middle, add("MatMul", wide, "down")), "one")
    return _model(nodes, constants, {"x": (length, width)}, {last: (length, width)}, opset=20)


def _constant(name: str, data: NDArray[Any]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(data, np.float32).reshape(np.shape(data)), name)


def _model(
    nodes: Sequence[onnx.NodeProto],
    constants: Sequence[onnx.TensorProto],
    inputs: dict[str, tuple[int, ...]],
    outputs: dict[str, tuple[int, ...]],
    opset: int = OPSET,
) -> bytes:
    given, made = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in each.items()]
        for each in (inputs, outputs)
    )
    graph = helper.make_graph(nodes, "model", given, made, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(model.SerializeToString())
