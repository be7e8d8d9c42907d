"""Whether a compiled model answers as the reference does: on random inputs of several kinds, and on samples.

The error of an output is its largest difference, relative to the output's range over the inputs of one kind. Where
that range is less than a tenth of the largest magnitude (one number, a saturated probability), the magnitude counts;
and a hundredth of the range over all inputs, where even that is more (a detector that finds nothing in noise). Outputs
of Sigmoid, Softmax and Tanh have their whole range for that, whichever part of it the inputs bring about.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from protocol.errors import ConfigurationError, Finding
from publisher.compiler.errors import MismatchError
from publisher.compiler.graph import Graph, Value

Arrays = tuple[NDArray[Any], ...]
Answer = Callable[[Arrays], Arrays | None]
"""The outputs for these inputs, in the model's order; None where it does not take them."""

TOLERANCE: Final = 1e-4
SEEDS: Final = 3

_INTEGERS: Final = {"normal": 10, "uniform": 2, "wide": 100, "zeros": 1}
"""Integers are drawn below these: they may be indices into a table of unknown length."""


_BOUNDED: Final = {"Sigmoid": 1.0, "Softmax": 1.0, "HardSigmoid": 1.0, "Tanh": 2.0}
_SAME_VALUES: Final = frozenset(
    {"Expand", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze", "keep"}
)
"""What moves values and changes none."""


Norm = Callable[[NDArray[np.float64]], float]
"""What all differences come to. There is one at least."""


def largest(differences: NDArray[np.float64]) -> float:
    """One wrong element is enough."""
    return float(np.abs(differences).max())


def root_mean_square(differences: NDArray[np.float64]) -> float:
    """For quantised models, of which single elements are a matter of luck."""
    return float(np.sqrt(np.mean(np.square(differences))))


@dataclass(frozen=True, slots=True)
class Sample:
    """Inputs in the model's order, and of which kind they are: the name of a distribution, or "sample"."""

    kind: str
    inputs: Arrays = field(repr=False)


@dataclass(frozen=True, slots=True)
class OutputError:
    """The largest relative error of one output, and for inputs of which kind.

    `same`: the reference answered all inputs alike, so that the error says little.
    """

    name: str
    error: float
    kind: str
    same: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """`compared` samples by kind; `skipped` were refused by both. `measure` is the norm in words."""

    errors: tuple[OutputError, ...]
    tolerance: float
    compared: Mapping[str, int]
    skipped: int
    measure: str = "largest"

    @property
    def error(self) -> float:
        """The largest error of all outputs; NaN counts as infinite."""
        return max((each.error for each in self.errors), default=0.0)


def whole_ranges(graph: Graph) -> dict[str, float]:
    """The ranges of outputs that cannot leave one, by their names."""
    makers = {name: node for node in graph.nodes for name in node.outputs if name}
    found = {}
    for output in graph.outputs:
        node = makers.get(output)
        while node is not None and node.operator in _SAME_VALUES:
            node = makers.get(node.inputs[0])
        if node is not None and node.operator in _BOUNDED:
            found[output] = _BOUNDED[node.operator]
    return found


def random_samples(inputs: Sequence[Value], seeds: int = SEEDS) -> list[Sample]:
    """The same samples for the same shapes and the same numpy."""
    found = []
    for kind in _INTEGERS:
        for seed in range(1 if kind == "zeros" else seeds):
            random = np.random.Generator(np.random.PCG64(seed))
            found.append(Sample(kind, tuple(_drawn(kind, each, random) for each in inputs)))
    return found


def check(
    samples: Iterable[Sample],
    expected: Answer,
    found: Answer,
    outputs: Sequence[str],
    tolerance: float = TOLERANCE,
    ranges: Mapping[str, float] | None = None,
    norm: Norm = largest,
) -> Checked:
    """Compare two models; `ranges` are those of outputs that have one by their nature. `norm` makes differences one.

    Whether the tolerance holds is for `require` to say.
    Raises `MismatchError` where one takes an input that the other refuses, and where shapes or types differ;
    `ConfigurationError` where no input at all was taken.
    """
    pairs: dict[str, list[tuple[Arrays, Arrays]]] = {}
    skipped = 0
    for sample in samples:
        wanted, given = expected(sample.inputs), found(sample.inputs)
        if wanted is None or given is None:
            _same_refusal(sample.kind, wanted, given)
            skipped += 1
        else:
            _same_types(outputs, wanted, given)
            pairs.setdefault(sample.kind, []).append((wanted, given))
    if not pairs:
        raise ConfigurationError("onnxruntime takes none of the random inputs: give some that it takes with --sample")
    known = ranges or {}
    errors = tuple(_worst(name, number, pairs, known.get(name, 0.0), norm) for number, name in enumerate(outputs))
    return Checked(
        errors, tolerance, {kind: len(each) for kind, each in pairs.items()}, skipped, norm.__name__.replace("_", " ")
    )


def merged(checks: Sequence[Checked]) -> Checked:
    """Several checks of one model as one: the worst error of each output, and the samples of all."""
    kinds = sorted({kind for each in checks for kind in each.compared}, key=[*_INTEGERS, "sample"].index)
    compared = {kind: sum(each.compared.get(kind, 0) for each in checks) for kind in kinds}
    worst = [
        replace(max(each, key=lambda one: one.error), same=all(one.same for one in each))
        for each in zip(*(each.errors for each in checks), strict=True)
    ]
    tolerance, skipped = max(each.tolerance for each in checks), sum(each.skipped for each in checks)
    return Checked(tuple(worst), tolerance, compared, skipped, checks[0].measure)


def require(checked: Checked) -> None:
    """Raises `MismatchError` that names the worst output where the tolerance does not hold."""
    worst = max(checked.errors, key=lambda each: each.error)
    if not worst.error <= checked.tolerance:
        raise MismatchError(
            "the compiled model answers otherwise than onnxruntime",
            finding=Finding(
                f"output {worst.name!a}", f"at most {checked.tolerance:g}", f"{worst.error:.3g} on {worst.kind} inputs"
            ),
        )


def relative_error(
    expected: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]], least_scale: float = 0.0, norm: Norm = largest
) -> float:
    """The differences over all pairs by the scale of `expected`; infinite where NaN or infinity moved."""
    wanted, given = _flat(expected), _flat(found)
    finite = np.isfinite(wanted)
    if not np.array_equal(wanted[~finite], given[~finite], equal_nan=True) or not np.isfinite(given[finite]).all():
        return float("inf")
    if not finite.any():
        return 0.0
    return norm(wanted[finite] - given[finite]) / (max(_scale(wanted[finite]), least_scale) or 1.0)


