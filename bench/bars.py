"""What each row is held against."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Bar:
    """A bound that is met up to and including `bound`."""

    bound: float
    is_floor: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value meets it."""
        return value >= self.bound if self.is_floor else value <= self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.is_floor else '<='} {self.bound:g}"


BARS: Final = {
    "sealed/clear p50 tiny": Bar(1.15),
    "sealed/clear p50 heavy": Bar(1.02),
    "tls/plain p50": Bar(1.3),
    "sealed/clear throughput 32": Bar(0.85, is_floor=True),
    "limits/none heavy": Bar(1.1),
    "limits/none gemm": Bar(1.1),
    "limits/none scalar": Bar(1.1),
    "two cores/one": Bar(1.8, is_floor=True),
    "enclave work per small request": Bar(250),
    "agent RSS with the demo model": Bar(100),
    "agent start to first attested result, warm": Bar(1),
    "appraisals a second, snp-v2": Bar(1000, is_floor=True),
    "appraisals a second, snp-v3-vlek": Bar(1000, is_floor=True),
    "appraisals a second, snp-v5-turin": Bar(1000, is_floor=True),
    "appraisals a second, sgx-v3": Bar(1000, is_floor=True),
    "appraisals a second, tdx-v4": Bar(1000, is_floor=True),
    "appraisals a second, tdx-v5": Bar(1000, is_floor=True),
    "appraisals a second, nitro": Bar(700, is_floor=True),
}
"""By the name of the row, in its unit. Rows that are not here are there to be read beside the others."""

CONVOLUTIONAL: Final = ("EfficientNet-Lite0 224", "EfficientNet-Lite0 blocks 0-10 96", "PP-OCRv4 det 320")
SMALL: Final = ("silero-vad frame", "MLP 30-16-1", "MLP 168-32-1")
INT8: Final = tuple(f"{name} int8" for name in CONVOLUTIONAL[:2])

MODEL_BARS: Final = {
    **{f"{name}/onnxruntime": Bar(3.5) for name in CONVOLUTIONAL},
    **{f"{name}/onnxruntime": Bar(2.5) for name in SMALL},
    **{f"{name}/native128": Bar(1.15) for name in (*CONVOLUTIONAL, SMALL[0])},
    **{f"{name}/float": Bar(0.6) for name in INT8},
    "EfficientNet-Lite0 224, built and checked": Bar(20),
    "largest error of a float model": Bar(1e-4),
    "breast cancer, right of 171": Bar(163, is_floor=True),
    "EEG, right of 293": Bar(263, is_floor=True),
    "speech, right frames": Bar(0.985, is_floor=True),
    "faces, right of 100": Bar(99, is_floor=True),
    "digits, right of 500": Bar(472, is_floor=True),
    "coffee.png, right of 1": Bar(1, is_floor=True),
    "onnx node tests passed": Bar(75, is_floor=True),
    "onnx node tests failed": Bar(0),
}
"""Likewise, of `make bench-models`."""


def bar_of(name: str) -> Bar | None:
    """The bar of a row, or None."""
    return BARS.get(name) or MODEL_BARS.get(name)
