"""Enclaves that are no child of their host: in place, and in a machine of its own."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.agent import Agent
from edge_agent.attester.simulated import SimulatedAttester
from edge_agent.chunks import ChunkCache
from edge_agent.enclave.configuration import EnclaveConfiguration, Measured
from edge_agent.enclave.frames import connect_vsock, listen_vsock, vsock_address, vsock_port
from edge_agent.enclave_client import EnclaveCrashedError
from edge_agent.fetching import ChunkFetcher
from edge_agent.host import EnclaveProcess
from edge_agent.placement import EnclaveInPlace, EnclaveOverVsock, EnclavePlace
from protocol.errors import TransportError
from protocol.keys import SigningKey
from protocol.party import Delivery, Publication
from schemas.model import ModuleLimits
from schemas.policy import EnclavePolicy
from sealedge.client.events import Answered
from tests.support.scripted_enclave import CONFIGURATION, ROOT
from tests.support.wat_modules import ECHO, performing
from tests.support.world import MEASUREMENT, MODEL, START, World

AGENT = "agent-1"
LIMITS = ModuleLimits(memory_bytes=2**20, milliseconds=8000, output_bytes=4096)
NOW = 1_800_000_000.0
SPIN = """
  (local.set 3 (i32.const 3294967296))
  (loop $again (local.set 3 (i32.add (local.get 3) (i32.const 1))) (br_if $again (local.get 3)))
