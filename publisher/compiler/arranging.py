"""State last: the inputs and outputs that the enclave carries between requests stand behind all others."""

from collections.abc import Mapping, Sequence

import onnx

from protocol.errors import ConfigurationError, Finding
from publisher.compiler.importing.parsing import parse_untrusted
from publisher.compiler.importing.refusing import explained
from publisher.compiler.importing.shapes import free_inputs


def arrange_untrusted(data: bytes, state: Mapping[str, str]) -> bytes:
    """A model with the inputs that `state` names, and the outputs that it gives for them, at the end and in its order.

    What the model computes stays as it is. Raises `ConfigurationError` alone.
    """
    with explained("the state does not fit the model"):
        model = parse_untrusted(data)
        _check("input", [each.name for each in free_inputs(model.graph).values()], list(state))
        _check("output", [each.name for each in model.graph.output], list(state.values()))
        _move_last(model.graph.input, list(state))
        _move_last(model.graph.output, list(state.values()))
        made: bytes = model.SerializeToString()
        return made


def _move_last(infos: "Sequence[onnx.ValueInfoProto]", names: list[str]) -> None:
    others = [each for each in infos if each.name not in names]
    last = sorted((each for each in infos if each.name in names), key=lambda each: names.index(each.name))
    arranged = [onnx.ValueInfoProto.FromString(each.SerializeToString()) for each in (*others, *last)]
    del infos[:]  # type: ignore[attr-defined] # protobuf's own list, which says less than it can
    infos.extend(arranged)  # type: ignore[attr-defined] # likewise


def _check(kind: str, known: list[str], named: list[str]) -> None:
    for name in named:
        if name not in known or named.count(name) > 1:
            finding = Finding(kind, f"one of {', '.join(map(ascii, known))}, once", f"{name!a}")
            raise ConfigurationError(f"the state names no {kind} of the model", finding=finding)
    if len(named) >= len(known):
        finding = Finding(f"{kind}s", f"fewer than {len(known)}", str(len(named)))
        raise ConfigurationError(f"not every {kind} of the model can be state", finding=finding)
