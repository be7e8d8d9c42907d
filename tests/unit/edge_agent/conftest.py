"""Fixtures: a socket pair whose one end is the frames under test, and a scripted enclave behind the boundary."""

import socket
from collections.abc import Iterator

import pytest

from edge_agent.enclave.frames import FrameSocket
from protocol.party import Publication
from tests.support.inside import Inside
from tests.support.scripted_enclave import ScriptedEnclave


@pytest.fixture
def ends() -> Iterator[tuple[FrameSocket, socket.socket]]:
    """The frames under test, and the raw socket of their peer."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield FrameSocket(ours), theirs


@pytest.fixture
def inside() -> Iterator[Inside]:
    found = Inside(ScriptedEnclave(will=Publication("will", b"lost")))
    yield found
    found.close()
