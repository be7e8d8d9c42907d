"""The boundary: every call and event crosses unchanged, one or many at once, and an enclave starts or says why not."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent import enclave_client
from edge_agent.enclave import boundary
from edge_agent.enclave.boundary import serve_untrusted
from edge_agent.enclave.configuration import EnclaveConfiguration
from edge_agent.enclave.exchange import (
    MAX_DELIVERIES,
    Outcome,
    decode_answer_untrusted,
    encode_done,
)
from edge_agent.enclave.frames import MAX_FRAME, FrameSocket
from edge_agent.enclave_client import EnclaveCrashedError
from protocol.errors import ConfigurationError, EnclaveError, MalformedError, ProtocolMisuseError
from protocol.messages import encode_message
from protocol.party import Delivery, Event, Noted, Publication, Subscription
from schemas.reason import Reason
from tests.support.inside import NOW, Inside
from tests.support.scripted_enclave import CONFIGURATION, ONE_OF_EACH, SECRET, ScriptedEnclave

OPTIONAL_TEXT = st.none() | st.text(max_size=40)


def asking(payload: bytes) -> Delivery:
    return Delivery("t", payload, "reply/to", b"corr", True)


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