"""
"""A thousand million rounds."""


def world(*demanded: str, module: bytes | None = None) -> World:
    found = World()
    found.package(module or performing(ECHO), limits=LIMITS)
    found.start_verifier(enclave=EnclavePolicy(confinement=demanded))
    found.start_publisher()
    return found


def configuration(found: World) -> EnclaveConfiguration:
    chip = found.chips.setdefault(AGENT, SigningKey.generate(found.randomness))
    return EnclaveConfiguration(
        measured=Measured(fleet=found.fleet, authority=found.authority.key.public.to_cose_key(), models=(MODEL,)),
        agent=AGENT,
        enrolment=found.authority.enrol(AGENT, (chip.public.thumbprint,), now=START, randomness=found.randomness),
        revocations=found.revocations,
    )


def serve(found: World, place: EnclavePlace, folder: Path) -> None:
    fetcher = ChunkFetcher(found.topics, ChunkCache(folder))
    found.broker.start(Agent(place.start, SimulatedAttester(found.chips[AGENT], MEASUREMENT), fetcher))
    found.settle()


def answers(found: World, *readings: bytes) -> list[bytes | None]:
    sensor = found.start_sensor()
    asked = [found.infer(sensor, each) for each in readings]
    found.broker.run_until(lambda: len(found.events(Answered)) >= len(asked))
    by_request = {each.request: each.output for each in found.events(Answered)}
    return [by_request[each] for each in asked]


def test_an_enclave_in_place_serves_and_says_where_it_is(tmp_path: Path) -> None:
    found = world("in-place")
    place = EnclaveInPlace(configuration(found))
    serve(found, place, tmp_path)
    assert answers(found, b"in place") == [b"in place"]
    place.stop()
    assert not [each for each in threading.enumerate() if each.name == "enclave"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "demanded"), [(EnclaveInPlace, "seccomp"), (EnclaveProcess, "in-place"), (EnclaveProcess, "no-such")]
)
def test_a_policy_that_demands_another_confinement_attests_nobody(
    tmp_path: Path, place: type[EnclaveInPlace], demanded: str
) -> None:
    found = world(demanded)
    started = place(configuration(found))
    serve(found, started, tmp_path)
    started.stop()
    assert not found.noted("attested")


@pytest.mark.slow
def test_what_the_process_gave_up_satisfies_a_policy(tmp_path: Path) -> None:
    found = world("no-core-dumps", "no-new-privileges", "seccomp")
    place = EnclaveProcess(configuration(found))
    serve(found, place, tmp_path)
    assert answers(found, b"confined") == [b"confined"]
    place.stop()


def test_a_fault_in_place_is_a_crash_and_a_new_one_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.scripted_enclave import ScriptedEnclave  # noqa: PLC0415 - beside what it replaces

    monkeypatch.setattr("edge_agent.enclave.assembly.assemble", lambda *_: ScriptedEnclave())
    place = EnclaveInPlace(CONFIGURATION)
    client = place.start()
    assert client.confinement == ("in-place",)
    with pytest.raises(EnclaveCrashedError, match="ValueError at"):
        client.receive(Delivery("t", b"raise"), NOW)
    assert place.start().receive(Delivery("t", b"hello"), NOW) == (Publication("echo", b"hello"),)
    place.stop()


# A machine of its own


LISTENING = (
    "import socket, sys; sys.path.insert(0, sys.argv[1])\n"
    "from tests.support.scripted_enclave import ScriptedEnclave\n"
    "from edge_agent.enclave import serving\n"
    "from edge_agent.enclave.compiling.server import start_compile_server\n"
    "serving.assemble = lambda *_: ScriptedEnclave()\n"
    "listener = socket.create_server(('127.0.0.1', 0))\n"
    "print(listener.getsockname()[1], flush=True)\n"
    "sys.exit(serving.serve_all(listener, start_compile_server() if sys.platform == 'linux' else None))\n"
)


@pytest.fixture
def listening() -> Iterator[int]:
    """An enclave that listens, confined; on TCP, since few machines can reach themselves by vsock."""
    command = [sys.executable, "-I", "-c", LISTENING, str(ROOT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


@pytest.mark.slow
def test_one_host_after_the_other_has_an_enclave_of_its_own(listening: int) -> None:
    place = EnclaveOverVsock(CONFIGURATION, lambda seconds: socket.create_connection(("127.0.0.1", listening), seconds))
    for _ in range(3):
        client = place.start()
        assert client.receive(Delivery("t", b"hello"), NOW) == (Publication("echo", b"hello"),)
    if sys.platform == "linux":
        assert {"seccomp", "separate-compiler"} <= set(client.confinement)
    place.stop()


def test_vsock_itself_where_the_machine_can_reach_itself() -> None:
    try:
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as probe:
            probe.bind((1, 40_961))
    except (OSError, AttributeError):
        pytest.skip("no vsock loopback here")
    with listen_vsock(40_961) as listener, connect_vsock(1, 40_961, 5.0) as ours:
        theirs, _ = listener.accept()
        ours.sendall(b"through vsock")
        assert theirs.recv(64) == b"through vsock"
        theirs.close()


def test_a_machine_that_is_not_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []

    class Unreachable:
        settimeout = done.append

        def connect(self, address: object) -> None:
            done.append(address)
            raise OSError(errno.ENODEV, "no such device")

        def close(self) -> None:
            done.append("closed")

    monkeypatch.setattr("edge_agent.enclave.frames.socket.socket", lambda *_: Unreachable())
    with pytest.raises(TransportError, match="vsock:16:5000 cannot be reached"):
        EnclaveOverVsock.at(CONFIGURATION, 16, 5000).start()
    assert done[-2:] == [(16, 5000), "closed"]


def test_addresses() -> None:
    assert vsock_address("vsock:16:5000") == (16, 5000)
    assert vsock_port("vsock:5000") == 5000
    for wrong in (
        "vsock:5000",
        "vsock::1",
        "vsock:1:",
        "vsock:1:4294967296",
        "vsock:-1:5",
        "tcp:1:2",
        "vsock:1:2:3",
        "",
    ):
        assert vsock_address(wrong) is None
    for wrong in ("vsock:", "vsock:x", "vsock:0", "5000", "vsock:4294967296", "vsock:²"):
        assert vsock_port(wrong) is None


# In the middle of a request


@pytest.mark.slow
def test_an_enclave_killed_while_it_computes_leaves_no_request_in_silence(tmp_path: Path) -> None:
    """The first attempt dies with the enclave; its successor answers the same request, sent again by the sensor."""
    found = world(module=performing(SPIN + ECHO.replace("local.get 3", "i32.const 4096")))
    place = EnclaveProcess(configuration(found))
    serve(found, place, tmp_path)
    first = place.pid
    assert first is not None
    killer = threading.Timer(0.2, os.kill, (first, signal.SIGKILL))
    sensor = found.start_sensor()
    found.settle()
    killer.start()
    request = found.infer(sensor, b"reading")
    found.broker.run_until(lambda: bool(found.events(Answered)))
    killer.join()
    assert place.pid != first
    assert [(each.request, each.output) for each in found.events(Answered)] == [(request, b"reading")]
    assert [each["why"] for each in found.noted("enclave-crashed") if "signal 9" in str(each["why"])]
    place.stop()
