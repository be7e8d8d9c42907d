"""The patients of the breast-cancer set, as arrays: without scikit-learn, which takes a second to import."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Patients:
    """`inputs` float32[n, 30] as measured, `labels` int64[n]: 1 is malignant, 0 is benign."""

    inputs: "NDArray[np.float32]"
    labels: "NDArray[np.int64]"
