"""`python -m bench.homomorphic`: the same network on the same patients under homomorphic encryption (TenSEAL, CKKS).

What the sealed loop is an alternative to: nobody is trusted with the reading, and no TEE is needed. The server knows
the weights, the client decrypts one number. CKKS adds and multiplies only: max(0, x) of the hidden layer is replaced by
the square polynomial that fits it best on the training data, and sigmoid is left to the client.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.table import Row, figure, ratio, show
from guests.breast_cancer.train import Network, malignant, patients, train
from protocol.errors import ConfigurationError

try:
    import tenseal
except ImportError as missing:
    raise ConfigurationError("tenseal is missing: install sealedge[bench]") from missing

DEGREE: Final = 8192
SCALE_BITS: Final = 33
MODULUS: Final = [58, SCALE_BITS, SCALE_BITS, SCALE_BITS, 58]
"""Bits: three multiplications in a row; 215 in all, where 128 bits of security allow 218 for this degree."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Server:
    """The network; what it is given and gives back is ciphertext. The activation's factors are in the output layer."""

    weights: list[list[float]]
    bias: list[float]
    linear: list[float]
    quadratic: list[float]
    constant: float

    def infer(self, reading: Any) -> Any:
        """A vector of 30 to a vector of one logit."""
        hidden = reading.mm(self.weights) + self.bias
        return (hidden * hidden).dot(self.quadratic) + hidden.dot(self.linear) + [self.constant]


def server_of(network: Network, seen: Floats, mean: Floats, scale: Floats) -> Server:
    """The network over standardised inputs: CKKS is exact to some digits only, so numbers are kept near one."""
    weights = network.hidden_weights.astype(np.float64) * scale[:, None]
    bias = network.hidden_bias + mean @ network.hidden_weights.astype(np.float64)
    before = ((seen - mean) / scale) @ weights + bias
    quadratic, linear, constant = np.polyfit(before.ravel(), np.maximum(before, 0).ravel(), 2)
    output = network.output_weights.astype(np.float64)
    return Server(
        weights=weights.tolist(),
        bias=bias.tolist(),
        linear=(linear * output).tolist(),
        quadratic=(quadratic * output).tolist(),
        constant=float(constant * output.sum() + network.output_bias.astype(np.float64).ravel()[0]),
    )


def rows(pipelines: Row | None = None) -> list[Row]:
    """Encryption, inference and decryption of each held-out patient, against the medians of `sealed/clear p50 tiny`.

    No network is in the time under homomorphic encryption; in that of the pipelines is all.
    """
    seen, unseen = patients()
    network = train(seen)
    inputs, labels = unseen.inputs.astype(np.float64), np.asarray(unseen.labels)
    mean, scale = seen.inputs.mean(axis=0, dtype=np.float64), seen.inputs.std(axis=0, dtype=np.float64)
    server = server_of(network, seen.inputs.astype(np.float64), mean, scale)
    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, DEGREE, coeff_mod_bit_sizes=MODULUS)
    context.global_scale = 2**SCALE_BITS
    context.generate_galois_keys()
    right, times, sizes = 0, [], []
    for reading, label in zip((inputs - mean) / scale, labels, strict=True):
        started = time.perf_counter()
        encrypted = tenseal.ckks_vector(context, reading.tolist())
        logit = server.infer(encrypted).decrypt()[0]
        times.append(time.perf_counter() - started)
        sizes.append(len(encrypted.serialize()))
        right += int((logit > 0) == bool(label))
    plain = int(((malignant(network, unseen.inputs) > 0.5) == labels).sum())
    scheme = f"CKKS, degree {DEGREE}, modulus {MODULUS} bits, TenSEAL {tenseal.__version__}; without a network"
    told = f"of {len(labels)} held-out patients; {plain} in the clear"
    return [
        *_against(times, pipelines),
        figure("homomorphic p50", times, "ms", 1e3, scheme),
        figure("homomorphic, one reading", sizes, "bytes", note="a ciphertext of 30 numbers; 120 bytes in the clear"),
        figure("homomorphic, patients told rightly", [right], "patients", note=told),
    ]


def _against(times: Sequence[float], pipelines: Row | None) -> list[Row]:
    """Medians alone are compared: the runs of the two are not pairs."""
    if pipelines is None or pipelines.a is None or pipelines.b is None:
        return []
    own, note = 1e3 * statistics.median(times), "medians; tiny model"
    return [
        ratio("homomorphic/clear", [own], [pipelines.b], "ms", note=note),
        ratio("homomorphic/sealed", [own], [pipelines.a], "ms", note=note),
    ]


if __name__ == "__main__":
    print(show(rows()))
