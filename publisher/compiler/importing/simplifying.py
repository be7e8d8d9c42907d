"""onnxruntime's own offline simplification: constants folded, batch norm folded into convolutions, identities gone."""

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import onnx

from publisher.compiler.importing.parsing import DOMAINS, EXTENSION, REFUSED, graphs

KEPT: Final = frozenset({"Attention", "GroupNormalization", "MeanVarianceNormalization", "RotaryEmbedding"})
"""Operators that onnxruntime may write as many: the compiler computes them at once."""


def simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model after `ORT_ENABLE_BASIC`; as it was where onnxruntime refuses it, or puts in operators of its own.

    Loops too: it makes them of operators that it has no code for.
    Shapes that onnxruntime inferred come along.
    """
    try:
        after = _optimized(model)
    except Exception:  # whatever onnxruntime has against it, the model may still be right
        return model
    if _extensions(after) - _extensions(model) or (_names(model) - _names(after)) & KEPT:
        return model
    return after if _same_interface(model, after) else model


def _optimized(model: onnx.ModelProto) -> onnx.ModelProto:
    runtime: Any = import_module("onnxruntime")  # has no types of its own
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder, "simple.onnx"))
        runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath, load_external_data=False)


def _names(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for graph in graphs(model.graph) for node in graph.node}


def _extensions(model: onnx.ModelProto) -> set[str]:
    nodes = [node for graph in graphs(model.graph) for node in graph.node]
    return {node.op_type for node in nodes if node.domain not in DOMAINS or node.op_type in REFUSED}


def _same_interface(before: onnx.ModelProto, after: onnx.ModelProto) -> bool:
    constants = {each.name for each in before.graph.initializer}
    wanted = [each.name for each in before.graph.input if each.name not in constants]
    kept = [each.name for each in after.graph.input]
    return set(wanted) <= set(kept) and [each.name for each in before.graph.output] == [
        each.name for each in after.graph.output
    ]


def has_extensions(model: onnx.ModelProto) -> bool:
    """Whether operators are in the model for which ONNX infers no shapes: onnxruntime's own, and most of ai.onnx.ml."""
    return any(node.domain in {EXTENSION, "ai.onnx.ml"} for graph in graphs(model.graph) for node in graph.node)
