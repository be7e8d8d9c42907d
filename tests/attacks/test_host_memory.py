"""The host's memory while it works: no reading, no result, no session's secret, no model's key (P7).

The host is a real agent in a process of its own; its enclave is its child. Everything else is in this process, which
therefore knows every secret that the host must not.
"""

import os
import sys
import threading
from pathlib import Path

import pytest

from edge_agent.enclave.configuration import EnclaveConfiguration, Measured
from schemas.model import ModuleLimits
from sealedge.client.events import Answered
from tests.support.host_process import HostProcess, chip_key, found_in_memory
from tests.support.wat_modules import ECHO, performing
from tests.support.world import MODEL, START, World

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
AGENT = "agent-1"
READINGS = [f"reading {number} of a heart: {number * 7919:08d} beats".encode() for number in range(6)]
SPINNING = """
  (local.set 3 (i32.const 3794967296))
  (loop $again (local.set 3 (i32.add (local.get 3) (i32.const 1))) (br_if $again (local.get 3)))
"""
"""Some tenths of a second, so that a request can be looked at while it is computed."""


class Known(World):
    """A world that remembers every 32 random bytes that were drawn for its parties: keys and secrets, and nonces."""

    def __post_init__(self) -> None:
        super().__post_init__()
        draw, self.drawn = self.randomness, set[bytes]()

        def remembering(n: int) -> bytes:
            found = draw(n)
            if n == 32:
                self.drawn.add(found)
            return found

        self.randomness = remembering

    def secrets(self) -> dict[str, bytes]:
        """What was drawn and never sent in the clear, and the readings: each of at least 32 bytes."""
        sent = b"".join(each.payload for each in self.published)
        kept = {each.hex(): each for each in self.drawn if each not in sent}
        return kept | {each.decode(): each for each in READINGS}


@pytest.fixture
def world() -> Known:
    found = Known()
    limits = ModuleLimits(memory_bytes=2**20, milliseconds=8000, output_bytes=4096)
    found.package(performing(SPINNING + ECHO.replace("local.get 3", "i32.const 4096")), limits=limits)
    found.start_verifier()
    found.start_publisher()
    return found


def host_of(world: World, folder: Path) -> HostProcess:
    # Of the host itself, which signs for the simulated TEE: not among what it must not know.
    chip = world.chips[AGENT] = chip_key()
    configuration = EnclaveConfiguration(
        measured=Measured(fleet=world.fleet, authority=world.authority.key.public.to_cose_key(), models=(MODEL,)),
        agent=AGENT,
        enrolment=world.authority.enrol(AGENT, (chip.public.thumbprint,), now=START, randomness=world.randomness),
        revocations=world.revocations,
    )
    return HostProcess(configuration, folder)


@pytest.mark.slow
def test_the_hosts_memory_holds_no_plaintext_and_no_key(world: Known, tmp_path: Path) -> None:
    host = host_of(world, tmp_path)
    try:
        world.broker.start(host)
        world.settle()
        sensor = world.start_sensor()
        world.settle()
        during: list[set[str]] = []
        looking = threading.Timer(0.2, lambda: during.append(found_in_memory(host.pid, world.secrets())))
        looking.start()
        for reading in READINGS:
            world.infer(sensor, reading)
        world.broker.run_until(lambda: len(world.events(Answered)) == len(READINGS))
        looking.join()
        assert {each.output for each in world.events(Answered)} == set(READINGS)
        assert len(world.secrets()) > len(READINGS) + 4
        assert during == [set()]
        assert found_in_memory(host.pid, world.secrets()) == set()
        # The search finds what is there: in the host what it forwards, in the enclave, where root may look, the rest.
        forwarded = world.published[-1].payload[-64:]
        assert found_in_memory(host.pid, {"forwarded": forwarded}) == {"forwarded"}
        if os.geteuid() == 0:
            assert set(map(bytes.decode, READINGS)) & found_in_memory(host.enclave_pid, world.secrets())
    finally:
        host.close()
