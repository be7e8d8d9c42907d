"""`sealedge build`: an ONNX model becomes a module with its description; or it is said why not, and nothing written."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final

from protocol.errors import ConfigurationError, Finding
from publisher.compiler.arranging import arrange_untrusted
from publisher.compiler.bill_of_materials import bill_of_materials
from publisher.compiler.check import TOLERANCE, Sample, random_samples
from publisher.compiler.compiling import Choice, CompiledModel, compile_model_untrusted
from publisher.compiler.cost import Cost, cost_of
from publisher.compiler.graph import Graph, Value
from publisher.compiler.importing import Numbers, read_model_untrusted
from publisher.compiler.importing.wishes import Wishes
from publisher.compiler.origin import Origin, check_licence, moment_of, versions_of
from publisher.compiler.preprocessing import Preprocessing, preprocess_untrusted
from publisher.compiler.provenance import provenance
from publisher.compiler.reference import Reference
from publisher.compiler.repeating import Dim
from schemas.model import TensorSpec
from sealedge.operations.build_description import (
    Description,
    checked_tiers,
    describe,
    labelled,
    milliseconds,
    model_name,
)
from sealedge.operations.build_trial import QUANTISED_MOST, Form, Tried, try_module
from sealedge.operations.model_files import Array, fitted, named, read_arrays, read_labels
from storage.files import write_private

MAX_SAMPLES: Final = 256
"""Of each file: more would only take longer."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says. `labels` are files by the output's name, or by "" for whichever fits."""

    model: Path
    output: Path
    dims: Mapping[str, int | Dim] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    constants: Mapping[str, Numbers] = field(default_factory=dict)
    normalise: Mapping[str, Preprocessing] = field(default_factory=dict)
    state: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Path] = field(default_factory=dict)
    samples: Sequence[Path] = ()
    tolerance: float = TOLERANCE
    compiler: Choice = "auto"
    name: str | None = None
    tiers: tuple[str, ...] = ()
    licence: str | None = None
    provenance: Path | None = None

    @property
    def description(self) -> Path:
        """Beside the module."""
        return self.output.with_suffix(".toml")


@dataclass(frozen=True, slots=True)
class Built:
    """What was written, and what was found on the way."""

    compiled: CompiledModel
    description: Description
    cost: Cost
    tried: Tried
    model_digest: bytes
    model_bytes: int
    written: tuple[Path, ...] = ()


def build(wanted: Wanted, progress: Callable[[str], None]) -> Built:
    """Compile, check, write. Raises `ConfigurationError`, `MismatchError`, `EnclaveError`: then nothing is written."""
    check_licence(wanted.licence)
    moment = moment_of(os.environ.get("SOURCE_DATE_EPOCH"))
    name, tiers = model_name(wanted.name, wanted.output), checked_tiers(wanted.tiers)
    labels = {name: read_labels(path) for name, path in wanted.labels.items()}
    original = read_model_untrusted(wanted.model)
    model = preprocess_untrusted(original, wanted.normalise) if wanted.normalise else original
    model = arrange_untrusted(model, wanted.state) if wanted.state else model
    fixed = {name: each for name, each in wanted.dims.items() if isinstance(each, int)}
    wishes = Wishes(fixed, wanted.shapes, wanted.constants, wanted.model.parent)
    compiled = compile_model_untrusted(
        model, wishes, wanted.compiler, open_dim=_open_dim(wanted.dims), progress=progress
    )
    classes = labelled(compiled.graph, labels)
    # A model that no manifest describes is refused before minutes go into trying it.
    describe(compiled, classes, name, {}, tiers, wanted.state)
    forms = _forms(wanted, compiled)
    tried = try_module(
        compiled,
        forms,
        lambda graph: Reference(model, graph, wishes),
        wanted.tolerance,
        progress,
        lambda graph: Reference(model, graph, wishes, as_written=True),
    )
    description = describe(compiled, classes, name, _limits(compiled, tried), tiers, wanted.state)
    digest = sha256(original).digest()
    built = Built(compiled, description, cost_of(compiled.graph), tried, digest, len(original))
    return replace(built, written=_write(wanted, built, moment))


def _open_dim(dims: Mapping[str, int | Dim]) -> Dim | None:
    found = [each for each in dims.values() if isinstance(each, Dim)]
    if len(found) > 1:
        finding = Finding("--dim", "one range", ", ".join(f"{each.name!a}" for each in found))
        raise ConfigurationError("only one dimension can stay open", finding=finding)
    return found[0] if found else None


