"""The boundary against a hostile host and a hostile enclave: nothing malformed crosses, in either direction."""

import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.enclave import boundary
from edge_agent.enclave.boundary import EnclaveServer
from edge_agent.enclave.exchange import (
    Call,
    Outcome,
    decode_answer_untrusted,
    decode_call_untrusted,
    encode_call,
    encode_done,
)
from edge_agent.enclave.frames import FrameSocket
from edge_agent.enclave_client import EnclaveClient, EnclaveCrashedError
from protocol.cbor import encode
from protocol.errors import EnclaveError, MalformedError
from protocol.party import Noted
from schemas.reason import Reason
from tests.support.inside import NOW, Inside
from tests.support.scripted_enclave import CONFIGURATION, ScriptedEnclave

CBOR = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=20)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


def test_a_malformed_call_is_refused_and_the_next_one_served(ends) -> None:
    frames, peer = ends
    host = FrameSocket(peer)
    server = threading.Thread(target=EnclaveServer(ScriptedEnclave(), frames).serve)
    server.start()
    for garbage in (b"", b"\xff", encode([Call.EXPIRE]), encode([99]), encode([Call.EXPIRE, "now"]), encode([True])):
        host.send(garbage)
        answer = decode_answer_untrusted(host.receive_untrusted() or b"")
        assert (answer.outcome, answer.reason) == (Outcome.REFUSED, Reason.MALFORMED)
    host.send(encode_call(Call.EXPIRE, NOW))
    assert decode_answer_untrusted(host.receive_untrusted() or b"").events == (Noted("expired"),)
    peer.shutdown(socket.SHUT_WR)
    server.join(5)


def test_chunks_beyond_any_model_are_refused_and_forgotten(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boundary, "MAX_STAGED_BYTES", 1000)
    with pytest.raises(EnclaveError) as refused:
        inside.client.chunks_collected("scan", (bytes(600), bytes(600)), NOW)
    assert refused.value.reason is Reason.OVERSIZED
    inside.client.chunks_collected("scan", (b"a",), NOW)
    assert inside.enclave.calls[-1] == ("chunks_collected", "scan", (b"a",), NOW)


def test_more_chunks_than_any_manifest_names_are_refused(inside: Inside) -> None:
    with pytest.raises(EnclaveError) as refused:
        inside.client.chunks_collected("scan", (b"",) * (boundary.MAX_STAGED + 1), NOW)
    assert refused.value.reason is Reason.OVERSIZED


@given(st.binary(max_size=200) | CBOR.map(encode) | st.lists(CBOR, max_size=8).map(lambda rest: encode([3, *rest])))
def test_whatever_a_host_sends_is_a_call_or_malformed(data: bytes) -> None:
    try:
        call, arguments = decode_call_untrusted(data)
    except MalformedError:
        return
    assert encode_call(call, *arguments) == data


@given(
    st.binary(max_size=200)
    | CBOR.map(encode)
    | st.lists(CBOR, max_size=4).map(lambda rest: encode([0, *rest]))
    | st.lists(
        st.integers(-1, 6).flatmap(lambda kind: st.lists(CBOR, max_size=8).map(lambda rest: [kind, *rest])), max_size=3
    ).map(lambda events: encode([0, 1.0, events]))
)
def test_whatever_an_enclave_sends_is_an_answer_or_malformed(data: bytes) -> None:
    try:
        answer = decode_answer_untrusted(data)
    except MalformedError:
        return
    if answer.outcome is Outcome.DONE:
        assert encode_done(answer.deadline, answer.events) == data


@pytest.mark.parametrize(
    "event",
    [
        [0, "t", b"", 3, False, None, None, None, None],
        [0, "t", b"", 1, False, -1, None, None, None],
        [0, "t", b"", 1, False, 2**32, None, None, None],
        [0, "t", b"", True, False, None, None, None, None],
        [0, "t", b"", 1, False, None, None, None],
        [2, "seen", {1: "x"}],
        [2, "seen", {"x": b"bytes"}],
        [4, "scan", ["not bytes"]],
        [5],
        [-1, "t"],
        [],
        7,
    ],
)
def test_an_event_with_a_wrong_field_is_malformed(event: object) -> None:
    with pytest.raises(MalformedError):
        decode_answer_untrusted(encode([0, None, [event]]))


@pytest.mark.parametrize(
    "answer", [[0, float("nan"), []], [0, float("inf"), []], [1, None, "no-such-reason", ""], [3], []]
)
def test_an_answer_that_cannot_be_is_malformed(answer: list[object]) -> None:
    with pytest.raises(MalformedError):
        decode_answer_untrusted(encode(answer))


def test_an_enclave_that_answers_nonsense_counts_as_crashed(ends) -> None:
    frames, peer = ends
    peer.sendall(struct.pack(">I", 2) + b"\xff\xff")
    with pytest.raises(EnclaveCrashedError, match="crashed: CBOR"):
        EnclaveClient(frames, CONFIGURATION)


def test_an_enclave_that_is_not_ready_counts_as_crashed(ends) -> None:
    frames, peer = ends
    FrameSocket(peer).send(encode_done(None, [Noted("enclave-ready", {"client": None})]))
    with pytest.raises(EnclaveCrashedError, match="ready"):
        EnclaveClient(frames, CONFIGURATION)


@pytest.mark.parametrize("bad", [[["t", b""]], [["t", b"", None, None, 1]], [b"t"], [[1, b"", None, None, True]], 5])
def test_a_malformed_delivery_among_others_is_refused(bad: object) -> None:
    whole = [["t", b"", None, None, True]]
    decode_call_untrusted(encode([Call.RECEIVE, whole, NOW]))
    with pytest.raises(MalformedError):
        decode_call_untrusted(encode([Call.RECEIVE, [*whole, *bad] if isinstance(bad, list) else bad, NOW]))
