"""An agent's host as a process of its own, driven over pipes, so that its memory can be searched.

It is an agent with its enclave as a child, as in production; what stands in for the link are pickled calls. The
test's own process holds the sensor, and so the plaintext: that is why the host may not be in it.
"""

import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, BinaryIO

from edge_agent.agent import Agent
from edge_agent.attester.simulated import SimulatedAttester
from edge_agent.chunks import ChunkCache
from edge_agent.enclave.configuration import EnclaveConfiguration
from edge_agent.fetching import ChunkFetcher
from edge_agent.host import EnclaveProcess
from protocol.keys import SigningKey
from protocol.messages import decode_message_untrusted, encode_message
from protocol.party import Delivery, Event, Publication
from schemas.topics import FleetTopics
from tests.support.world import MEASUREMENT

AGENT_SEED = 5926
ROOT = Path(__file__).parent.parent.parent
PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from tests.support.host_process import main; main(sys.argv[2])"


def chip_key() -> SigningKey:
    """Of the host's simulated TEE, the same in both processes: no private key is ever pickled."""
    return SigningKey.generate(Random(AGENT_SEED).randbytes)


class HostProcess:
    """The outside: a party whose methods run in the other process."""

    def __init__(self, configuration: EnclaveConfiguration, folder: Path) -> None:
        command = [sys.executable, "-I", "-c", PROGRAM, str(ROOT), str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.deadline: float | None = None
        self.client_id = ""
        self.enclave_pid = self._call("start", encode_message(configuration))

    @property
    def pid(self) -> int:
        return self._process.pid

    def will(self, now: float) -> Publication | None:
        found: Publication | None = self._call("will", now)
        return found

    def connected(self, now: float) -> Sequence[Event]:
        return self._events("connected", now)

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        return self._events("receive", delivery, now)

    def expire(self, now: float) -> Sequence[Event]:
        return self._events("expire", now)

    def leaving(self, now: float) -> Sequence[Event]:
        return self._events("leaving", now)

    def close(self) -> None:
        self._process.communicate()

    def _events(self, *question: Any) -> Sequence[Event]:
        found: Sequence[Event] = self._call(*question)
        return found

    def _call(self, *question: Any) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        say(stdin, question)
        answer, self.deadline, self.client_id = pickle.load(stdout)
        return answer


def say(pipe: BinaryIO | Any, value: object) -> None:
    pickle.dump(value, pipe)
    pipe.flush()


def main(folder: str) -> None:
    """The inside: one pickled answer a question, until the pipe closes."""
    _, document = pickle.load(sys.stdin.buffer)
    configuration = decode_message_untrusted(EnclaveConfiguration, document)
    with EnclaveProcess(configuration) as process:
        fetcher = ChunkFetcher(FleetTopics(configuration.measured.fleet), ChunkCache(Path(folder)))
        agent = Agent(process.start, SimulatedAttester(chip_key(), MEASUREMENT), fetcher)
        say(sys.stdout.buffer, (process.pid, agent.deadline, agent.client_id))
        while True:
            try:
                name, *arguments = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            answer = getattr(agent, name)(*arguments)
            say(sys.stdout.buffer, (answer, agent.deadline, agent.client_id))


def found_in_memory(pid: int, secrets: dict[str, bytes]) -> set[str]:
    """Which of the secrets stand in what a process has mapped. Raises `PermissionError`."""
    found: set[str] = set()
    overlap = max(map(len, secrets.values()))
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            span, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            start, end = (int(each, 16) for each in span.split("-"))
            for at in range(start, end, 2**22):
                piece = _read(memory, at, min(2**22 + overlap, end - at))
                found |= {name for name, secret in secrets.items() if secret in piece}
    return found


def _read(memory: Any, at: int, size: int) -> bytes:
    try:
        memory.seek(at)
        data: bytes = memory.read(size)
    except OSError:
        return b""
    return data
