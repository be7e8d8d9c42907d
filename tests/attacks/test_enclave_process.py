"""A module that broke out of wasmtime, inside the enclave's process; and the agent's own user, outside of it."""

import socket
import sys
from collections.abc import Iterator

import pytest

from tests.support.confined_probe import probe
from tests.support.spying_user import spy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is tried is Linux's")

REFUSED_BY_THE_FILTER = (
    "socket",
    "unix socket",
    "connect",
    "read a file",
    "list a folder",
    "read own memory",
    "write a file",
    "fork",
    "execute",
    "signal the parent",
    "signal everybody",
    "trace the parent",
    "read the parent",
    "writable code",
    "be dumpable",
    "new users",
    "become root",
    "raise a limit",
)
LEFT = ("own memory", "randomness", "thread")


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    """Something that listens, to be reached where the network is not empty."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield str(listening.getsockname()[1])


@pytest.mark.slow
def test_unconfined_nearly_all_of_it_works(port: str) -> None:
    """What the other tests see refused is tried for real."""
    found = probe("free", port)
    for name in ("socket", "unix socket", "connect", "read a file", "read own memory", "write a file", "fork"):
        assert found[name] == "done", name
    for name in ("execute", "signal the parent", "writable code", "be dumpable", "raise a limit", *LEFT):
        assert found[name] == "done", name


@pytest.mark.parametrize("mode", ["enclave", "compiler"])
def test_inside_the_process_all_of_it_is_refused(port: str, mode: str) -> None:
    found = probe(mode, port)
    assert "seccomp" in found["words"].split()
    assert {name: found[name] for name in REFUSED_BY_THE_FILTER} == dict.fromkeys(REFUSED_BY_THE_FILTER, "EPERM")
    assert {name: found[name] for name in LEFT} == dict.fromkeys(LEFT, "done")


@pytest.mark.slow
def test_the_enclave_still_compiles_through_its_server(port: str) -> None:
    assert probe("enclave", port)["compile"] == "done"


@pytest.mark.slow
def test_without_the_filter_there_is_still_no_file_and_no_network(port: str) -> None:
    """Each layer by itself: the words are claims of their own, and each must hold where another is missing."""
    found = probe("isolated", port)
    words = found["words"].split()
    assert "seccomp" not in words
    if "empty-file-system" not in words or "network-namespace" not in words:
        pytest.skip("this system grants no namespaces")
    assert found["read a file"] in ("ENOENT", "EACCES")
    assert found["read own memory"] in ("ENOENT", "EACCES")
    assert found["write a file"] in ("ENOENT", "EROFS", "EACCES")
    assert found["connect"] in ("ENETUNREACH", "EACCES")
    assert found["become root"] == "EPERM"


@pytest.mark.slow
def test_the_agents_own_user_reads_nothing_of_it() -> None:
    """As that user: the same attacks find a secret in a process that is not confined, and nothing in the enclave."""
    found = spy()
    assert found["user"] != "0"
    tried = ("memory", "process_vm_readv", "ptrace", "descriptors", "environment")
    assert {name: found[f"open {name}"] for name in tried} == dict.fromkeys(tried, "found")
    assert {name: found[f"enclave {name}"] for name in tried} == dict.fromkeys(tried, "refused")
    assert found["enclave serves"] == "yes"


@pytest.mark.slow
@pytest.mark.parametrize("signal", ["SIGSEGV", "SIGABRT"])
def test_a_crash_leaves_no_core(signal: str) -> None:
    found = spy(signal)
    assert found["ended by"] == signal
    assert found["core"] == "none"


@pytest.mark.slow
def test_a_debugger_dumps_nothing_of_it() -> None:
    found = spy("gcore")
    if found["gcore"] == "absent":
        pytest.skip("gcore is not installed")
    assert found["gcore"] == "open: dumped, enclave: refused"
