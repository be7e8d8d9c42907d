"""The operators this compiler knows, one file a family. A family is known when it stands in `FAMILIES`."""

from importlib import import_module
from typing import Final

from publisher.compiler.operators.registry import Emit, emitters

FAMILIES: Final = (
    "activations",
    "attention",
    "batches",
    "bits",
    "carried",
    "casts",
    "chain",
    "comparison",
    "constants",
    "convolution",
    "einsum",
    "elementwise",
    "encoders",
    "fused",
    "indexing",
    "linear_models",
    "mathematics",
    "matrix",
    "movement",
    "normalisation",
    "padding",
    "pooling",
    "quantised_arithmetic",
    "quantised_convolution",
    "quantised_linear",
    "quantised_matrix",
    "recurrent",
    "reductions",
    "resize",
    "rotation",
    "sampling",
    "selection",
    "sequences",
    "signal",
    "softmax",
    "support_vectors",
    "transposed",
    "trees",
)
"""The files beside this one that register operators."""


def known_operators() -> dict[str, Emit]:
    """Every operator by its name."""
    for family in FAMILIES:
        import_module(f"{__name__}.{family}")
    return dict(emitters)
