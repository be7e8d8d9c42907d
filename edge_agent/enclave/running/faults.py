"""How a module failed, in the words of a refusal: which limit, and what it is."""

import wasmtime

from edge_agent.enclave.compiling.compiler import one_line
from edge_agent.enclave.compiling.limits import Limits
from protocol.errors import EnclaveError, Finding
from schemas.reason import Reason


def check_input(data: bytes, limits: Limits) -> None:
    """Raise `EnclaveError` (input-invalid) where the input is too long."""
    if len(data) > limits.max_input_bytes:
        raise EnclaveError(
            "the input is too long",
            reason=Reason.INPUT_INVALID,
            finding=Finding("input bytes", f"at most {limits.max_input_bytes}", str(len(data))),
        )


def too_much_output(limits: Limits, found: str = "more") -> EnclaveError:
    """Of a module that gives more than it may."""
    return EnclaveError(
        "the module gave more than there is room for",
        reason=Reason.OUTPUT_TOO_LARGE,
        finding=Finding("output bytes", f"at most {limits.max_output_bytes}", found),
    )


def out_of_time(limits: Limits) -> EnclaveError:
    """Of a run that was stopped at its deadline."""
    return EnclaveError(
        "the module ran out of time",
        reason=Reason.DEADLINE_EXCEEDED,
        finding=Finding("milliseconds", f"at most {limits.max_seconds * 1000:g}", "more"),
    )


def out_of_memory(message: str, limits: Limits, found: str = "more") -> EnclaveError:
    """Of a module that got no more memory."""
    return EnclaveError(
        message,
        reason=Reason.MEMORY_LIMIT,
        finding=Finding("memory bytes", f"at most {limits.max_memory_bytes}", found),
    )


def trapped(code: str, limits: Limits) -> EnclaveError:
    """Of a trap that no limit but that of the stack explains. `code` is from `trap_code`."""
    words = code.lower().replace("_", " ")
    finding = Finding("trap", "none", words)
    if code == "STACK_OVERFLOW":
        finding = Finding("stack bytes", f"at most {limits.max_stack_bytes}", "more")
    return EnclaveError(f"the module trapped: {words}", finding=finding)


def not_started(fault: wasmtime.Trap | wasmtime.WasmtimeError, limits: Limits) -> EnclaveError:
    """Of a module that could not be instantiated: a segment lies outside, or a limit is too low."""
    if isinstance(fault, wasmtime.Trap):
        return trapped(trap_code(fault), limits)
    words = one_line(str(fault))
    if "table" in words:
        finding = Finding("table elements", f"at most {limits.max_table_elements}", "more")
        return EnclaveError(f"the module does not fit: {words}", reason=Reason.MEMORY_LIMIT, finding=finding)
    return out_of_memory(f"the module does not fit: {words}", limits)


def trap_code(trap: wasmtime.Trap) -> str:
    """Its name in wasmtime, or "unknown"."""
    try:
        return trap.trap_code.name if trap.trap_code else "unknown"
    except ValueError:
        # A code that is newer than the Python binding.
        return "unknown"
