"""ONNX bytes of anybody become a `Graph`, or one clear line why not.

reading     a file ─> bytes, none larger than ONNX can be
isolation   bytes ─> a child process with limits of time and memory, in which
parsing, structure, order, external, binding, precision, shapes
            look through the model, and fix what it leaves open,
simplifying, settling, folding, branching
            compute what is constant, infer every shape, and drop what nobody reads, and
building    makes the `Graph`, which comes back as CBOR (transfer)
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from publisher.compiler.graph import Graph
from publisher.compiler.importing.isolation import isolated
from publisher.compiler.importing.reading import read_model_untrusted
from publisher.compiler.importing.transfer import decode_untrusted
from publisher.compiler.importing.wishes import Numbers, Wishes

__all__ = ["Numbers", "import_model", "import_model_untrusted", "prepare_model_untrusted", "read_model_untrusted"]


def import_model_untrusted(
    data: bytes,
    *,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    constants: Mapping[str, Numbers] | None = None,
    folder: Path | None = None,
) -> Graph:
    """The graph of a model, with every shape fixed and every constant known; `notes` say what was decided here.

    `dims` are lengths by the model's names for them, `shapes` those of whole inputs; a batch that neither fixes is 1.
    `constants` are inputs that become constants. External data is read from `folder` alone, if one is given.
    Raises `ConfigurationError` alone, `UnsupportedError` for operators and forms that nobody here could compile. The
    operators that remain are ONNX's, but need not be known to this compiler.
    """
    wishes = Wishes(dims or {}, shapes or {}, constants or {}, folder)
    return import_each_untrusted(data, wishes, [wishes.dims])[0]


def import_each_untrusted(data: bytes, wishes: Wishes, dims: Sequence[Mapping[str, int]]) -> list[Graph]:
    """One graph for each of several sets of lengths. Raises `ConfigurationError`."""
    return [decode_untrusted(each) for each in isolated(wishes.request(data, dims, onnx=False))]


def prepare_model_untrusted(data: bytes, wishes: Wishes) -> bytes:
    """The model as it is before it becomes a graph: ONNX with fixed shapes, simplified. Raises `ConfigurationError`."""
    return isolated(wishes.request(data, [wishes.dims], onnx=True))[0]


def import_model(
    data: bytes,
    *,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    constants: Mapping[str, Numbers] | None = None,
) -> Graph:
    """`import_model_untrusted` in this process, unbounded, for models whose makers are trusted: tests."""
    wishes = Wishes(dims or {}, shapes or {}, constants or {})
    return import_each(data, wishes, [wishes.dims])[0]


def import_each(data: bytes, wishes: Wishes, dims: Sequence[Mapping[str, int]]) -> list[Graph]:
    """`import_each_untrusted` in this process, unbounded, for models whose makers are trusted: tests."""
    from publisher.compiler.importing.preparing import prepared  # noqa: PLC0415 - loads onnx and onnxruntime

    return [prepared(data, replace(wishes, dims=each)).graph() for each in dims]
