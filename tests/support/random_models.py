"""Small models drawn from a seed: chains and branches of nodes as networks have them, with odd shapes and attributes.

A node is drawn without knowing whether it fits: onnxruntime computes it alone, and what it refuses is not taken.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper

from tests.support.compiling import by_onnxruntime, model_of
from tests.support.random_nodes import BLOCKS, KINDS, Drawn, Random

Array = NDArray[Any]

CHANNELS = (1, 2, 3, 4, 5, 8, 16, 17, 20)
LENGTHS = (1, 2, 3, 5, 7, 8, 11, 12)
MOST_ELEMENTS = 6000
GREATEST = 1e4


@dataclass
class Draft:
    """A model while it grows: its values are known, as onnxruntime computed them."""

    rng: Random
    inputs: dict[str, Array]
    values: dict[str, Array]
    constants: dict[str, Array] = field(default_factory=dict)
    nodes: list[NodeProto] = field(default_factory=list)

    def take(self, drawn: Drawn) -> list[str]:
        """Add a node if it works; its outputs' names."""
        names, held = [], {}
        for each in drawn.inputs:
            name = each if isinstance(each, str) else self._constant(each)
            names.append(name)
            if not isinstance(each, str):
                held[name] = each
        outputs = [f"v{len(self.values) + number}" for number in range(drawn.outputs)]
        node = helper.make_node(drawn.operator, names, outputs, **drawn.attributes)
        answers = self._alone(node, held)
        if answers is None:
            return []
        self.nodes.append(node)
        self.constants.update(held)
        self.values.update(zip(outputs, answers, strict=True))
        return outputs

    def _constant(self, array: Array) -> str:
        """Under the name of an equal constant, if there is one: nodes share constants."""
        for name, other in self.constants.items():
            if (array.dtype, array.shape) == (other.dtype, other.shape) and np.array_equal(array, other):
                return name
        return f"c{len(self.constants)}_{self.rng.integers(1 << 40)}"

    def _alone(self, node: NodeProto, held: dict[str, Array]) -> list[Array] | None:
        given = {name: self.values[name] for name in node.input if name in self.values}
        try:
            model = model_of([node], given, list(node.output), {**self.constants, **held})
            answers = by_onnxruntime(model, given)
        except Exception:
            # Whatever kind of fault onnx and onnxruntime find: the node is not one to compare by.
            return None
        return answers if all(map(_is_usable, answers)) else None


@dataclass(frozen=True)
class RandomModel:
    """A model, what goes in, and what is right."""

    seed: int
    model: ModelProto
    inputs: dict[str, Array]
    expected: list[Array]


def random_model(seed: int, most: int = 9) -> RandomModel:
    """The same model for the same seed and versions. Up to `most` nodes, or blocks of nodes."""
    rng = np.random.default_rng(seed)
    while True:
        draft = _draft(rng)
        for _ in range(int(rng.integers(2, most + 1))):
            _step(draft)
        if draft.nodes:
            break
    outputs = _outputs(draft)
    answers = {name: draft.values[name] for name in outputs}
    model = model_of(draft.nodes, draft.inputs, outputs, draft.constants, like=answers)
    return RandomModel(seed, model, draft.inputs, list(answers.values()))


def random_models(seeds: Sequence[int], most: int = 9) -> Iterator[RandomModel]:
    """One for each seed."""
    return (random_model(seed, most) for seed in seeds)


def _draft(rng: Random) -> Draft:
    inputs: dict[str, Array] = {}
    for number in range(int(rng.integers(1, 3))):
        inputs[f"x{number}"] = _quarters(rng, _shape(rng))
    return Draft(rng, inputs, dict(inputs))


def _shape(rng: Random) -> tuple[int, ...]:
    batch, channels = int(rng.choice([1, 1, 2, 3])), int(rng.choice(CHANNELS))
    lengths = [int(each) for each in rng.choice(LENGTHS, 3)]
    rank = int(rng.choice([2, 3, 4, 4, 4, 4, 5]))
    return (batch, channels, *lengths[: min(rank - 2, 2)], *([2] if rank == 5 else []))


def _quarters(rng: Random, shape: tuple[int, ...]) -> Array:
    """Numbers of few digits: sums of them are exact."""
    return (rng.integers(-12, 13, shape) / 4).astype(np.float32)


def _step(draft: Draft) -> None:
    """Add a node or a block of them, mostly behind the newest value."""
    rng = draft.rng
    names = [name for name, each in draft.values.items() if each.ndim]
    name = names[-1] if rng.random() < 0.7 else str(rng.choice(names))
    if rng.random() < 0.25:
        kind: Callable[..., Iterator[Drawn]] = BLOCKS[rng.integers(len(BLOCKS))]
        block = kind(rng, name, draft.values)
        try:
            drawn = next(block)
            while True:
                made = draft.take(drawn)
                if not made:
                    return
                drawn = block.send(made[0])
        except StopIteration:
            return
    for _ in range(6):
        if draft.take(KINDS[rng.integers(len(KINDS))](rng, name, draft.values)):
            return


def _outputs(draft: Draft) -> list[str]:
    """What nothing reads, and sometimes what something does."""
    read = {name for node in draft.nodes for name in node.input}
    made = [name for node in draft.nodes for name in node.output]
    return [name for name in made if name not in read or draft.rng.random() < 0.15]


def _is_usable(array: Array) -> bool:
    """Not too large, and no number from which rounding errors grow."""
    if array.size > MOST_ELEMENTS:
        return False
    return array.dtype.kind != "f" or bool(np.isfinite(array).all() and np.abs(array).max(initial=0) < GREATEST)
