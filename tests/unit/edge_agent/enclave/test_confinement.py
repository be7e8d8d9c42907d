"""The filter of system calls as a program, for both architectures; the words; what is said of what is missing."""

import errno
import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_agent.enclave import serving
from edge_agent.enclave.compiling import native
from edge_agent.enclave.compiling.compiler import compile_here
from edge_agent.enclave.compiling.engine import engine_fingerprint
from edge_agent.enclave.compiling.features import COMPONENT, COMPONENT_FEATURES, FEATURES, MAX_STACK_BYTES, PROBE
from edge_agent.enclave.compiling.limits import Limits
from edge_agent.enclave.compiling.separate import SeparateCompiler
from edge_agent.enclave.compiling.server import ANSWER, Outcome, start_compile_server
from edge_agent.enclave.confinement import IN_PLACE, MEASURES
from edge_agent.enclave.confinement.seccomp import ARCHITECTURES, X32_BIT, Architecture, program
from edge_agent.enclave.confinement.system_calls import (
    AARCH64,
    X86_64,
    Allowed,
    for_compile_server,
    for_compiler,
    for_enclave,
    for_listening_enclave,
)
from edge_agent.placement import confined
from protocol.errors import ConfigurationError, EnclaveError
from schemas.reason import Reason
from tests.support.components import component
from tests.support.costly_modules import large_to_compile, slow_to_compile
from tests.support.wat_modules import ECHO, performing

ROOT = Path(__file__).parents[4]
PID = 4711
EMPTY_MODULE = b"\0asm\x01\0\0\0"
ALLOW, KILL, EPERM, ENOSYS = 0x7FFF_0000, 0x8000_0000, 0x5_0000 | errno.EPERM, 0x5_0000 | errno.ENOSYS
THREAD, FORK = 0x3D0F00, 0x0120_0011
both = pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)


