"""Models in float16 become models in float32: WebAssembly computes in no other float of less than 64 bits."""

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, numpy_helper

from publisher.compiler.importing.parsing import graphs

NOTE = "float16 is computed as float32: inputs and outputs too are float32, results more exact than the model's own"
TYPE_ATTRIBUTES = frozenset({"to", "dtype", "output_dtype", "output_datatype", "stash_type", "softmax_precision"})


def widen(model: onnx.ModelProto) -> list[str]:
    """Put float32 wherever the model says float16, in place. The words say so when it was anywhere."""
    found = False
    for graph in graphs(model.graph):
        for info in (*graph.input, *graph.output):
            if info.type.tensor_type.elem_type == TensorProto.FLOAT16:
                info.type.tensor_type.elem_type, found = TensorProto.FLOAT, True
        attributes = [each for node in graph.node for each in node.attribute]
        found |= sum(map(_widened, graph.initializer)) + sum(map(_attribute, attributes)) > 0
    return [NOTE] if found else []


def _attribute(attribute: AttributeProto) -> bool:
    if attribute.type == AttributeProto.TENSOR:
        return _widened(attribute.t)
    named = attribute.type == AttributeProto.INT and attribute.name in TYPE_ATTRIBUTES
    if named and attribute.i == TensorProto.FLOAT16:
        attribute.i = TensorProto.FLOAT
        return True
    return False


def _widened(tensor: TensorProto) -> bool:
    if tensor.data_type != TensorProto.FLOAT16:
        return False
    wide = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)
    tensor.CopyFrom(wide)
    return True
