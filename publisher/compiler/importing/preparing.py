"""From bytes to a model with fixed shapes, and to the graph of it: the order in which importing does things."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from publisher.compiler.graph import Graph
from publisher.compiler.importing.binding import bind_inputs
from publisher.compiler.importing.building import graph_of
from publisher.compiler.importing.ceiling import round_down
from publisher.compiler.importing.classes import classes_as_numbers
from publisher.compiler.importing.extensions import standardise
from publisher.compiler.importing.external import embed_external_data
from publisher.compiler.importing.functions import inlined
from publisher.compiler.importing.order import sort
from publisher.compiler.importing.parsing import check_operators, graphs, parse_untrusted
from publisher.compiler.importing.precision import widen
from publisher.compiler.importing.refusing import explained
from publisher.compiler.importing.settling import decided, settled
from publisher.compiler.importing.shapes import check_outputs, declared_outputs, fix_shapes, free_inputs
from publisher.compiler.importing.simplifying import simplified
from publisher.compiler.importing.structure import check_structure
from publisher.compiler.importing.wishes import Wishes


@dataclass(frozen=True, slots=True)
class Prepared:
    """A model that ONNX's checker passed, with fixed shapes; `inputs` are those that callers give, in order."""

    model: onnx.ModelProto
    inputs: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]

    def graph(self) -> Graph:
        """The graph. Raises `UnsupportedError` where a shape is not known."""
        with explained("the model cannot be read"):
            return graph_of(self.model, self.inputs, self.labels, self.notes)


def checked(data: bytes, folder: Path | None) -> tuple[onnx.ModelProto, Mapping[str, tuple[str, ...]]]:
    """A model whose constants are inside it, its functions in the place of their calls, its nodes in order.

    Classes by name are numbers in it; their names come along, by output.

    Raises `ConfigurationError`.
    """
    model = parse_untrusted(data)
    for each in graphs(model.graph):
        for entry in model.opset_import:
            entry.domain = "" if entry.domain == "ai.onnx" else entry.domain
        for node in each.node:
            node.domain = "" if node.domain == "ai.onnx" else node.domain
    embed_external_data(model, folder)
    model = inlined(model)
    check_operators(model)
    standardise(model)
    labels = classes_as_numbers(model)
    check_structure(model)
    sort(model.graph)
    with explained("the model is not valid ONNX"):
        onnx.checker.check_model(model)
    return model, labels


def prepared(data: bytes, wishes: Wishes) -> Prepared:
    """The model ready to become a graph. Raises `ConfigurationError` alone, whatever the bytes."""
    with explained("the model cannot be read"):
        model, labels = checked(data, wishes.folder)
        notes = widen(model)
        bind_inputs(model.graph, wishes.constants)
        outputs = declared_outputs(model.graph)
        notes += fix_shapes(model, wishes.dims, wishes.shapes)
        inputs = tuple(free_inputs(model.graph))
        round_down(model)
        model = decided(model)
        model = settled(simplified(model) if wishes.simplify else model)
        check_outputs(model.graph, outputs)
        return Prepared(model, inputs, labels, tuple(notes))
