import dataclasses
from collections.abc import Callable, Iterator

import pytest

from edge_agent.enclave.compiling.compiler import compile_here
from edge_agent.enclave.running.runtime import Limits, Module, Runtime
from protocol.errors import EnclaveError
from schemas.reason import Reason

Load = Callable[..., Module]
Refusal = Callable[..., Reason]


@pytest.fixture(scope="session")
def wasm_runtime() -> Iterator[Runtime]:
    """Compiles in this process: the tests' modules are small, and a child takes a tenth of a second for each."""
    runtime = Runtime(compiler=compile_here)
    yield runtime
    runtime.close()


@pytest.fixture(scope="session")
def load(wasm_runtime: Runtime) -> Load:
    """`load(module, max_seconds=0.1, ...)`."""

    def load(module: bytes, **limits: float) -> Module:
        return wasm_runtime.load(module, dataclasses.replace(Limits(), **limits))

    return load


@pytest.fixture(scope="session")
def refusal(load: Load) -> Refusal:
    """Why loading a module, or running it on `data`, was refused."""

    def refusal(module: bytes, data: bytes | None = None, **limits: float) -> Reason:
        if data is None:
            with pytest.raises(EnclaveError) as caught:
                load(module, **limits)
        else:
            loaded = load(module, **limits)
            with pytest.raises(EnclaveError) as caught:
                loaded.run(data)
        assert "\n" not in str(caught.value)
        return caught.value.reason

    return refusal
