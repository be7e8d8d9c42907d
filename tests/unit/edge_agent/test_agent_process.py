"""A fleet whose enclave is what runs in production: a confined process, wasmtime inside, behind the boundary."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.agent import Agent
from edge_agent.attester.simulated import SimulatedAttester
from edge_agent.chunks import ChunkCache
from edge_agent.enclave.configuration import EnclaveConfiguration, Measured
from edge_agent.fetching import ChunkFetcher
from edge_agent.host import EnclaveProcess
from protocol.keys import SigningKey
from sealedge.client.events import Answered
from tests.support.wat_modules import ECHO, performing
from tests.support.world import MEASUREMENT, MODEL, START, World

AGENT = "agent-1"


@pytest.fixture
def world() -> World:
    found = World()
    found.package(performing(ECHO))
    found.start_verifier()
    found.start_publisher()
    return found


@pytest.fixture
def process(world: World) -> Iterator[EnclaveProcess]:
    chip = world.chips.setdefault(AGENT, SigningKey.generate(world.randomness))
    configuration = EnclaveConfiguration(
        measured=Measured(fleet=world.fleet, authority=world.authority.key.public.to_cose_key(), models=(MODEL,)),
        agent=AGENT,
        enrolment=world.authority.enrol(AGENT, (chip.public.thumbprint,), now=START, randomness=world.randomness),
        revocations=world.revocations,
    )
    # The production command without its ban on cached bytecode, which takes most of a start.
    found = EnclaveProcess(configuration, (sys.executable, "-I", "-m", "edge_agent.enclave"))
    yield found
    found.stop()


def test_a_killed_enclave_attests_anew_takes_its_model_from_the_cache_and_serves(
    world: World, process: EnclaveProcess, tmp_path: Path
) -> None:
    fetcher = ChunkFetcher(world.topics, ChunkCache(tmp_path))
    agent = Agent(process.start, SimulatedAttester(world.chips[AGENT], MEASUREMENT), fetcher)
    world.broker.start(agent)
    world.settle()
    sensor = world.start_sensor()
    first = world.infer(sensor, b"reading one")
    world.settle()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    second = world.infer(sensor, b"reading two")
    world.broker.run_until(lambda: len(world.events(Answered)) == 2)
    answers = {each.request: each.output for each in world.events(Answered)}
    assert answers == {first: b"reading one", second: b"reading two"}
    assert len(world.noted("enclave-crashed")) == 1
    assert [each["missing"] for each in world.noted("chunks-needed")] == [1, 0]
    assert len(world.noted("model-loaded")) == 2
