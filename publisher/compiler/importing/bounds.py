"""How large a model may be. Whoever needs more than this does not want it on an edge device."""

from typing import Final

MODEL_BYTES: Final = 2**31 - 1
"""protobuf's own limit; also of a model with its external data."""
NODES: Final = 20_000
"""In the main graph, all branches and all functions, after functions were put in the place of their calls."""
NAME: Final = 512
"""Characters of a name."""
RANK: Final = 16
TENSOR_BYTES: Final = 2**30
"""One value. wasm32 has 4 GiB, and the enclave grants 2."""
CONSTANT_BYTES: Final = 2**30
"""All constants together."""
FOLDED_BYTES: Final = 2**26
"""A constant that is computed here rather than by the module."""
NESTING: Final = 16
"""Branches inside branches."""
INPUTS: Final = 128
"""Also of outputs."""

CHILD_SECONDS: Final = 120
CHILD_BYTES: Final = 2**31
"""What the child process may use besides `CHILD_COPIES` times the model."""
CHILD_COPIES: Final = 8
