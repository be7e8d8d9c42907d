"""Pools in all their forms, against onnxruntime; positions that point nowhere."""

from typing import Any

import numpy as np
import pytest

from protocol.errors import EnclaveError
from tests.support.compiling import compiled
from tests.support.single_nodes import Single, Table

RNG = np.random.default_rng(8)


def floats(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype("float32")


IMAGE = floats(2, 5, 11, 13)
TABLE = Table(
    {
        "the greatest": Single("MaxPool", floats(1, 37, 11, 13), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        "rounded up": Single("MaxPool", IMAGE, kernel_shape=[3, 2], strides=[2, 3], pads=[1, 0, 1, 0], ceil_mode=1),
        "with holes": Single("MaxPool", IMAGE, kernel_shape=[3, 2], dilations=[2, 3]),
        "positions": Single("MaxPool", IMAGE, kernel_shape=[3, 2], strides=[1, 2], auto_pad="SAME_UPPER", outputs=2),
        "positions, columns first": Single(
            "MaxPool", IMAGE, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], storage_order=1, outputs=2
        ),
        "of bytes": Single("MaxPool", RNG.integers(0, 256, (1, 3, 6, 6), np.uint8), kernel_shape=[2, 2]),
        "of doubles": Single("MaxPool", RNG.standard_normal((1, 3, 9)), kernel_shape=[2]),
        "mean": Single("AveragePool", floats(2, 21, 11, 13), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        "mean, rounded up": Single(
            "AveragePool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 1], ceil_mode=1
        ),
        "mean, rounded up, padding counts": Single(
            "AveragePool",
            *(floats(2, 5, 11, 12),),
            kernel_shape=[3, 3],
            strides=[2, 2],
            pads=[1, 1, 0, 1],
            ceil_mode=1,
            count_include_pad=1,
        ),
        "mean, with holes": Single(
            "AveragePool", IMAGE, kernel_shape=[3, 3], dilations=[2, 3], count_include_pad=1, pads=[1, 1, 0, 1]
        ),
        "mean of a row": Single("AveragePool", floats(2, 5, 20), kernel_shape=[4], strides=[3]),
        "mean of a volume": Single("AveragePool", floats(1, 3, 4, 5, 6), kernel_shape=[2, 3, 2]),
        "mean that skips the first": Single(
            "AveragePool", IMAGE, kernel_shape=[1, 2], strides=[4, 5], auto_pad="SAME_UPPER"
        ),
        "mean that skips fewer": Single(
            "AveragePool", IMAGE, kernel_shape=[1, 1], strides=[4, 3], auto_pad="SAME_LOWER"
        ),
        "norm": Single("LpPool", floats(1, 3, 7, 8), kernel_shape=[3, 3], pads=[1] * 4),
        "norm of power 3": Single("LpPool", floats(1, 3, 7, 8), kernel_shape=[3, 3], p=3, strides=[2, 1]),
        "mean of all": Single("GlobalAveragePool", floats(2, 37, 5, 6)),
        "greatest of all": Single("GlobalMaxPool", floats(2, 7, 5)),
        "sum of all": Single("GlobalLpPool", floats(2, 3, 5, 5), p=1),
    }
)


@pytest.mark.parametrize("name", TABLE.cases)
def test_answers_as_onnxruntime_does(name: str) -> None:
    TABLE.check(name)


def test_positions_are_checked() -> None:
    x, at = floats(1, 1, 2, 2), np.int64([[[[0, 3], [9, 15]]]])
    module = compiled(Single("MaxUnpool", x, at, kernel_shape=[2, 2], strides=[2, 2]).model(21))
    (found,) = module([x, at])
    assert found.reshape(-1)[[0, 3, 9, 15]].tolist() == x.reshape(-1).tolist()
    assert np.count_nonzero(found) == 4
    for wrong in (-1, 16, 2**40):
        with pytest.raises(EnclaveError, match="input"):
            module([x, np.int64([[[[0, 3], [9, wrong]]]])])
