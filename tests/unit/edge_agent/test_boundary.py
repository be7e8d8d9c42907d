"""The boundary: every call and event crosses unchanged, and nothing malformed does, in either direction."""

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent import enclave_client
from edge_agent.enclave import boundary
from edge_agent.enclave.boundary import EnclaveServer, serve_untrusted
from edge_agent.enclave.configuration import EnclaveConfiguration
from edge_agent.enclave.exchange import (
    MAX_DELIVERIES,
    Call,
    Outcome,
    decode_answer_untrusted,
    decode_call_untrusted,
    encode_call,
    encode_done,
)
from edge_agent.enclave.frames import MAX_FRAME, FrameSocket
from edge_agent.enclave_client import EnclaveClient, EnclaveCrashedError
from protocol.cbor import encode
from protocol.errors import ConfigurationError, EnclaveError, MalformedError, ProtocolMisuseError, TransportError
from protocol.messages import encode_message
from protocol.party import Delivery, Event, Noted, Publication, Subscription
from schemas.reason import Reason
from tests.support.scripted_enclave import CONFIGURATION, ONE_OF_EACH, SECRET, ScriptedEnclave

NOW = 1_800_000_000.25
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
OPTIONAL_TEXT = st.none() | st.text(max_size=40)


def asking(payload: bytes) -> Delivery:
    return Delivery("t", payload, "reply/to", b"corr", True)