def _flat(arrays: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    return np.concatenate([each.ravel() for each in arrays]).astype(np.float64)


def _scale(values: NDArray[np.float64]) -> float:
    """Of finite values."""
    if not values.size:
        return 0.0
    spread, magnitude = float(np.ptp(values)), float(np.abs(values).max())
    return spread if spread >= 0.1 * magnitude else magnitude


def _worst(
    name: str, number: int, pairs: Mapping[str, list[tuple[Arrays, Arrays]]], whole_range: float, norm: Norm
) -> OutputError:
    wanted = [each[number] for pair in pairs.values() for each, _ in pair]
    every, same = _flat(wanted), _all_same(wanted)
    least = max(_scale(every[np.isfinite(every)]), whole_range) / 100
    errors = [
        OutputError(
            name, relative_error([a[number] for a, _ in each], [b[number] for _, b in each], least, norm), kind, same
        )
        for kind, each in pairs.items()
    ]
    return max(errors, key=lambda each: each.error)


def _all_same(answers: Sequence[NDArray[Any]]) -> bool:
    first, *rest = answers
    return (
        len(rest) > 0 and first.size > 0 and all(np.array_equal(_flat([first]), _flat([each]), True) for each in rest)
    )


def _drawn(kind: str, value: Value, random: np.random.Generator) -> NDArray[Any]:
    dtype = np.dtype(value.dtype)
    if kind == "zeros":
        return np.zeros(value.shape, dtype)
    if dtype.kind == "f":
        drawn = random.random(value.shape) if kind == "uniform" else random.standard_normal(value.shape)
        return np.asarray(drawn * (30 if kind == "wide" else 1)).astype(dtype)
    if dtype.kind == "b":
        return random.integers(0, 2, value.shape).astype(dtype)
    if dtype.itemsize == 1:
        limits = np.iinfo(dtype)
        return random.integers(limits.min, limits.max + 1, value.shape).astype(dtype)
    return random.integers(0, _INTEGERS[kind], value.shape).astype(dtype)


def _same_refusal(kind: str, wanted: Arrays | None, given: Arrays | None) -> None:
    if (wanted is None) != (given is None):
        taken, refused = ("onnxruntime", "the module") if given is None else ("the module", "onnxruntime")
        raise MismatchError(f"{taken} takes an input of the kind {kind} that {refused} refuses")


def _same_types(outputs: Sequence[str], wanted: Arrays, given: Arrays) -> None:
    for name, one, other in zip(outputs, wanted, given, strict=True):
        if (one.dtype, one.shape) != (other.dtype, other.shape):
            finding = Finding(f"output {name!a}", f"{one.dtype}{list(one.shape)}", f"{other.dtype}{list(other.shape)}")
            raise MismatchError("an output differs from onnxruntime's in type or shape", finding=finding)
