"""wasmtime's compiler through its C interface (wasm.h, wasmtime.h): for processes that compile and run nothing.

wasmtime-py declares all of that interface when it is imported, in megabytes of objects that a compile server would hold
for as long as its enclave lives. The engines are those of `engine`: the same settings, and the same machine code,
which a test compares.

Nothing is given back: whoever compiles here ends with it.
"""

import ctypes
import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from edge_agent.enclave.compiling.features import COMPONENT, COMPONENT_FEATURES, EMPTY_MODULE, FEATURES
from edge_agent.enclave.rewriting.interruptible import UnknownCodeError, interruptible


class RefusedError(Exception):
    """A module that is not valid, in wasmtime's words: they quote it."""


class _Bytes(ctypes.Structure):
    """`wasm_byte_vec_t`."""

    _fields_ = (("size", ctypes.c_size_t), ("data", ctypes.c_void_p))


def _library() -> ctypes.CDLL:
    """wasmtime's own, where its package keeps it. Raises `OSError`."""
    package = find_spec("wasmtime")
    if package is None or package.origin is None:
        raise OSError("wasmtime is not installed")
    machine = os.uname().machine.replace("arm64", "aarch64")
    return ctypes.CDLL(os.path.join(os.path.dirname(package.origin), f"{sys.platform}-{machine}", "_libwasmtime.so"))  # noqa: PTH118, PTH120 - pathlib is more than all the rest


_LIBRARY: Final = _library()
"""Loaded at the start: a compile server that is confined opens no file any more."""


def compiled(module: bytes, max_stack_bytes: int) -> bytes:
    """As `engine.compiled`. Raises `RefusedError`."""
    if module.startswith(COMPONENT):
        return _serialized("component", module, COMPONENT_FEATURES, max_stack_bytes)
    if not module.startswith(EMPTY_MODULE):
        raise RefusedError("neither a WebAssembly core module of version 1 nor a component")
    try:
        checked = interruptible(module)
    except UnknownCodeError as unknown:
        raise RefusedError(str(unknown)) from None
    return _serialized("module", checked, FEATURES, max_stack_bytes)


def _serialized(kind: str, code: bytes, features: Mapping[str, bool], max_stack_bytes: int) -> bytes:
    made, output = ctypes.c_void_p(), _Bytes()
    engine = _engine(features, max_stack_bytes)
    size = ctypes.c_size_t(len(code))
    _check(_pointer(f"wasmtime_{kind}_new", engine, ctypes.c_char_p(code), size, ctypes.byref(made)))
    _check(_pointer(f"wasmtime_{kind}_serialize", made, ctypes.byref(output)))
    return _content(output)


def _engine(features: Mapping[str, bool], max_stack_bytes: int) -> ctypes.c_void_p:
    config = _pointer("wasm_config_new")
    for name, enabled in features.items():
        _nothing(f"wasmtime_config_{name}_set", config, ctypes.c_bool(enabled))
    _nothing("wasmtime_config_max_wasm_stack_set", config, ctypes.c_size_t(max_stack_bytes))
    return _pointer("wasm_engine_new_with_config", config)


def _check(error: ctypes.c_void_p) -> None:
    if not error:
        return
    message = _Bytes()
    _nothing("wasmtime_error_message", error, ctypes.byref(message))
    raise RefusedError(_content(message).decode("utf-8", "replace"))


def _content(found: _Bytes) -> bytes:
    return ctypes.string_at(found.data, found.size)


def _pointer(name: str, *arguments: object) -> ctypes.c_void_p:
    function = _LIBRARY[name]
    function.restype = ctypes.c_void_p
    return ctypes.c_void_p(function(*arguments))


def _nothing(name: str, *arguments: object) -> None:
    function = _LIBRARY[name]
    function.restype = None
    function(*arguments)
