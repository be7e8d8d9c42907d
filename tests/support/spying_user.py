"""A program that is the agent's user: it starts an enclave, beside a process that is not confined, and spies on both.

Started by root it first becomes a user without rights. Both processes are forks, so that a secret lies at the same
address in all of them: as user's programs they could not be executed where the interpreter belongs to root.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from edge_agent.enclave.confinement.kernel import prctl
from edge_agent.enclave.frames import FrameSocket
from edge_agent.enclave_client import EnclaveClient
from protocol.party import Delivery, Publication
from tests.support import scripted_enclave

ROOT = Path(__file__).parent.parent.parent
PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from tests.support.spying_user import main; main(*sys.argv[2:])"
USER = 65_533
SECRET = b"the-reading-was-5926-and-nobody-is-to-know"
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
PTRACE_ATTACH, PTRACE_DETACH, PR_SET_DUMPABLE = 16, 17, 4
KEPT = ctypes.create_string_buffer(SECRET)


def spy(what: str = "") -> dict[str, str]:
    """Run the program and return what it found."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        command = [sys.executable, "-I", "-c", PROGRAM, str(ROOT), folder, what]
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if found.returncode != 0:
        raise AssertionError(found.stderr)
    outcomes: dict[str, str] = json.loads(found.stdout)
    return outcomes


def main(folder: str, what: str) -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
    os.chdir(folder)
    # Linux takes it from whoever changes the user: without this the other process would be as closed as the enclave.
    prctl(PR_SET_DUMPABLE, 1)
    report = {"user": str(os.geteuid())}
    unconfined = forked(lambda: time.sleep(60))
    ours, theirs = socket.socketpair()
    enclave = forked(lambda: scripted_enclave.main([str(theirs.fileno())]))
    theirs.close()
    client = EnclaveClient(FrameSocket(ours), scripted_enclave.CONFIGURATION)
    if what.startswith("SIG"):
        report |= crash(enclave, what)
    elif what == "gcore":
        report["gcore"] = dump(unconfined, enclave)
    else:
        report |= attack("open", unconfined) | attack("enclave", enclave)
        answer = tuple(client.receive(Delivery("t", b"hello"), 1.0))
        report["enclave serves"] = "yes" if answer == (Publication("echo", b"hello"),) else "no"
    os.kill(unconfined, signal.SIGKILL)
    client.close()
    sys.stdout.write(json.dumps(report))


def forked(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def attack(name: str, pid: int) -> dict[str, str]:
    attacks = {
        "memory": memory,
        "process_vm_readv": process_vm_readv,
        "ptrace": ptrace,
        "descriptors": lambda pid: os.listdir(f"/proc/{pid}/fd"),  # noqa: PTH208 - the call itself
        "environment": lambda pid: Path(f"/proc/{pid}/environ").read_bytes() or b"none set",
    }
    return {f"{name} {each}": outcome(action, pid) for each, action in attacks.items()}


def outcome(action: Callable[[int], object], pid: int) -> str:
    try:
        return "found" if action(pid) else "nothing"
    except PermissionError:
        return "refused"


def memory(pid: int) -> bool:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
        file.seek(ctypes.addressof(KEPT))
        return file.read(len(SECRET)) == SECRET


def process_vm_readv(pid: int) -> bool:
    copy = ctypes.create_string_buffer(len(SECRET))
    here = (ctypes.c_size_t * 2)(ctypes.addressof(copy), len(SECRET))
    there = (ctypes.c_size_t * 2)(ctypes.addressof(KEPT), len(SECRET))
    checked(LIBC.process_vm_readv(pid, here, 1, there, 1, 0))
    return copy.raw == SECRET


def ptrace(pid: int) -> bool:
    checked(LIBC.ptrace(PTRACE_ATTACH, pid, None, None))
    os.waitpid(pid, os.WUNTRACED)
    checked(LIBC.ptrace(PTRACE_DETACH, pid, None, None))
    return True


def checked(result: int) -> None:
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")


def crash(pid: int, name: str) -> dict[str, str]:
    """The user may end its enclave; the system shall write down nothing of it."""
    os.kill(pid, getattr(signal, name))
    status = os.waitpid(pid, 0)[1]
    files = [each.name for each in Path().iterdir()]
    return {
        "ended by": signal.Signals(os.WTERMSIG(status)).name,
        "core": "none" if not files and not os.WCOREDUMP(status) else "written",
    }


def dump(unconfined: int, enclave: int) -> str:
    program = shutil.which("gcore")
    if program is None:
        return "absent"
    outcomes = []
    for name, pid in (("open", unconfined), ("enclave", enclave)):
        subprocess.run([program, "-o", name, str(pid)], capture_output=True, check=False)
        outcomes.append(f"{name}: {'dumped' if Path(f'{name}.{pid}').exists() else 'refused'}")
    return ", ".join(outcomes)
