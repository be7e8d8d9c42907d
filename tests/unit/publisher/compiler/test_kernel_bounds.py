"""Kernels read nothing behind their tensors: each answers the same for a tensor that ends where memory ends."""

import numpy as np
import pytest

from publisher.compiler.emission import Program
from publisher.compiler.toolchain import compile_program
from tests.support.compiling import runtime

pytestmark = pytest.mark.slow  # all kernels in one module take long to compile

SIZE = 4096
CALLS = {
    **{
        f"gemm {rows} {columns} {depth}": (
            rows * depth,
            f"gemm(in, {depth}, other, 0, out, {columns}, 0, 0, {rows}, {columns}, {depth}, unchanged);",
        )
        for rows, columns, depth in (
            *((1, 1, 1), (2, 5, 3), (3, 17, 7), (5, 12, 4), (7, 30, 9), (4, 16, 8)),
            *((1, 3, 40), (2, 5, 44), (5, 18, 60)),
        )
    },
    **{
        f"packing {columns}": (7 * columns, f"pack_panels(in, {columns}, 1, 7, {columns}, out);")
        for columns in (1, 4, 6, 11, 13, 16, 35)
    },
    **{
        f"packing by depth {columns}": (44 * columns, f"pack_panels(in, 1, 44, 44, {columns}, out);")
        for columns in (1, 4, 6, 11)
    },
    **{
        f"by channel {taps}": (
            4 * 7 * 9,
            f"depthwise_plane((Depthwise){{7, 9, 3, 3, {taps}, 1, 2, 1, 1, 5, {(9 - taps) // 2 + 1}}},"
            " (Weights){other, 0, 3}, in, 0, 3, out, 0, unchanged);",
        )
        for taps in (1, 3, 5, 7)
    },
    **{
        f"planes {channels}": (
            5 * channels,
            f"plane_line((Band){{1, 5, 0, 0, 1, 0}}, (Pointwise){{0, 0, {channels}, {channels}}}, unchanged, in, 0,"
            f" {channels}, out, 20);",
        )
        for channels in (1, 3, 4, 6, 15)
    },
    **{
        f"patches {channels}": (
            6 * 5 * channels,
            f"gather_patches((Patches){{1, 6, 5, {channels}, 0, {channels}, 1, 3, 3, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 6,"
            " 5}, in, 0, 30, out);",
        )
        for channels in (1, 3, 4, 5)
    },
    **{
        f"pool {channels}": (
            6 * 5 * channels,
            f"pool((Patches){{1, 6, 5, {channels}, 0, {channels}, 1, 3, 3, 1, 2, 2, 1, 1, 1, 0, 1, 1, 1, 3, 3}},"
            " (Pool){POOL_MEAN, 0, 2, 1, 6, 5}, in, 1, out);",
        )
        for channels in (1, 3, 17)
    },
    **{f"rows of {n}": (3 * n, f"finish_rows(in, out, 3, {n}, unchanged);") for n in (1, 4, 7, 18)},
}


def source() -> str:
    """`which` is the input's first number; the output is what the call made at either place."""
    cases = "".join(
        f"case {number}: {{ const float *in = behind ? end - {size} : middle; {call} break; }}"
        for number, (size, call) in enumerate(CALLS.values())
    )
    fills = "".join(f"case {number}: size = {size}; break;" for number, (size, _) in enumerate(CALLS.values()))
    return f"""
#include "module.h"
#include "convolution.h"
#include "chain.h"
#include "pooling.h"
unsigned char input[4] ALIGNED, output[{2 * SIZE * 4}] ALIGNED;
static float middle[{SIZE}] ALIGNED, other[{SIZE}] ALIGNED;
static NOINLINE void call(int which, int behind, float *end, float *out) {{ switch (which) {{ {cases} }} }}
EXPORT(input_size) unsigned input_size(void) {{ return 4; }}
EXPORT(output_size) unsigned output_size(void) {{ return sizeof output; }}
EXPORT(infer) int infer(void) {{
    int which = *(int *)input, size = 0;
    switch (which) {{ {fills} }}
    float *end = (float *)(__builtin_wasm_memory_grow(0, 1) * 65536 + 65536);
    for (int i = 0; i < {SIZE}; i++) other[i] = (float)(i % 13) - 6, middle[i] = (float)(i % 11) - 5;
    for (int i = 0; i < size; i++) end[i - size] = middle[i];
    call(which, 0, end, (float *)output);
    call(which, 1, end, (float *)output + {SIZE});
    return sizeof output;
}}
"""


@pytest.fixture(name="run", scope="module")
def in_wasm() -> object:
    return runtime().load(compile_program(Program(source(), b"", 0, 0, 0, 0))).run


@pytest.mark.parametrize("name", CALLS)
def test_nothing_behind_is_read(name: str, run: object) -> None:
    assert callable(run)
    found = np.frombuffer(run(np.int32(list(CALLS).index(name)).tobytes()), "f4").reshape(2, SIZE)
    assert found[0].any()
    assert np.array_equal(found[0], found[1])
