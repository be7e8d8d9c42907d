"""Sealed models over the boundary: larger than a frame, whole on the other side, and a liar of either side ends."""

import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from edge_agent import enclave_client
from edge_agent.enclave import boundary
from edge_agent.enclave.boundary import EnclaveServer
from edge_agent.enclave.exchange import Call, decode_answer_untrusted, decode_call_untrusted, encode_call, encode_done
from edge_agent.enclave.frames import FrameSocket
from edge_agent.enclave.needs import MAX_SEALED, ModelSealed, SealedModelEnded, SealedModelNeeded
from edge_agent.enclave_client import EnclaveClient, EnclaveCrashedError
from protocol.errors import EnclaveError, MalformedError
from protocol.party import Delivery, Event, Noted
from schemas.reason import Reason
from tests.support.inside import NOW, Inside
from tests.support.scripted_enclave import CONFIGURATION, ScriptedEnclave

PART = 1000


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inside]:
    for module, name in ((boundary, "PART_BYTES"), (enclave_client, "PART_BYTES"), (enclave_client, "STAGE_BYTES")):
        monkeypatch.setattr(module, name, PART)
    found = Inside(ScriptedEnclave())
    yield found
    found.close()


def seal(size: int) -> Delivery:
    return Delivery("t", b"seal:%d" % size)


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 2 * PART, 7 * PART + 3])
def test_code_of_any_size_arrives_whole(inside: Inside, size: int) -> None:
    for enclave in (ScriptedEnclave(), inside.client):
        (sealed,) = enclave.receive(seal(size), NOW)
        code = bytes(number % 251 for number in range(size))
        assert sealed == ModelSealed("scan", b"lease", code, size)
    assert inside.client.receive(Delivery("t", b"hello"), NOW)


@pytest.mark.parametrize("size", [0, 1, PART, 3 * PART + 1])
def test_what_was_kept_goes_back_whole(inside: Inside, size: int) -> None:
    code = bytes(number % 251 for number in range(size))
    assert list(inside.client.sealed_model_read("scan", b"lease", code, NOW)) == [
        Noted("read", {"model": "scan", "lease": 5, "code": size})
    ]
    assert inside.enclave.calls[-1] == ("sealed_model_read", "scan", b"lease", code, NOW)


def test_the_other_two_wishes_cross(inside: Inside) -> None:
    assert list(inside.client.receive(Delivery("t", b"read"), NOW)) == [SealedModelNeeded("scan")]
    assert list(inside.client.receive(Delivery("t", b"end"), NOW)) == [SealedModelEnded("scan")]


# A hostile host


@pytest.fixture
def host() -> Iterator[FrameSocket]:
    ours, theirs = socket.socketpair()
    server = threading.Thread(target=EnclaveServer(ScriptedEnclave(), FrameSocket(theirs)).serve)
    server.start()
    with theirs:
        yield FrameSocket(ours)
        ours.close()
        server.join(5)
    assert not server.is_alive()


@pytest.mark.parametrize("offset", [0, 1, 2**40, 2**64 - 1])
def test_more_of_nothing_is_refused(host: FrameSocket, offset: int) -> None:
    host.send(encode_call(Call.MORE, offset))
    assert decode_answer_untrusted(host.receive_untrusted() or b"").reason is Reason.UNEXPECTED


@pytest.mark.parametrize("arguments", [(-1,), (1.5,), (True,), (), (0, 0), ("0",)])
def test_an_offset_that_cannot_be_is_malformed(arguments: tuple[object, ...]) -> None:
    with pytest.raises(MalformedError):
        decode_call_untrusted(encode_call(Call.MORE, *arguments))


@pytest.mark.parametrize("arguments", [("scan", b"l"), ("scan", b"l", -1.0), (b"scan", b"l", 1.0), ("scan", "l", 1.0)])
def test_a_malformed_sealed_model_is_refused(arguments: tuple[object, ...]) -> None:
    with pytest.raises(MalformedError):
        decode_call_untrusted(encode_call(Call.SEALED_MODEL_READ, *arguments))


# An enclave that was taken over


def against(*answers: Sequence[Event]) -> EnclaveClient:
    """A client whose enclave gives these answers, whatever it is asked, and then closes."""
    ours, theirs = socket.socketpair()
    frames = FrameSocket(theirs)

    def answer() -> None:
        with theirs:
            for events in ([Noted("ready", {"client": "c", "confinement": ""})], *answers):
                frames.receive_untrusted()
                frames.send(encode_done(None, events))

    threading.Thread(target=answer, daemon=True).start()
    return EnclaveClient(FrameSocket(ours), CONFIGURATION)


FIRST = ModelSealed("scan", b"l", b"first", 2**23 + 10)


@pytest.mark.parametrize(
    "answers",
    [
        [[ModelSealed("scan", b"l", b"code", MAX_SEALED + 1)]],
        [[ModelSealed("scan", b"l", b"code", 3)]],
        [[ModelSealed("scan", b"l", b"code", -1)]],
        [[FIRST], []],
        [[FIRST], [Noted("more")]],
        [[FIRST], [ModelSealed("scan", b"l", b"", 2**23 + 10)]],
        [[FIRST], [ModelSealed("scan", b"l", b"few", 2**23 + 10)]],
        [[FIRST]],
    ],
)
def test_an_enclave_that_lies_about_what_it_sealed_ends(answers: Sequence[Sequence[Event]]) -> None:
    client = against(*answers)
    with pytest.raises(EnclaveCrashedError):
        client.receive(Delivery("t", b"x"), NOW)
    client.close()


def test_a_refusal_is_no_crash(inside: Inside) -> None:
    with pytest.raises(EnclaveError) as refused:
        inside.client._part(5, 5)
    assert refused.value.reason is Reason.UNEXPECTED
