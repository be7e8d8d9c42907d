"""A graph as bytes, from the child process that read a hostile model to its parent, which checks all of them."""

from collections.abc import Mapping
from typing import Any

import cbor2
import numpy as np

from publisher.compiler.graph import C_TYPES, Attribute, Graph, Node, Value
from publisher.compiler.importing.refusing import explained, refused


def encode(graph: Graph) -> bytes:
    """CBOR: four lists and two maps."""
    values = [
        (each.name, each.dtype, each.shape, None if each.data is None else _array(each.data))
        for each in graph.values.values()
    ]
    nodes = [
        (
            each.operator,
            each.inputs,
            each.outputs,
            {name: _attribute(found) for name, found in each.attributes.items()},
            each.name,
            each.version,
        )
        for each in graph.nodes
    ]
    return cbor2.dumps([nodes, values, graph.inputs, graph.outputs, dict(graph.labels), graph.notes])


def decode_untrusted(data: bytes) -> Graph:
    """The graph: its names are values, its constants as long as their shapes. Raises `ConfigurationError`."""
    with explained("the import gave no graph"):
        nodes, values, inputs, outputs, labels, notes = cbor2.loads(data)
        known = {each.name: each for each in map(_value, values)}
        graph = Graph(
            tuple(_node(*each) for each in nodes),
            known,
            _names(inputs),
            _names(outputs),
            {_name(output): _names(each) for output, each in labels.items()},
            _names(notes),
        )
        used = {name for node in graph.nodes for name in (*node.inputs, *node.outputs)} - {""}
        if not used.union(inputs, outputs) <= known.keys():
            raise refused("the import gave no graph", "values", "known", "unknown names")
        return graph


def _array(data: np.ndarray[Any, Any]) -> list[Any]:
    little = np.ascontiguousarray(data).astype(data.dtype.newbyteorder("<"), copy=False)
    return [data.dtype.name, data.shape, little.tobytes()]


def _attribute(found: Attribute) -> Any:
    return {"array": _array(found)} if isinstance(found, np.ndarray) else found


def _value(fields: list[Any]) -> Value:
    name, dtype, shape, array = fields
    data = None if array is None else _decoded(array)
    value = Value(_name(name), _dtype(dtype), _shape(shape), data)
    if data is not None and (data.dtype.name, data.shape) != (value.dtype, value.shape):
        raise refused("the import gave no graph", "constant", "of its value's shape", "another")
    return value


def _decoded(fields: list[Any]) -> np.ndarray[Any, Any]:
    dtype, shape, content = fields
    return np.frombuffer(content, np.dtype(_dtype(dtype)).newbyteorder("<")).reshape(_shape(shape))


def _node(operator: str, inputs: Any, outputs: Any, attributes: Mapping[str, Any], name: str, version: int) -> Node:
    decoded = {_name(key): _attribute_of(each) for key, each in attributes.items()}
    return Node(_name(operator), _names(inputs), _names(outputs), decoded, _name(name), _integer(version))


def _attribute_of(found: Any) -> Attribute:
    if isinstance(found, dict):
        return _decoded(found["array"])
    if isinstance(found, list):
        return _list(found)
    return found if isinstance(found, int | float) else _name(found)


def _list(found: list[Any]) -> Attribute:
    for kind in (int, float, str):
        if all(isinstance(each, kind) for each in found):
            return tuple(found)
    raise TypeError("a list holds several kinds")


def _names(found: Any) -> tuple[str, ...]:
    return tuple(_name(each) for each in found)


def _name(found: Any) -> str:
    if not isinstance(found, str):
        raise TypeError("a name is no text")
    return found


def _integer(found: Any) -> int:
    if not isinstance(found, int) or found < 0:
        raise TypeError("a length is no number")
    return found


def _shape(found: Any) -> tuple[int, ...]:
    return tuple(_integer(each) for each in found)


def _dtype(found: Any) -> str:
    if found not in C_TYPES:
        raise TypeError("a type is unknown")
    return _name(found)
