"""What a person sees of `sealedge build`: what goes on, then a table; and the same as JSON."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from protocol.cbor import MAX_MESSAGE
from schemas.model import TensorSpec
from sealedge.operations.build import Built

SHOWN_OPERATORS: Final = 12
ENVELOPE_BYTES: Final = 4096
"""What a request holds besides its input, rounded up."""
MODULE_BYTES: Final = 32 * 2**20
"""Enclaves take no larger module (guests/README.md)."""


class Display:
    """`with Display() as display:` shows what goes on, on stderr; with `quiet` it shows nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self._steps = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._task = self._steps.add_task("starting", total=None)

    def __enter__(self) -> Self:
        self._steps.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._steps.stop()

    def step(self, words: str) -> None:
        """What begins now."""
        self._steps.update(self._task, description=words)


def show(built: Built) -> None:
    """The table, what is to be known besides, and what to do next, on stdout."""
    found = figures(built)
    width = max(map(len, found))
    for name, value in found.items():
        print(f"{name:<{width}}  {value}")
    for note in notes(built):
        print(f"note: {note}")


def figures(built: Built) -> Mapping[str, str]:
    """The report in words."""
    cost, tried, compiled = built.cost, built.tried, built.compiled
    kinds = ", ".join(f"{count} {kind}" for kind, count in tried.checked.compared.items())
    return {
        "module": f"{built.written[0]}, {len(compiled.wasm):,} bytes, sha256 {compiled.digest.hex()[:16]}…",
        "description": f"{built.written[1]}, as {built.description.name}",
        **({"provenance": ", ".join(map(str, built.written[2:]))} if built.written[2:] else {}),
        "compiler": compiled.compiler + (f", because {compiled.why}" if compiled.why else ""),
        "operators": _operators(cost.operators),
        "parameters": f"{cost.parameters:,} ({cost.parameter_bytes:,} bytes), {_macs(cost.macs)} an inference",
        "memory": f"{tried.memory_bytes / 2**20:.1f} MiB at most, all included",
        "latency": f"{_milliseconds(tried.timed.module_seconds)} here, call included; onnxruntime "
        f"{_milliseconds(tried.timed.reference_seconds)} on one thread ({tried.timed.ratio:.1f} x)",
        **{
            f"output {spec.name}": f"{_tensor(spec)}; {tried.checked.measure} error {each.error:.2g} of its range"
            for spec, each in zip(built.description.outputs, tried.checked.errors, strict=True)
        },
        "checked": f"within {tried.checked.tolerance:.3g} of onnxruntime {tried.reference} on inputs: {kinds}"
        + (f"; {tried.checked.skipped} that neither takes" if tried.checked.skipped else ""),
    }


def notes(built: Built) -> list[str]:
    """What the importer decided by itself, and what an agent would not take."""
    found = list(built.compiled.graph.notes)
    if built.tried.checked.measure != "largest":
        found.append(
            "the model is quantised: it may differ by twice what onnxruntime's own two ways to compute it differ by, "
            f"here {built.tried.checked.tolerance:.3g}, taken as the {built.tried.checked.measure}"
        )
    for spec, each in zip(built.description.outputs, built.tried.checked.errors, strict=True):
        if each.same:
            found.append(
                f"the output {spec.name} was the same whatever went in, which checks little: give inputs that it "
                "depends on with --sample"
            )
    program = built.compiled.program
    if program.input_bytes > MAX_MESSAGE - ENVELOPE_BYTES:
        found.append(
            f"an input has {program.input_bytes:,} bytes, a message at most {MAX_MESSAGE:,}: no sensor can send it; "
            "take a smaller --shape, or raw bytes with --normalise NAME=type:uint8"
        )
    if len(built.compiled.wasm) > MODULE_BYTES:
        found.append(f"the module is larger than the {MODULE_BYTES:,} bytes that an enclave takes: quantise the model")
    if not built.description.tiers:
        found.append(
            "the description names no tier: say with --tier which TEEs may hold the model, here or when publishing"
        )
    return found


def report(built: Built) -> Mapping[str, Any]:
    """The same, for programs."""
    cost, tried, compiled = built.cost, built.tried, built.compiled
    return {
        "module": str(built.written[0]),
        "sha256": compiled.digest.hex(),
        "model_sha256": built.model_digest.hex(),
        "description": str(built.written[1]),
        "documents": list(map(str, built.written[2:])),
        "name": built.description.name,
        "compiler": compiled.compiler,
        "why": compiled.why,
        "operators": dict(cost.operators),
        "macs": cost.macs,
        "parameters": cost.parameters,
        "wasm_bytes": len(compiled.wasm),
        "memory_bytes": tried.memory_bytes,
        "milliseconds": round(tried.timed.module_seconds * 1000, 4),
        "onnxruntime_milliseconds": round(tried.timed.reference_seconds * 1000, 4),
        "onnxruntime": tried.reference,
        "tolerance": tried.checked.tolerance,
        "max_error": tried.checked.error,
        "measure": tried.checked.measure,
        "errors": {
            spec.name: each.error for spec, each in zip(built.description.outputs, tried.checked.errors, strict=True)
        },
        "compared": dict(tried.checked.compared),
        "skipped": tried.checked.skipped,
        "inputs": [each.model_dump(exclude_none=True) for each in built.description.inputs],
        "outputs": [each.model_dump(exclude_none=True) for each in built.description.outputs],
        "notes": notes(built),
    }


def _operators(operators: Mapping[str, int]) -> str:
    shown = [f"{name} {count}" for name, count in list(operators.items())[:SHOWN_OPERATORS]]
    more = len(operators) - len(shown)
    return f"{sum(operators.values())}: " + ", ".join(shown) + (f" and {more} other kinds" if more > 0 else "")


def _macs(count: int) -> str:
    return f"{count / 1e6:,.1f} million MACs" if count >= 100_000 else f"{count:,} MACs"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1000:.3f} ms"


def _tensor(spec: TensorSpec) -> str:
    return f"{spec.dtype}{list(spec.shape)}" + (f" of {len(spec.labels)} classes" if spec.labels else "")
