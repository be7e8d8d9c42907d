"""Products of matrices."""

from publisher.compiler.errors import UnsupportedError
from publisher.compiler.graph import Node
from publisher.compiler.operators.registry import operator
from publisher.compiler.step import Step


@operator("Gemm")
def gemm(node: Node, step: Step) -> None:
    """ONNX Gemm: alpha · A' · B' + beta · C."""
    a, b = (step.value(name) for name in node.inputs[:2])
    if node.integer("transA", 0) or a.dtype != "float32":
        raise UnsupportedError("Gemm", "of this form is not known", "transpose beforehand")
    rows, inner = a.shape
    columns = b.shape[0] if node.integer("transB", 0) else b.shape[1]
    index = "j * {0} + k" if node.integer("transB", 0) else "k * {1} + j"
    bias = f"{node.number('beta', 1.0)}f * {step.pointer(node.inputs[2])}[j]" if node.has(2) else "0"
    step.line(
        f"for (int i = 0; i < {rows}; i++) for (int j = 0; j < {columns}; j++) {{",
        f"float sum = 0; for (int k = 0; k < {inner}; k++)",
        f"sum += {step.pointer(a.name)}[i * {inner} + k] * {step.pointer(b.name)}[{index.format(inner, columns)}];",
        f"{step.pointer(node.outputs[0])}[i * {columns} + j] = {node.number('alpha', 1.0)}f * sum + {bias}; }}",
    )
