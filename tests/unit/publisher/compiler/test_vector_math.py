"""The kernels' own exp, log, tanh… against float64, in units in the last place, over all floats."""

import ctypes
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from publisher.compiler.emission import Program
from publisher.compiler.toolchain import compile_program
from tests.support.compiling import runtime

COUNT = 4099
NAMES = ("exp", "log", "tanh", "sigmoid", "erf", "gelu", "gelu_tanh")
UNITS = {"exp": 1.0, "log": 1.0, "tanh": 3.0, "sigmoid": 3.0, "erf": 2.0}
Floats = NDArray[np.float32]
Run = Callable[[bytes], bytes]


def _source() -> str:
    """A module whose input is COUNT floats and whose output is every function of them."""
    calls = "".join(
        f"f4_map((float *)output + {number * COUNT}, (float *)input, {COUNT}, f4_{name});"
        for number, name in enumerate(NAMES)
    )
    output = COUNT * 4 * len(NAMES)
    return f"""
#include "module.h"
#include "vector_math.h"
unsigned char input[{COUNT * 4}] ALIGNED, output[{output}] ALIGNED;
EXPORT(input_size) unsigned input_size(void) {{ return {COUNT * 4}; }}
EXPORT(output_size) unsigned output_size(void) {{ return {output}; }}
EXPORT(infer) int infer(void) {{ {calls} return invalid ? -1 : {output}; }}
"""


@pytest.fixture(name="run", scope="module")
def in_wasm() -> Run:
    module = runtime().load(compile_program(Program(_source(), b"", 0, 0, 0, 0)))
    return module.run


def answers(x: Floats, run: Run) -> dict[str, Floats]:
    padded = np.zeros(COUNT, "f4")
    padded[: len(x)] = x
    found = np.frombuffer(run(padded.tobytes()), "f4").reshape(len(NAMES), COUNT)
    return dict(zip(NAMES, found[:, : len(x)], strict=True))


def exact(name: str, x: Floats) -> NDArray[np.float64]:
    wide = x.astype("f8")
    if name == "sigmoid":
        return np.where(wide < 0, np.exp(wide) / (1 + np.exp(wide)), 1 / (1 + np.exp(-wide)))
    if name == "erf":
        return np.array([math.erf(each) for each in wide])
    return {"exp": np.exp, "log": np.log, "tanh": np.tanh}[name](wide)


def units_off(name: str, x: Floats, found: Floats) -> float:
    """The largest error in units in the last place; infinite where an infinity or NaN is out of place."""
    wide = exact(name, x)
    rounded = wide.astype("f4")
    # The largest float and infinity are one rounding apart.
    overflowing = np.isinf(rounded) & np.isfinite(wide)
    special = ~np.isfinite(rounded) & ~overflowing
    if not np.array_equal(rounded[special], found[special], equal_nan=True):
        return math.inf
    if not np.all(found[overflowing] >= np.finfo("f4").max):
        return math.inf
    usual = np.isfinite(rounded)
    unit = np.spacing(np.abs(rounded[usual])).astype("f8")
    return float(np.max(np.abs(found[usual].astype("f8") - wide[usual]) / unit, initial=0.0))


@np.errstate(all="ignore")
def check(x: Floats, run: Run) -> None:
    found = answers(x, run)
    for name, units in UNITS.items():
        assert units_off(name, x, found[name]) <= units, name
    wide = x.astype("f8")
    usual = np.isfinite(wide) & (np.abs(wide) < 1e12)
    gelu = 0.5 * wide * (1 + np.array([math.erf(each / math.sqrt(2)) for each in wide]))
    by_tanh = 0.5 * wide * (1 + np.tanh(np.sqrt(2 / np.pi) * (wide + 0.044715 * wide**3)))
    bound = np.abs(wide) * 3e-7 + 1e-45
    assert np.all((np.abs(found["gelu"] - gelu) <= bound)[usual])
    assert np.all((np.abs(found["gelu_tanh"] - by_tanh) <= bound)[usual])


@np.errstate(all="ignore")
def grids() -> list[Floats]:
    every = np.arange(0, 2**32, 2**32 // (COUNT * 4), dtype="u8").astype("u4").view("f4")
    edges = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.17549435e-38, 3.4028235e38, -3.4028235e38]
    edges += [1.0, -1.0, 88.72283, 88.72284, -87.33654, -103.97, -104.0, 0.70710677, 0.70710684, 0.9, 4.0, 10.0]
    around = np.array(edges, "f4")
    near = np.concatenate([around, np.nextafter(around, np.float32(9e9)), np.nextafter(around, np.float32(-9e9))])
    lines = [np.linspace(-lim, lim, COUNT, dtype="f4") for lim in (1.5, 12.0, 110.0)]
    return [*np.array_split(every, 5), near, *lines]


def test_units_in_wasm(run: Run) -> None:
    for x in grids():
        check(x, run)


@given(values=st.lists(st.floats(width=32), min_size=1, max_size=64))
@settings(max_examples=30, deadline=None)
def test_any_float(run: Run, values: list[float]) -> None:
    check(np.array(values, "f4"), run)


def test_each_float_by_itself(run: Run) -> None:
    # The tail of an array is computed as the body is: shifting an array by one shifts its answers.
    x = np.linspace(-8, 8, COUNT, dtype="f4")
    one, other = answers(x, run), answers(np.roll(x, 1), run)
    for name in NAMES:
        np.testing.assert_array_equal(np.roll(one[name], 1), other[name])


@pytest.mark.slow
def test_every_float_of_a_few_exponents(run: Run) -> None:
    for exponent in (0, 1, 100, 120, 124, 125, 126, 127, 128, 129, 130, 133, 254):
        for sign in (0, 1):
            start = (sign << 31) | (exponent << 23)
            for offset in range(0, 2**23, 2**23 // 64):
                check((np.arange(COUNT, dtype="u4") * 16 + np.uint32(start + offset)).view("f4"), run)


@pytest.mark.slow
def test_natively_the_same_bits(run: Run, tmp_path: Path) -> None:
    library = tmp_path / "library.so"
    library.write_bytes(compile_program(Program(_source(), b"", 0, 0, 0, 0), native=True))
    native = ctypes.CDLL(str(library))

    def run_natively(data: bytes) -> bytes:
        size = COUNT * 4
        (ctypes.c_ubyte * size).in_dll(native, "input")[:] = data
        native.infer()
        return bytes((ctypes.c_ubyte * (size * len(NAMES))).in_dll(native, "output"))

    for x in grids():
        one, other = answers(x, run), answers(x, run_natively)
        for name in NAMES:
            np.testing.assert_array_equal(one[name], other[name])
