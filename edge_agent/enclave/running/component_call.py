"""`infer` of a component, called with bytes for its `list<u8>`.

wasmtime-py converts a list element by element in Python: a microsecond for each byte, which no deadline interrupts.
Here the same C function is called with lists that are filled and read at once, through the package's own bindings.
"""

import ctypes
from ctypes import byref
from typing import Final

import wasmtime
from wasmtime import _ffi as ffi
from wasmtime.component import Func

from edge_agent.enclave.compiling.limits import Limits
from edge_agent.enclave.running.faults import too_much_output
from protocol.errors import EnclaveError
from schemas.reason import Reason

_VALUE_BYTES: Final = ctypes.sizeof(ffi.wasmtime_component_val_t)
_UNION_AT: Final = ffi.wasmtime_component_val_t.of.offset


def call_infer(function: Func, store: wasmtime.Store, data: bytes, limits: Limits) -> bytes:
    """`infer: func(input: list<u8>) -> result<list<u8>, string>`, which the function must be known to be.

    Raises `wasmtime.WasmtimeError` for a trap, `EnclaveError` for an error (input-invalid; its text is the guest's
    and goes no further) and for more output than there may be (output-too-large).
    """
    argument, result = ffi.wasmtime_component_val_t(), ffi.wasmtime_component_val_t()
    _fill(argument, data)
    try:
        error = ffi.wasmtime_component_func_call(
            byref(function._func), store._context(), byref(argument), 1, byref(result), 1
        )
        if error:
            raise wasmtime.WasmtimeError._from_ptr(error)
        try:
            return _output(result, limits)
        finally:
            ffi.wasmtime_component_val_delete(byref(result))
    finally:
        ffi.wasmtime_component_val_delete(byref(argument))


def _fill(argument: ffi.wasmtime_component_val_t, data: bytes) -> None:
    values = bytearray(len(data) * _VALUE_BYTES)
    values[::_VALUE_BYTES] = bytes([ffi.WASMTIME_COMPONENT_U8.value]) * len(data)
    values[_UNION_AT::_VALUE_BYTES] = data
    ffi.wasmtime_component_vallist_new_uninit(byref(argument.of.list), len(data))
    argument.kind = ffi.WASMTIME_COMPONENT_LIST
    ctypes.memmove(argument.of.list.data, bytes(values), len(values))


def _output(result: ffi.wasmtime_component_val_t, limits: Limits) -> bytes:
    if not result.of.result.is_ok:
        raise EnclaveError("the module does not take this input", reason=Reason.INPUT_INVALID)
    values = result.of.result.val.contents.of.list
    if values.size > limits.max_output_bytes:
        raise too_much_output(limits, str(values.size))
    if not values.size:
        return b""
    return ctypes.string_at(values.data, values.size * _VALUE_BYTES)[_UNION_AT::_VALUE_BYTES]
