"""A guest with state: how far each reading lies from the mean of those before it, in standard deviations."""

from typing import Final

from schemas.model import CarriedTensor, TensorSpec

INPUTS: Final = (
    TensorSpec(name="reading", dtype="float32", shape=(1,)),
    TensorSpec(name="mean", dtype="float32", shape=(1,)),
    TensorSpec(name="variance", dtype="float32", shape=(1,)),
    TensorSpec(name="count", dtype="uint32", shape=(1,)),
)
OUTPUTS: Final = (
    TensorSpec(name="deviations", dtype="float32", shape=(1,)),
    TensorSpec(name="next_mean", dtype="float32", shape=(1,)),
    TensorSpec(name="next_variance", dtype="float32", shape=(1,)),
    TensorSpec(name="next_count", dtype="uint32", shape=(1,)),
)
STATE: Final = tuple(CarriedTensor(before=before, after=f"next_{before}") for before in ("mean", "variance", "count"))
"""What its description names besides."""