@pytest.fixture
def ends() -> Iterator[tuple[FrameSocket, socket.socket]]:
    """The frames under test, and the raw socket of their peer."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield FrameSocket(ours), theirs


class Inside:
    """A server in a thread, as a child process would be one."""

    def __init__(self, enclave: ScriptedEnclave) -> None:
        self.enclave, self.fault = enclave, None
        ours, theirs = socket.socketpair()
        self._frames = FrameSocket(theirs)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        self.client = EnclaveClient(FrameSocket(ours), CONFIGURATION)

    def _serve(self) -> None:
        try:
            serve_untrusted(self._frames, lambda _configuration: self.enclave)
        except Exception as fault:
            self.fault = fault
        finally:
            self._frames.close()

    def close(self) -> None:
        self.client.close()
        self._thread.join(5)
        assert not self._thread.is_alive()


@pytest.fixture
def inside() -> Iterator[Inside]:
    found = Inside(ScriptedEnclave(will=Publication("will", b"lost")))
    yield found
    found.close()


# Calls


def test_every_call_arrives_as_it_was_made_and_its_answer_comes_back(inside: Inside) -> None:
    direct = ScriptedEnclave(will=Publication("will", b"lost"))
    for enclave in (direct, inside.client):
        assert enclave.client_id == ScriptedEnclave.client_id
        assert enclave.will(NOW) == Publication("will", b"lost")
        assert list(enclave.connected(NOW)) == [Subscription("sealedge/v1/clinic/agent/agent-1/request")]
        assert list(enclave.receive(asking(b"all"), NOW)) == list(ONE_OF_EACH)
        assert list(enclave.receive(Delivery("t", b"due:1800000009.125"), 5)) == []
        assert enclave.deadline == 1_800_000_009.125
        assert list(enclave.expire(NOW)) == [Noted("expired")]
        assert enclave.deadline is None
        assert list(enclave.evidence_collected(b"t", "a/b", b"e", NOW)) == [Publication("evidence", b"e")]
        assert list(enclave.leaving(NOW)) == [Noted("left")]
    assert inside.enclave.calls == direct.calls


def test_an_enclave_without_a_will_has_none_outside_either() -> None:
    inside = Inside(ScriptedEnclave(will=None))
    assert inside.client.will(NOW) is None
    inside.close()


def test_chunks_go_in_batches_and_arrive_in_order(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enclave_client, "STAGE_BYTES", 3000)
    sent: list[bytes] = []
    send = FrameSocket.send
    monkeypatch.setattr(FrameSocket, "send", lambda frames, data: (sent.append(data), send(frames, data))[1])
    payloads = tuple(bytes([number]) * 1000 for number in range(14))
    inside.client.chunks_collected("scan", payloads, NOW)
    assert inside.enclave.calls[-1] == ("chunks_collected", "scan", payloads, NOW)
    assert max(map(len, sent)) < 3100
    inside.client.chunks_collected("scan", (), NOW)
    assert inside.enclave.calls[-1] == ("chunks_collected", "scan", (), NOW)


def test_a_refused_call_says_why_and_the_enclave_goes_on(inside: Inside) -> None:
    with pytest.raises(EnclaveError, match="not today") as refused:
        inside.client.receive(asking(b"refuse"), NOW)
    assert refused.value.reason is Reason.BUSY
    assert not isinstance(refused.value, EnclaveCrashedError)
    assert inside.client.receive(asking(b"hello"), NOW) == (Publication("echo", b"hello", correlation=b"corr"),)


def test_a_fault_ends_the_enclave_and_tells_the_place_but_not_the_data(inside: Inside) -> None:
    with pytest.raises(EnclaveCrashedError, match=r"ValueError at scripted_enclave.py:\d+") as crashed:
        inside.client.receive(asking(b"raise"), NOW)
    assert SECRET not in str(crashed.value)
    with pytest.raises(EnclaveCrashedError):
        inside.client.receive(asking(b"hello"), NOW)
    assert isinstance(inside.fault, ValueError)


def test_an_event_that_is_not_in_the_table_does_not_cross(inside: Inside) -> None:
    with pytest.raises(EnclaveError, match="does not cross"):
        inside.client.receive(asking(b"stray"), NOW)


def test_a_call_larger_than_a_frame_is_refused_before_it_is_sent(inside: Inside) -> None:
    with pytest.raises(EnclaveError) as refused:
        inside.client.receive(asking(bytes(MAX_FRAME)), NOW)
    assert refused.value.reason is Reason.OVERSIZED
    assert inside.client.receive(asking(b"hello"), NOW)


@pytest.mark.parametrize("now", [float("nan"), float("inf"), -1.0, 2.0**41])
def test_a_time_that_cannot_be_is_refused(inside: Inside, now: float) -> None:
    with pytest.raises(EnclaveError, match="a time that cannot be"):
        inside.client.receive(asking(b"hello"), now)
    assert [call for call in inside.enclave.calls if call[0] == "receive"] == []


# Starting


def served(first: bytes, build) -> tuple[bytes | None, BaseException | None]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        host = FrameSocket(ours)
        host.send(first)
        ours.shutdown(socket.SHUT_WR)
        try:
            serve_untrusted(FrameSocket(theirs), build)
        except Exception as fault:
            return host.receive_untrusted(), fault
        return host.receive_untrusted(), None


def test_a_malformed_configuration_is_refused_and_builds_nothing() -> None:
    built: list[EnclaveConfiguration] = []
    answer, fault = served(b"\xa1\x01\x02", built.append)
    assert isinstance(fault, MalformedError)
    assert answer is not None
    assert decode_answer_untrusted(answer).reason is Reason.MALFORMED
    assert built == []


@pytest.mark.parametrize(
    ("fault", "outcome"), [(ConfigurationError("bad"), Outcome.REFUSED), (KeyError(SECRET), Outcome.FAILED)]
)
def test_an_enclave_that_cannot_be_built_says_so(fault: Exception, outcome: Outcome) -> None:
    def build(_configuration: EnclaveConfiguration) -> ScriptedEnclave:
        raise fault

    answer, raised = served(encode_message(CONFIGURATION), build)
    assert raised is fault
    assert answer is not None
    assert decode_answer_untrusted(answer).outcome is outcome
    assert SECRET.encode() not in answer


def test_a_host_that_closes_at_once_ends_the_enclave_quietly(ends) -> None:
    frames, peer = ends
    peer.close()
    serve_untrusted(frames, lambda _configuration: pytest.fail("built without a configuration"))


# A hostile host


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


# A hostile enclave


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


@given(
    st.builds(
        Publication,
        st.text(max_size=40),
        st.binary(max_size=600),
        st.integers(0, 2),
        st.booleans(),
        st.none() | st.integers(0, 2**32 - 1),
        OPTIONAL_TEXT,
        st.none() | st.binary(max_size=64),
        OPTIONAL_TEXT,
    ),
    st.none() | st.floats(0, 2**40),
)
def test_any_publication_crosses_unchanged(publication: Publication, deadline: float | None) -> None:
    answer = decode_answer_untrusted(encode_done(deadline, [publication]))
    assert answer.events == (publication,)
    assert answer.deadline == deadline


def test_what_is_not_an_event_is_never_encoded() -> None:
    with pytest.raises(ProtocolMisuseError):
        encode_done(None, [Event()])


# Frames


def test_a_frame_arrives_whole_however_it_is_cut(ends) -> None:
    frames, peer = ends
    content = bytes(range(256)) * 1000
    data = struct.pack(">I", len(content)) + content

    def send() -> None:
        for start, end in ((0, 1), (1, 3), (3, 5), (5, 70_000), (70_000, len(data))):
            peer.sendall(data[start:end])

    sender = threading.Thread(target=send)
    sender.start()
    assert frames.receive_untrusted() == content
    sender.join()


def test_an_empty_frame_is_not_the_end(ends) -> None:
    frames, peer = ends
    FrameSocket(peer).send(b"")
    assert frames.receive_untrusted() == b""
    peer.close()
    assert frames.receive_untrusted() is None


def test_a_frame_beyond_the_limit_is_refused_before_it_is_read(ends) -> None:
    frames, peer = ends
    peer.sendall(struct.pack(">I", MAX_FRAME + 1))
    with pytest.raises(MalformedError) as refused:
        frames.receive_untrusted()
    assert refused.value.reason is Reason.OVERSIZED
    with pytest.raises(MalformedError):
        frames.send(bytes(MAX_FRAME + 1))


def test_bytes_behind_a_frame_are_refused(ends) -> None:
    frames, peer = ends
    peer.sendall(struct.pack(">I", 1) + b"ab")
    with pytest.raises(MalformedError, match="1 bytes follow"):
        frames.receive_untrusted()


@pytest.mark.parametrize("cut", [b"\0", b"\0\0\0\5", b"\0\0\0\5four"])
def test_a_peer_that_closes_within_a_frame_is_noticed(ends, cut: bytes) -> None:
    frames, peer = ends
    peer.sendall(cut)
    peer.close()
    with pytest.raises(TransportError, match="within a frame"):
        frames.receive_untrusted()


def test_waiting_ends_when_the_peer_does_not_answer_or_listen(ends) -> None:
    frames, _peer = ends
    frames.limit_waiting(0.05)
    with pytest.raises(TransportError) as silent:
        frames.receive_untrusted()
    assert silent.value.reason is Reason.TIMEOUT
    with pytest.raises(TransportError) as deaf:
        frames.send(bytes(MAX_FRAME))
    assert deaf.value.reason is Reason.TIMEOUT


# Many at once


def test_deliveries_cross_together_and_arrive_in_order(inside: Inside) -> None:
    deliveries = [Delivery("t", bytes([number]), None, None, False) for number in range(MAX_DELIVERIES)]
    assert [each.payload for each in inside.client.receive_many(deliveries, NOW)] == [
        each.payload for each in deliveries
    ]
    assert inside.enclave.calls == [("receive", each, NOW) for each in deliveries]


def test_more_deliveries_than_a_call_carries_are_refused_and_none_is_handed_in(inside: Inside) -> None:
    with pytest.raises(EnclaveError) as refused:
        inside.client.receive_many([asking(b"x")] * (MAX_DELIVERIES + 1), NOW)
    assert refused.value.reason is Reason.OVERSIZED
    assert inside.enclave.calls == []


@pytest.mark.parametrize("bad", [[["t", b""]], [["t", b"", None, None, 1]], [b"t"], [[1, b"", None, None, True]], 5])
def test_a_malformed_delivery_among_others_is_refused(bad: object) -> None:
    whole = [["t", b"", None, None, True]]
    decode_call_untrusted(encode([Call.RECEIVE, whole, NOW]))
    with pytest.raises(MalformedError):
        decode_call_untrusted(encode([Call.RECEIVE, [*whole, *bad] if isinstance(bad, list) else bad, NOW]))


def test_answers_larger_than_a_frame_come_in_parts_at_once_and_in_order(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What many senders are answered together may be more than the boundary carries: no reason to crash."""
    monkeypatch.setattr(boundary, "ANSWER_BYTES", 1000)
    deliveries = [Delivery("t", bytes([number]) * 600) for number in range(9)]
    said = list(inside.client.receive_many(deliveries, NOW))
    while inside.client.deadline == 0.0:
        # Another call's own answer is never held up.
        assert inside.client.will(NOW) == Publication("will", b"lost")
        said += inside.client.expire(NOW)
    answered = [each.payload for each in said if isinstance(each, Publication)]
    assert answered == [each.payload for each in deliveries]
    assert said.count(Noted("expired")) == 4
