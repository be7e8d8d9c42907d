"""The enclave's process: what it gives up, how its end is noticed, and that it never outlives its host."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_agent.enclave.configuration import EnclaveConfiguration
from edge_agent.enclave_client import EnclaveCrashedError
from edge_agent.host import EnclaveProcess
from edge_agent.host import command as real
from protocol.errors import ConfigurationError, EnclaveError
from protocol.party import Delivery, Noted, Publication
from tests.support.scripted_enclave import COMMAND, CONFIGURATION, MAIN, ROOT, SECRET

NOW = 1_800_000_000.0
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="prctl and /proc are Linux's")


@pytest.fixture(scope="module")
def process() -> Iterator[EnclaveProcess]:
    """One process for all tests; those that end it start it again."""
    with EnclaveProcess(CONFIGURATION, COMMAND) as found:
        yield found


@pytest.fixture
def running(process: EnclaveProcess) -> EnclaveProcess:
    if process.pid is None or not alive(process.pid):
        process.start()
    return process


def say(process: EnclaveProcess, payload: bytes) -> tuple[object, ...]:
    return tuple(process.client.receive(Delivery("t", payload), NOW))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.slow
@LINUX
def test_the_child_gives_up_what_it_does_not_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALEDGE_PASSWORD", SECRET)
    leaky_launcher = ("/bin/sh", "-c", 'exec 3</dev/null 9</dev/null; exec "$@"', "sh")
    with ExitStack() as opened:
        # The lowest numbers are taken, so that the boundary's is none of the launcher's.
        for _ in range(10):
            opened.enter_context(Path(os.devnull).open())
        process = opened.enter_context(EnclaveProcess(CONFIGURATION, (*leaky_launcher, *COMMAND)))
        (report,) = say(process, b"report")
        assert {"no-core-dumps", "no-new-privileges", "not-dumpable", "seccomp"} <= set(process.client.confinement)
        status = Path(f"/proc/{process.pid}/status").read_text().split("\n")
        core = next(line for line in Path(f"/proc/{process.pid}/limits").read_text().split("\n") if "core file" in line)
    assert isinstance(report, Noted)
    assert {"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t" + 16 * "0"} <= set(status)
    assert core.split()[4:6] == ["0", "0"]
    assert SECRET not in str(report.detail["environment"])
    assert "SEALEDGE_PASSWORD" not in str(report.detail["environment"])
    # The other is the compile server's: the first that was free when it was started.
    assert str(report.detail["descriptors"]).split() == ["4", report.detail["arguments"]]


def test_a_killed_enclave_is_noticed_and_its_successor_serves(running: EnclaveProcess) -> None:
    before = running.pid
    with pytest.raises(EnclaveCrashedError, match="signal 9"):
        say(running, b"die")
    with pytest.raises(EnclaveCrashedError):
        say(running, b"hello")
    running.start()
    assert running.pid != before
    assert say(running, b"hello") == (Publication("echo", b"hello"),)


@pytest.mark.slow
def test_an_enclave_killed_between_two_calls_is_noticed_at_the_next(running: EnclaveProcess) -> None:
    pid = running.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EnclaveCrashedError, match="signal 9"):
        say(running, b"hello")


@pytest.mark.slow
def test_a_fault_inside_ends_the_process_and_quotes_nothing(
    running: EnclaveProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(EnclaveCrashedError, match=r"ValueError at .*exit status 70") as crashed:
        say(running, b"raise")
    assert SECRET not in str(crashed.value) + "".join(capfd.readouterr())


@pytest.mark.slow
def test_an_enclave_that_hangs_is_ended(running: EnclaveProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "answer_seconds", 0.2)
    running.start()
    pid = running.pid
    assert pid is not None
    with pytest.raises(EnclaveCrashedError, match=r"does not answer.*signal 9"):
        say(running, b"hang")
    assert not alive(pid)


def test_signals_to_the_group_do_not_end_the_enclave(running: EnclaveProcess) -> None:
    pid = running.pid
    assert pid is not None
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    assert say(running, b"hello") == (Publication("echo", b"hello"),)


@pytest.mark.slow
def test_a_new_start_ends_the_process_before(running: EnclaveProcess) -> None:
    before = running.pid
    assert before is not None
    running.start()
    assert not alive(before)


@pytest.mark.slow
@LINUX
def test_the_enclave_ends_with_its_host(tmp_path: Path) -> None:
    """The host is killed while its enclave computes: closing the socket alone would not end that."""
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.support.scripted_enclave import COMMAND, CONFIGURATION\n"
        "from edge_agent.host import EnclaveProcess\n"
        "from protocol.party import Delivery\n"
        "process = EnclaveProcess(CONFIGURATION, COMMAND)\n"
        "client = process.start()\n"
        "print(process.pid, flush=True)\n"
        "client.receive(Delivery('t', b'hang'), 1.0)\n"
    )
    host = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=tmp_path)
    with host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        assert alive(pid)
        host.kill()
    assert eventually(lambda: not alive(pid))


@pytest.mark.slow
def test_no_process_is_left_after_the_context() -> None:
    with EnclaveProcess(CONFIGURATION, COMMAND) as process:
        pid = process.pid
        assert pid is not None
    assert not alive(pid)
    assert process.pid is None
    with pytest.raises(EnclaveError, match="no enclave runs"):
        _ = process.client


def test_a_command_that_does_not_exist_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="no-such-launcher: cannot be started"):
        EnclaveProcess(CONFIGURATION, ("no-such-launcher",)).start()


def test_a_command_that_ends_at_once_is_a_crash() -> None:
    process = EnclaveProcess(CONFIGURATION, (sys.executable, "-I", "-c", "import sys; sys.exit(3)"))
    with pytest.raises(EnclaveCrashedError, match="exit status 3"):
        process.start()
    assert process.pid is None


@pytest.mark.slow
def test_a_descriptor_that_is_none_is_a_misuse() -> None:
    command = [sys.executable, "-I", "-c", MAIN, str(ROOT), "not-a-number"]
    assert subprocess.run(command, check=False).returncode == 64


@pytest.mark.slow
def test_the_real_enclave_refuses_a_configuration_that_nobody_can_use() -> None:
    """`CONFIGURATION` names an authority key that is none: the enclave says so, and its process ends."""
    process = EnclaveProcess(CONFIGURATION)
    with pytest.raises(EnclaveError) as refused:
        process.start()
    assert not isinstance(refused.value, EnclaveCrashedError)
    assert process.pid is None


@pytest.mark.slow
def test_the_real_enclave_runs_no_cached_bytecode_and_nothing_from_the_working_directory() -> None:
    assert {"-I", "-S", "pycache_prefix=/dev/null"} <= set(real())
    python = real()[: real().index(str(ROOT / "edge_agent" / "enclave" / "start.py"))]
    folders = real()[len(python) + 1 :]
    program = "import sys; sys.path += sys.argv[1:]; import protocol.cbor; print(protocol.cbor.__cached__, sys.path)"
    command = [*python, "-c", program, *folders]
    cached, path = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout.split(" ", 1)
    assert cached.startswith("/dev/null/")
    assert "''" not in path


@pytest.mark.slow
def test_the_configuration_holds_what_is_measured_apart() -> None:
    other = EnclaveConfiguration(measured=CONFIGURATION.measured, agent="agent-2", enrolment=b"x", revocations=b"r")
    assert other.digest == CONFIGURATION.digest
    measured = CONFIGURATION.measured.model_copy(update={"models": ("scan", "other")})
    assert EnclaveConfiguration(measured=measured, agent="agent-1", enrolment=b"e").digest != CONFIGURATION.digest


@pytest.mark.slow
def test_one_that_was_begun_is_the_one_that_is_started_or_is_ended() -> None:
    process = EnclaveProcess(CONFIGURATION, COMMAND)
    process.begin()
    begun = process.pid
    process.start()
    assert process.pid == begun
    process.start()
    assert process.pid != begun
    process.begin()
    last = process.pid
    with pytest.raises(EnclaveError, match="no enclave runs"):
        _ = process.client
    process.stop()
    assert begun is not None
    assert last is not None
    assert not alive(begun)
    assert not alive(last)
