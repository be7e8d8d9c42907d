"""Training: deterministic on one machine with one set of packages. The scaler is folded into the first layer."""

from dataclasses import dataclass
from typing import Any, Final

from guests.breast_cancer.patients import Patients
from protocol.errors import ConfigurationError

try:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits
except ImportError as missing:
    raise ConfigurationError(
        f"{missing.name} is missing: install sealedge[demo], which brings scikit-learn"
    ) from missing

# Not chosen for its result: over the seeds 0 to 19 between 162 and 170 of 171 are right, 166 on average; here 163.
SEED: Final = 1
HELD_OUT: Final = 171
HIDDEN: Final = 16

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Network:
    """probability = sigmoid(output_weights · max(0, inputs · hidden_weights + hidden_bias) + output_bias)."""

    hidden_weights: Floats
    hidden_bias: Floats
    output_weights: Floats
    output_bias: Floats


def patients() -> tuple[Patients, Patients]:
    """The patients to train on, and the held-out third, with the classes in equal shares."""
    inputs, targets = load_breast_cancer(return_X_y=True)
    # The data set numbers malignant 0; here the number is the index of the label.
    labels = 1 - targets.astype(np.int64)
    seen, unseen, seen_labels, unseen_labels = train_test_split(
        inputs.astype(np.float32), labels, test_size=HELD_OUT, stratify=labels, random_state=SEED
    )
    return Patients(seen, seen_labels), Patients(unseen, unseen_labels)


def train(seen: Patients) -> Network:
    """Fit scaler and network, and fold the first into the second."""
    scaler = StandardScaler().fit(seen.inputs.astype(np.float64))
    classifier: Any = MLPClassifier((HIDDEN,), solver="lbfgs", alpha=1.0, max_iter=2000, random_state=SEED)
    # One thread: sums in another order would give other weights.
    with threadpool_limits(limits=1):
        classifier.fit(scaler.transform(seen.inputs.astype(np.float64)), seen.labels)
    hidden, output = classifier.coefs_
    hidden_bias, output_bias = classifier.intercepts_
    folded = hidden / scaler.scale_[:, None]
    folded_bias = hidden_bias - scaler.mean_ @ folded
    single = (np.asarray(each, dtype=np.float32) for each in (folded, folded_bias, output[:, 0], output_bias))
    return Network(*single)


def malignant(network: Network, inputs: Floats) -> NDArray[np.float64]:
    """The probability of `malignant` for each row, float64[n], from the network's float32 weights."""
    hidden = inputs.astype(np.float64) @ network.hidden_weights.astype(np.float64) + network.hidden_bias
    logits = np.maximum(hidden, 0.0) @ network.output_weights.astype(np.float64) + network.output_bias
    return np.asarray(1.0 / (1.0 + np.exp(-logits)))


def c_header(network: Network) -> str:
    """The weights as C constants, each exact; hidden weights one row a hidden unit."""
    return "\n".join(
        (
            "/* Made by guests/breast_cancer/train.py. */",
            f"enum {{ INPUTS = {network.hidden_weights.shape[0]}, HIDDEN = {network.hidden_weights.shape[1]} }};",
            _constant("HIDDEN_WEIGHTS[HIDDEN][INPUTS]", network.hidden_weights.T),
            _constant("HIDDEN_BIAS[HIDDEN]", network.hidden_bias),
            _constant("OUTPUT_WEIGHTS[HIDDEN]", network.output_weights),
            _constant("OUTPUT_BIAS[1]", network.output_bias),
            "",
        )
    )


def _constant(declarator: str, values: Floats) -> str:
    rows = np.atleast_2d(values)
    body = ",\n".join("  {" + ", ".join(f"{float(value).hex()}f" for value in row) + "}" for row in rows)
    return f"static const float {declarator} =\n" + (body.strip() if values.ndim == 1 else "{\n" + body + "\n}") + ";"
