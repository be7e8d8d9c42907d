"""A program that gives up what an enclave gives up, then tries what a module that broke out would try.

`python -c PROGRAM ROOT MODE`: prints one JSON object, attempt to outcome: `done`, or the name of the error.
"""

import ctypes
import encodings.idna  # noqa: F401 - create_connection asks for it, and files cannot be opened then
import errno
import json
import mmap
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from edge_agent.enclave.compiling.engine import MAX_STACK_BYTES
from edge_agent.enclave.compiling.limits import Limits
from edge_agent.enclave.compiling.server import start_compile_server
from edge_agent.enclave.confinement import filter_calls, isolate
from edge_agent.enclave.confinement.kernel import CLONE_NEWUSER, prctl, unshare
from edge_agent.enclave.confinement.system_calls import for_compiler, for_enclave
from edge_agent.enclave.serving import confine
from tests.support.wat_modules import ECHO, performing

ROOT = Path(__file__).parent.parent.parent
PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from tests.support.confined_probe import main; main(*sys.argv[2:])"
)
LIBC = ctypes.CDLL(None, use_errno=True)
MODULE = performing(ECHO)
SCRATCH = Path(tempfile.gettempdir())
PR_SET_DUMPABLE, PTRACE_SEIZE = 4, 0x4206


def probe(mode: str, *arguments: str) -> dict[str, str]:
    """Run the program and return what it found."""
    command = [sys.executable, "-I", "-c", PROGRAM, str(ROOT), mode, *arguments]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if found.returncode != 0:
        raise AssertionError(found.stderr)
    outcomes: dict[str, str] = json.loads(found.stdout)
    return outcomes


def main(mode: str, port: str = "0") -> None:
    """`free`, `isolated` (no filter), `enclave`, `compiler`."""
    port_number = int(port)
    words: list[str] = []
    report: dict[str, str] = {}
    if mode == "isolated":
        words = isolate(0)
    elif mode == "compiler":
        words = [*isolate(0), *filter_calls(for_compiler(os.getpid()))]
    elif mode == "enclave":
        confined = confine(0, start_compile_server(), listening=False)
        words = list(confined.words)
        report["compile"] = attempt(lambda: confined.compiler(MODULE, Limits(), MAX_STACK_BYTES))
    elif mode == "locked":
        words = filter_calls(for_enclave(os.getpid()))
    report |= {name: attempt(each) for name, each in attempts(port_number).items()}
    report["words"] = " ".join(words)
    os.write(1, json.dumps(report).encode())


def attempt(action: Callable[[], object]) -> str:
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    except ValueError:  # what `resource` makes of EPERM
        return "EPERM"
    return "done"


def attempts(port: int) -> dict[str, Callable[[], object]]:
    parent = os.getppid()
    return {
        "socket": lambda: socket.socket().close(),
        "unix socket": socket.socketpair,
        "connect": lambda: socket.create_connection(("127.0.0.1", port), 5).close(),
        "read a file": lambda: Path("/etc/passwd").read_bytes(),
        "list a folder": lambda: len(os.listdir("/etc")),  # noqa: PTH208 - the call itself
        "read own memory": lambda: Path("/proc/self/mem").open("rb").close(),
        "write a file": (SCRATCH / f"probe-{os.getpid()}").touch,
        "fork": fork,
        "execute": lambda: subprocess.run(["/bin/true"], check=True),
        "signal the parent": lambda: os.kill(parent, 0),
        "signal everybody": lambda: os.kill(-1, 0),
        "trace the parent": lambda: called(LIBC.ptrace(PTRACE_SEIZE, parent, 0, 0)),
        "read the parent": lambda: called(read_process(parent)),
        "writable code": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close(),
        "be dumpable": lambda: prctl(PR_SET_DUMPABLE, 1),
        "new users": lambda: unshare(CLONE_NEWUSER),
        "become root": lambda: os.setresuid(0, 0, 0),
        "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)),
        "own memory": lambda: mmap.mmap(-1, 2**20).close(),
        "randomness": lambda: os.getrandom(16),
        "thread": thread,
    }


def fork() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def thread() -> None:
    started = threading.Thread(target=lambda: None)
    started.start()
    started.join()


def read_process(pid: int) -> int:
    buffer = ctypes.create_string_buffer(8)
    vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
    return int(LIBC.process_vm_readv(pid, vector, 1, vector, 1, 0))


def called(result: int) -> None:
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")