def run(code: list[tuple[int, int, int, int]], identifier: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """What the kernel would return: an interpreter of the few instructions that the filter uses."""
    words = {0: number, 4: identifier}
    words |= {16 + 8 * position: value & 0xFFFF_FFFF for position, value in enumerate((*arguments, 0, 0, 0, 0, 0, 0))}
    accumulator, at = 0, 0
    jumps: dict[int, Callable[[int, int], bool]] = {
        0x15: lambda a, k: a == k,
        0x35: lambda a, k: a >= k,
        0x45: lambda a, k: bool(a & k),
    }
    while True:
        operation, if_true, if_false, constant = code[at]
        at += 1
        if operation == 0x06:
            return constant
        if operation == 0x20:
            accumulator = words[constant]
        elif operation == 0x54:
            accumulator &= constant
        else:
            at += if_true if jumps[operation](accumulator, constant) else if_false


def asked(architecture: Architecture, allowed: tuple[Allowed, ...], call: str, *arguments: int) -> int:
    return run(program(architecture, allowed), architecture.identifier, architecture.numbers[call], arguments)


@both
def test_what_is_allowed_depends_on_the_arguments(architecture: Architecture) -> None:
    enclave = for_enclave(PID)
    expected = {
        ("read", 3): ALLOW,
        ("clone", THREAD): ALLOW,
        ("clone", FORK): EPERM,
        ("clone3",): ENOSYS,
        ("kill", PID, 9): ALLOW,
        ("kill", PID + 1, 0): EPERM,
        ("kill", -1, 9): EPERM,
        ("tgkill", PID, PID, 6): ALLOW,
        ("tgkill", PID - 1, 5, 6): EPERM,
        ("mmap", 0, 4096, 3): ALLOW,
        ("mmap", 0, 4096, 7): EPERM,
        ("mprotect", 0, 4096, 5): ALLOW,
        ("mprotect", 0, 4096, 6): EPERM,
        ("wait4", PID): EPERM,
        ("prctl", 4, 1): EPERM,
        ("seccomp", 1): EPERM,
        ("accept4", 3): EPERM,
    }
    assert {each: asked(architecture, enclave, str(each[0]), *each[1:]) for each in expected} == expected  # type: ignore[arg-type]


@both
def test_each_process_has_its_own_list(architecture: Architecture) -> None:
    assert asked(architecture, for_listening_enclave(PID), "accept4", 3) == ALLOW
    server, compiler = for_compile_server(), for_compiler(PID)
    assert asked(architecture, server, "clone", FORK) == ALLOW
    assert asked(architecture, server, "clone", 0x1000_0000 | FORK) == EPERM
    assert asked(architecture, server, "kill", 1, signal.SIGKILL) == ALLOW
    assert asked(architecture, server, "kill", 1, signal.SIGTERM) == EPERM
    assert asked(architecture, server, "prctl", 1, 9) == ALLOW
    assert asked(architecture, server, "prctl", 4, 1) == EPERM
    assert asked(architecture, compiler, "clone", FORK) == EPERM
    for call in ("recvfrom", "sendto", "wait4", "pipe2", "memfd_create"):
        assert asked(architecture, compiler, call) == EPERM
    # A filter can only be narrowed: what a compiler needs, the server has.
    assert {each.name for each in compiler} <= {each.name for each in server}


@both
def test_another_architecture_ends_the_process(architecture: Architecture) -> None:
    code = program(architecture, for_enclave(PID))
    others = {each.identifier for each in ARCHITECTURES.values()} - {architecture.identifier} | {0x4000_0003}
    for other in others:
        assert run(code, other, architecture.numbers["read"]) == KILL
    assert run(code, architecture.identifier, X32_BIT | 0) == KILL


@both
def test_no_other_number_is_allowed(architecture: Architecture) -> None:
    enclave = for_enclave(PID)
    names = {each.name for each in enclave}
    code = program(architecture, enclave)
    numbers = {number for name, number in architecture.numbers.items() if name in names}
    found = {number for number in range(600) if run(code, architecture.identifier, number, (PID,)) == ALLOW}
    assert found <= numbers
    assert len(code) < 4096  # BPF_MAXINSNS


def test_both_architectures_name_the_same_calls() -> None:
    assert set(X86_64) - set(AARCH64) == {"poll"}
    assert not set(AARCH64) - set(X86_64)
    assert all(len(set(table.values())) == len(table) for table in (X86_64, AARCH64))
    assert {each.name for each in (*for_listening_enclave(1), *for_compile_server())} <= set(X86_64)


# The words


def of(*words: str) -> Any:
    return SimpleNamespace(confinement=words)


def test_what_is_missing_is_said_and_with_strict_refused() -> None:
    assert confined(of(*MEASURES), strict=True).detail["missing"] == "none"
    without = [each for each in MEASURES if each != "seccomp"]
    note = confined(of(*without), strict=False)
    assert note.detail == {"measures": " ".join(without), "missing": "seccomp"}
    with pytest.raises(ConfigurationError) as refused:
        confined(of(*without), strict=True)
    assert "without seccomp" in refused.value.diagnostics
    with pytest.raises(ConfigurationError):
        confined(of(IN_PLACE), strict=True)
    assert list(MEASURES) == sorted(MEASURES)


# The compile server


SERVER = (
    "import socket, sys; sys.path.insert(0, sys.argv[1])\n"
    "from edge_agent.enclave.compiling.server import become, serve\n"
    "become(lambda: serve(socket.socket(fileno=int(sys.argv[2])), socket.socket()))\n"
)


@pytest.fixture(scope="module")
def server() -> Iterator[SeparateCompiler]:
    """In a process of its own: a fork of this one would lack the threads with which the compiler has begun here."""
    if sys.platform != "linux":
        pytest.skip("the server is Linux's")
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-I", "-c", SERVER, str(ROOT), str(theirs.fileno())]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as process:
        theirs.close()
        found = SeparateCompiler(ours)
        assert "seccomp" in found.confinement()
        yield found
        found.close()
        assert process.wait(10) == 0


def refusal(server: SeparateCompiler, module: bytes, **limits: float) -> EnclaveError:
    with pytest.raises(EnclaveError) as caught:
        server(module, Limits(**limits), MAX_STACK_BYTES)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("stack", [MAX_STACK_BYTES, MAX_STACK_BYTES // 2])
@pytest.mark.parametrize("module", [performing(ECHO), PROBE, component()], ids=["module", "probe", "component"])
def test_the_server_makes_the_code_that_this_process_would_make(
    server: SeparateCompiler, module: bytes, stack: int
) -> None:
    """Though it asks wasmtime's C interface, and this one wasmtime-py: a setting that one lacks would show."""
    assert server(module, Limits(), stack) == compile_here(module, Limits(), stack)
    assert engine_fingerprint(stack, server.compiled_probe) == engine_fingerprint(stack)


@pytest.mark.parametrize("module", [b"", b"(module)", EMPTY_MODULE + b"\x0a\x01\x01", COMPONENT + b"\x01\x01\x00"])
def test_the_server_refuses_in_the_words_of_this_process(server: SeparateCompiler, module: bytes) -> None:
    with pytest.raises(EnclaveError) as expected:
        compile_here(module, Limits(), MAX_STACK_BYTES)
    assert str(refusal(server, module)) == str(expected.value)


@pytest.mark.parametrize("features", [FEATURES, COMPONENT_FEATURES], ids=["module", "component"])
def test_a_switch_that_the_compiler_lacks_would_show(
    features: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = PROBE if features is FEATURES else component()
    usual = compile_here(module, Limits(), MAX_STACK_BYTES)
    for name in ("epoch_interruption", "memory_may_move", "wasm_relaxed_simd", "gc_support"):
        monkeypatch.setitem(features, name, not features[name])
        assert native.compiled(module, MAX_STACK_BYTES) != usual
        monkeypatch.undo()
    assert native.compiled(module, MAX_STACK_BYTES) == usual


@pytest.mark.slow
def test_what_a_module_does_to_its_compiler_ends_with_it(server: SeparateCompiler) -> None:
    slow = slow_to_compile()
    assert "longer than 0.5 s" in str(refusal(server, slow, max_compile_seconds=0.5))
    assert "the compiler ended with" in str(refusal(server, large_to_compile(), max_compile_bytes=48 * 2**20))
    invalid = refusal(server, EMPTY_MODULE + b"\x0a\x01\x01")
    assert invalid.reason is Reason.MODEL_INVALID
    assert "\n" not in str(invalid)
    assert server(performing(ECHO), Limits(), MAX_STACK_BYTES)


def test_a_server_that_ended_is_not_the_modules_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    fork = os.fork

    def remembered() -> int:
        started.append(fork())
        return started[-1]

    monkeypatch.setattr(os, "fork", remembered)
    ended = SeparateCompiler(start_compile_server())
    os.kill(started[0], signal.SIGKILL)
    os.waitpid(started[0], 0)
    assert refusal(ended, EMPTY_MODULE).reason is Reason.INTERNAL
    ended.close()


@pytest.mark.parametrize(
    ("own", "theirs", "claimed"),
    [
        (
            "landlock no-core-dumps",
            "landlock no-core-dumps seccomp",
            "landlock no-core-dumps seccomp separate-compiler",
        ),
        ("landlock no-dumps", "no-dumps", "no-dumps separate-compiler"),
        ("no-dumps", "landlock no-dumps seccomp", "no-dumps seccomp separate-compiler"),
    ],
)
def test_an_enclave_claims_what_its_compile_server_achieved_too(
    own: str, theirs: str, claimed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "isolate", lambda *_: own.split())
    monkeypatch.setattr(serving, "filter_calls", lambda _allowed: ["seccomp"])
    ours, server = socket.socketpair()
    with ours, server:
        server.sendall(ANSWER.pack(Outcome.DONE, len(theirs)) + theirs.encode())
        assert serving.confine(0, ours, listening=False).words == tuple(claimed.split())
        server.close()
        with pytest.raises(EnclaveError, match="the compiler has ended"):
            serving.confine(0, ours, listening=False)
    gc.unfreeze()


# Locked memory

LOCKED = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from pathlib import Path\n"
    "from edge_agent.enclave.compiling.compiler import compile_here\n"
    "from edge_agent.enclave.confinement.kernel import lock_memory\n"
    "from edge_agent.enclave.running.runtime import Runtime\n"
    "from tests.support.wat_modules import ECHO, performing\n"
    "module = performing(ECHO)\n"
    "try:\n"
    "    lock_memory()\n"
    "except OSError:\n"
    "    sys.exit(3)\n"
    "loaded = Runtime(compiler=compile_here).load(module)\n"
    "print([loaded.run(b'locked') for _ in range(3)])\n"
    "print(next(line for line in Path('/proc/self/status').read_text().splitlines() if 'VmLck' in line))\n"
)


@pytest.mark.slow
def test_modules_run_in_locked_memory() -> None:
    """Tried with whatever right to lock memory the tests have, which is often more than a confined process keeps."""
    command = [sys.executable, "-I", "-c", LOCKED, str(ROOT)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode == 3:
        pytest.skip("this system locks no memory")
    outputs, locked = found.stdout.splitlines()
    assert outputs == str([b"locked"] * 3)
    assert int(locked.split()[1]) > 0
