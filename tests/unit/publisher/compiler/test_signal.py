"""Fourier transforms along any axis and over frames that overlap, against numpy's in double precision."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol.errors import ConfigurationError
from tests.support.compiling import compiled
from tests.support.single_nodes import Constant, Single, Table

RNG = np.random.default_rng(14)
REAL = RNG.standard_normal((2, 12, 3, 1)).astype(np.float32)
COMPLEX = RNG.standard_normal((2, 12, 3, 2)).astype(np.float32)
SIGNAL = RNG.standard_normal((2, 60, 1)).astype(np.float32)
WINDOW = np.hanning(16).astype(np.float32)


def parts(found: NDArray[Any]) -> NDArray[np.float32]:
    return np.stack([found.real, found.imag], axis=-1).astype(np.float32)


def numbers(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(x[..., 0] + 1j * x[..., 1])


def frames(signal: NDArray[Any], window: NDArray[Any], hop: int) -> NDArray[np.float32]:
    size = len(window)
    starts = range(0, signal.shape[1] - size + 1, hop)
    return parts(np.stack([np.fft.rfft(signal[:, at : at + size, 0] * window) for at in starts], axis=1))


def dft(x: NDArray[Any], length: int | None, axis: int, expected: Any, **attributes: int) -> Single:
    given = None if length is None else Constant(np.array(length))
    return Single("DFT", x, given, Constant(np.array(axis)), expected=expected, **attributes)


TABLE = Table(
    {
        "real": dft(REAL, None, 1, lambda x, *_: parts(np.fft.fft(x[..., 0], axis=1))),
        "one-sided": dft(REAL, None, 1, lambda x, *_: parts(np.fft.rfft(x[..., 0], axis=1)), onesided=1),
        "complex, the last axis": dft(COMPLEX, None, -2, lambda x, *_: parts(np.fft.fft(numbers(x), axis=2))),
        "inverse": dft(COMPLEX, None, 0, lambda x, *_: parts(np.fft.ifft(numbers(x), axis=0)), inverse=1),
        "longer": dft(REAL, 16, 1, lambda x, *_: parts(np.fft.fft(x[..., 0], 16, axis=1))),
        "shorter": dft(COMPLEX, 5, 1, lambda x, *_: parts(np.fft.fft(numbers(x), 5, axis=1))),
        "frames": Single(
            *("STFT", SIGNAL, Constant(np.array(8)), None, Constant(np.array(16))),
            expected=lambda x, *_: frames(x, np.ones(16), 8),
            onesided=1,
        ),
        "frames through a window": Single(
            *("STFT", SIGNAL, Constant(np.array(5)), Constant(WINDOW)),
            expected=lambda x, *_: frames(x, WINDOW, 5),
            onesided=1,
        ),
        "frames through a computed window": Single(
            *("STFT", SIGNAL, Constant(np.array(7)), WINDOW, Constant(np.array(16))),
            expected=lambda x, *_: frames(x, WINDOW, 7),
            onesided=1,
        ),
    },
    opset=20,
)


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE.cases)
def test_answers_as_numpy_does(name: str) -> None:
    TABLE.check(name)


def test_what_is_refused() -> None:
    huge = np.zeros((1, 70000, 1), np.float32)
    with pytest.raises(ConfigurationError, match="shorter frames"):
        compiled(Single("DFT", huge, None, Constant(np.array(1))).model(20))