def _forms(wanted: Wanted, compiled: CompiledModel) -> list[Form]:
    """Random inputs for each length, and the samples of the files with those of their own length; the longest last."""
    found = {length: random_samples(_inputs(compiled.form(length)), 1) for length in compiled.lengths}
    found[compiled.lengths[-1]] = random_samples(_inputs(compiled.form(compiled.lengths[-1])))
    for path in wanted.samples:
        arrays = named(read_arrays(path), list(compiled.graph.inputs), path)
        length = _length(arrays, compiled)
        found.setdefault(length, []).extend(_samples(path, arrays, compiled.form(length)))
    return [Form(compiled.form(length), samples) for length, samples in sorted(found.items())]


def _length(arrays: Mapping[str, Array], compiled: CompiledModel) -> int:
    """Of the open dimension, in these arrays."""
    for name in compiled.graph.inputs:
        if (found := compiled.axis(name)) is not None and found[0] < arrays[name].ndim:
            return max(1, int(arrays[name].shape[found[0]]) // found[1])
    return compiled.lengths[-1]


def _samples(path: Path, arrays: Mapping[str, Array], graph: Graph) -> list[Sample]:
    columns = [fitted(each.name, arrays[each.name], each.dtype, each.shape) for each in _inputs(graph)]
    if len(set(map(len, columns))) > 1:
        raise ConfigurationError(f"{path}: has more samples of one input than of another")
    return [Sample("sample", each) for each in islice(zip(*columns, strict=True), MAX_SAMPLES)]


def _inputs(graph: Graph) -> list[Value]:
    return [graph.values[name] for name in graph.inputs]


def _limits(compiled: CompiledModel, tried: Tried) -> Mapping[str, int]:
    return {
        "memory_bytes": tried.memory_bytes,
        "milliseconds": milliseconds(tried.timed.module_seconds),
        "output_bytes": max(1, compiled.program.output_bytes),
    }


def _write(wanted: Wanted, built: Built, moment: str | None) -> tuple[Path, ...]:
    files = {wanted.output: built.compiled.wasm, wanted.description: built.description.toml().encode()}
    if wanted.provenance is not None:
        origin = _origin(wanted, built, moment)
        stem = wanted.provenance / wanted.output.stem
        files[stem.with_name(f"{stem.name}.intoto.json")] = _json(provenance(origin))
        files[stem.with_name(f"{stem.name}.cdx.json")] = _json(bill_of_materials(origin))
    for path, content in files.items():
        write_private(path, content)
    return tuple(files)


def _origin(wanted: Wanted, built: Built, moment: str | None) -> Origin:
    compiled = built.compiled
    return Origin(
        name=wanted.output.stem,
        model_name=wanted.model.name,
        model=built.model_digest,
        model_bytes=built.model_bytes,
        module=compiled.digest,
        module_bytes=len(compiled.wasm),
        source=sha256(compiled.program.source.encode()).digest(),
        compiler=compiled.compiler,
        cost=built.cost,
        inputs=[_format(each) for each in built.description.inputs],
        outputs=[_format(each) for each in built.description.outputs],
        tolerance=_held_to(wanted, built),
        measure=built.tried.checked.measure,
        options=_options(wanted),
        licence=wanted.licence,
        moment=moment,
        versions=versions_of(compiled.compiler),
    )


def _held_to(wanted: Wanted, built: Built) -> float:
    """A bound that does not depend on this machine."""
    quantised = built.tried.checked.measure != "largest"
    return max(wanted.tolerance, QUANTISED_MOST) if quantised else wanted.tolerance


def _options(wanted: Wanted) -> dict[str, Any]:
    """What of the command line decides the module's bytes."""
    found = {
        "dims": {name: each if isinstance(each, int) else asdict(each) for name, each in wanted.dims.items()},
        "shapes": {name: list(shape) for name, shape in wanted.shapes.items()},
        "constants": dict(wanted.constants),
        "state": dict(wanted.state),
        "normalise": {name: asdict(each) for name, each in wanted.normalise.items()},
        "compiler": wanted.compiler,
    }
    return {name: value for name, value in found.items() if value}


def _format(spec: TensorSpec) -> str:
    return f"{spec.name}: {spec.dtype}[{', '.join(map(str, spec.shape))}]"


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"
