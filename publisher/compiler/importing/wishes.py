"""What whoever imports a model says about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Numbers: TypeAlias = "float | Sequence[Numbers]"
"""A number, or lists of numbers in a tensor's shape."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """`dims` are lengths by the model's names for them, `shapes` those of whole inputs.

    `constants` are inputs that become constants of these numbers; `folder` is where the model's external data lies;
    without `simplify`, onnxruntime has no part in the import.
    """

    dims: Mapping[str, int] = field(default_factory=dict)
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    constants: Mapping[str, Numbers] = field(default_factory=dict)
    folder: Path | None = None
    simplify: bool = True

    def request(self, data: bytes, dims: Sequence[Mapping[str, int]], *, onnx: bool) -> dict[str, Any]:
        """What the child process is asked: one answer for each set of lengths, as a graph or as ONNX."""
        return {
            "model": data,
            "dims": [dict(each) for each in dims],
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "constants": dict(self.constants),
            "folder": None if self.folder is None else str(self.folder.resolve()),
            "simplify": self.simplify,
            "onnx": onnx,
        }
