"""Many weights lie on pages of their own, whose ends the module exports; a small module has one page for everything."""

from typing import Any

import numpy as np
import pytest
import wasmtime
from numpy.typing import NDArray
from onnx import helper

from publisher.compiler.constant_pages import CONSTANT_ENDS, MANY_BYTES, PAGE_BYTES
from tests.support.compiling import Compiled, against_onnxruntime, compiled, model_of

RNG = np.random.default_rng(4)
WASM_PAGE = 65536


def product(depth: int, columns: int) -> tuple[Compiled, NDArray[np.float32]]:
    right, x = (RNG.standard_normal(shape).astype("f4") for shape in ((depth, columns), (1, depth)))
    model = model_of([helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": x}, ["y"], {"w": right})
    against_onnxruntime(model, {"x": x}, 1e-5)
    return compiled(model), x


def instance(made: Compiled) -> tuple[wasmtime.Store, dict[str, Any]]:
    engine = wasmtime.Engine()
    store = wasmtime.Store(engine)
    exports = wasmtime.Instance(store, wasmtime.Module(engine, made.wasm), []).exports(store)
    return store, {name: exports[name] for name in exports}


def value(store: wasmtime.Store, export: wasmtime.Global) -> int:
    assert not export.type(store).mutable
    return int(export.value(store))


def test_many_weights_share_their_pages_with_nothing() -> None:
    made, _ = product(100, MANY_BYTES // 400)
    store, exports = instance(made)
    start, end = (value(store, exports[name]) for name in CONSTANT_ENDS)
    assert (start % PAGE_BYTES, end % PAGE_BYTES) == (0, 0)
    assert end - start == -(-len(made.program.weights) // PAGE_BYTES) * PAGE_BYTES
    memory = exports["memory"]
    held = bytes(memory.read(store, start, end))
    assert held == made.program.weights.ljust(end - start, b"\0")
    for name, size in (("input", 400), ("output", made.program.output_bytes)):
        assert not range(max(start, value(store, exports[name])), min(end, value(store, exports[name]) + size))


def test_what_runs_writes_nothing_there() -> None:
    made, x = product(100, MANY_BYTES // 400)
    store, exports = instance(made)
    start, end = (value(store, exports[name]) for name in CONSTANT_ENDS)
    memory, infer = exports["memory"], exports["infer"]
    before = bytes(memory.read(store, start, end))
    memory.write(store, x.tobytes(), value(store, exports["input"]))
    assert infer(store) == made.program.output_bytes
    assert bytes(memory.read(store, start, end)) == before


@pytest.mark.parametrize("columns", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_few_weights_have_no_pages_of_their_own(columns: int) -> None:
    store, exports = instance(product(100, columns)[0])
    memory = exports["memory"]
    assert not set(CONSTANT_ENDS) & set(exports)
    assert memory.data_len(store) == WASM_PAGE
