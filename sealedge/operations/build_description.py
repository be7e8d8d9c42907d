"""What `sealedge build` writes beside a module for `sealedge publisher publish`: tensors, labels, limits, in TOML."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from pydantic import TypeAdapter, ValidationError

from protocol.carried import check_state
from protocol.errors import ConfigurationError, Finding, MalformedError
from publisher.compiler.compiling import CompiledModel
from publisher.compiler.graph import Graph, Value
from schemas.base import Name
from schemas.kinds import Tier
from schemas.model import CarriedTensor, DType, OpenAxis, TensorSpec
from sealedge.operations.texts import table

HEADROOM: Final = 20
"""How many times slower than here a device may be, and what else it does at the same time."""
MILLISECONDS: Final = (1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 600_000)
"""Limits of time are one of these, so that two builds on a like machine say the same."""

_NAME: Final = TypeAdapter(Name)

Labels = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Description:
    """What is written. `tiers` may be empty: `sealedge publisher publish --tier` then says them."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    limits: Mapping[str, int]
    tiers: tuple[str, ...] = ()
    state: tuple[CarriedTensor, ...] | None = None

    def toml(self) -> str:
        """The file that `sealedge.operations.describe` reads."""
        head = "# Made by `sealedge build`, which writes it anew.\n" + table([("name", self.name)])
        head += table([("tiers", self.tiers)]) if self.tiers else '# tiers = ["sev-snp"], or publish with --tier\n'
        tensors = [_tensor("inputs", each) for each in self.inputs] + [
            _tensor("outputs", each) for each in self.outputs
        ]
        state = [f"[[state]]\n{table([('before', each.before), ('after', each.after)])}" for each in self.state or ()]
        return "\n".join([head, *tensors, *state, table(list(self.limits.items()), "limits")])


def describe(
    compiled: CompiledModel,
    labels: Labels,
    name: str,
    limits: Mapping[str, int],
    tiers: tuple[str, ...],
    state: Mapping[str, str] | None = None,
) -> Description:
    """Raises `ConfigurationError` where no manifest can describe the model's tensors, or carry its `state`.

    The state is the last inputs and outputs, as `publisher.compiler.arranging` leaves them.
    """
    graph = compiled.form(compiled.lengths[-1])
    seen = [*graph.inputs, *graph.outputs]
    specs = [
        _spec(plain, graph.values[each], labels.get(each), _open_axis(compiled, each))
        for plain, each in zip(tensor_names(seen), seen, strict=True)
    ]
    count, last = len(graph.inputs), len(state or {})
    inputs, outputs = tuple(specs[:count]), tuple(specs[count:])
    pairs = zip(inputs[len(inputs) - last :], outputs[len(outputs) - last :], strict=True)
    carried = tuple(CarriedTensor(before=before.name, after=after.name) for before, after in pairs)
    made = Description(name, inputs, outputs, limits, tiers, carried or None)
    try:
        check_state(made)
    except MalformedError as error:
        raise ConfigurationError(str(error), finding=error.finding) from None
    return made


def _open_axis(compiled: CompiledModel, name: str) -> OpenAxis | None:
    found = compiled.axis(name)
    return None if found is None else OpenAxis(axis=found[0], each=found[1], minimum=compiled.lengths[0])


def tensor_names(names: Sequence[str]) -> list[str]:
    """Names that any program can take: letters, digits and `_./:-`, at most 64, none twice."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_./:-]", "_", name)[:64] or "tensor"
        number, candidate = 1, plain
        while candidate in found:
            number += 1
            candidate = f"{plain[:58]}_{number}"
        found.append(candidate)
    return found


def model_name(said: str | None, path: Path) -> str:
    """The model's name in its fleet: said, or made of the file's name. Raises `ConfigurationError`."""
    plain = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:32].strip("-") or "model"
    try:
        return _NAME.validate_python(plain if said is None else said)
    except ValidationError:
        finding = Finding("name", "a to z, 0 to 9 and - inside, at most 32", f"{said!a}"[:80])
        raise ConfigurationError("this is no name of a model", finding=finding) from None


def checked_tiers(tiers: Sequence[str]) -> tuple[str, ...]:
    """Raises `ConfigurationError` for what is no kind of TEE."""
    for each in tiers:
        if each not in set(Tier):
            raise ConfigurationError("this is no tier", finding=Finding("tier", ", ".join(Tier), f"{each!a}"[:80]))
    return tuple(dict.fromkeys(tiers))


def labelled(graph: Graph, given: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Which outputs have which class names: the model's own, and above them what was given by an output's name.

    Given under "", they are those of each output that has as many classes. Raises `ConfigurationError`.
    """
    found = {name: tuple(map(_printable, labels)) for name, labels in graph.labels.items() if labels}
    for name, labels in given.items():
        outputs = _outputs_with(len(labels), graph) if name == "" else [each for each in graph.outputs if each == name]
        if not outputs:
            shapes = ", ".join(f"{each!a} {list(graph.values[each].shape)}" for each in graph.outputs)
            finding = Finding("labels", f"for an output of {shapes}", f"{len(labels)} for {name!a}")
            raise ConfigurationError("no output has these classes", finding=finding)
        found.update(dict.fromkeys(outputs, labels))
    return found


def milliseconds(seconds: float) -> int:
    """The limit for a model that took this long here."""
    wanted = seconds * 1000 * HEADROOM
    return next((each for each in MILLISECONDS if each >= wanted), MILLISECONDS[-1])


def _outputs_with(classes: int, graph: Graph) -> list[str]:
    """Outputs whose last dimension is this long; else one that numbers them, or the probability of the second."""
    values = [graph.values[name] for name in graph.outputs]
    scores = [each.name for each in values if each.shape and each.shape[-1] == classes]
    numbers = [each.name for each in values if not each.dtype.startswith("float")]
    second = [each.name for each in values if classes == 2 and each.size == (each.shape or (1,))[0]]
    return scores or numbers[:1] or second[:1]


def _printable(label: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in label)[:256]


def _spec(name: str, value: Value, labels: tuple[str, ...] | None, axis: OpenAxis | None) -> TensorSpec:
    if value.dtype not in get_args(DType):
        finding = Finding(f"tensor {name!a}", " or ".join(get_args(DType)), value.dtype)
        raise ConfigurationError("no manifest describes tensors of this type: cast it in the model", finding=finding)
    said = {"name": name, "dtype": value.dtype, "shape": value.shape, "labels": labels, "open": axis}
    try:
        return TensorSpec.model_validate(said)
    except ValidationError:
        finding = Finding(f"tensor {name!a}", "at most 8 dimensions, each at least 1", str(list(value.shape)))
        raise ConfigurationError("no manifest describes this tensor", finding=finding) from None


def _tensor(kind: str, spec: TensorSpec) -> str:
    values = [("name", spec.name), ("dtype", spec.dtype)]
    labels = table([("labels", spec.labels)]) if spec.labels else ""
    axis = spec.open
    said = f"open = {{ axis = {axis.axis}, each = {axis.each}, minimum = {axis.minimum} }}\n" if axis else ""
    return f"[[{kind}]]\n{table(values)}shape = {list(spec.shape)}\n{said}{labels}"
