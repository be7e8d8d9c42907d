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


def bar_of(name: str) -> Bar | None:
    """The bar of a row, or None."""
    return BARS.get(name)
