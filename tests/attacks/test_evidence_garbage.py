"""Attacks with bytes (P14): whatever comes, the verifier refuses it by name, issues nothing, and serves the next."""

from collections.abc import Sequence

import pytest
from cbor2 import CBORTag
from hypothesis import example, given, settings
from hypothesis import strategies as st

from protocol.cbor import encode
from protocol.cose import sign1
from protocol.envelope import Address
from protocol.errors import RemoteError
from protocol.messages import encode_message
from protocol.party import Delivery, Event, Noted, Publication
from schemas.attestation import SIMULATED_MEDIA_TYPE, Challenge, Evidence
from schemas.kinds import Kind, Role
from tests.support.enclaves import NOW, FakeEnclave, Fleet, assert_serves_others, challenged
from tests.support.examples import examples
from verifier.evidence import SimulatedAppraiser
from verifier.evidence.examination import Examination
from verifier.verifier import Verifier

FLEET = Fleet()
ENCLAVE = FakeEnclave(FLEET)
QUICK = settings(max_examples=examples(40), deadline=None)

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.binary(max_size=80) | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.integers(-70030, 300) | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=20,
)
cbor = values.map(encode)
envelopes = st.tuples(st.sampled_from([16, 18, 96]), values).map(lambda each: encode(CBORTag(*each)))


def fresh() -> tuple[Verifier, Challenge]:
    verifier = FLEET.verifier()
    return verifier, challenged(verifier, ENCLAVE)


def assert_only_refused(events: Sequence[Event]) -> None:
    """Refusals to the agent, and words for people; no challenge, no result."""
    inbox = FLEET.topics.inbox(Role.AGENT, "agent-1")
    assert {event.topic for event in events if isinstance(event, Publication)} <= {inbox}
    assert "refused" in {event.what for event in events if isinstance(event, Noted)}


def flipped(data: bytes, at: int, bit: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


@QUICK
@given(payload=st.binary(max_size=300) | cbor | envelopes, to_attest=st.booleans())
@example(payload=b"", to_attest=False)
@example(payload=b"\xd2" * 5000, to_attest=False)
@example(payload=b"\x81" * 100_000, to_attest=True)
def test_garbage_instead_of_a_message(payload: bytes, to_attest: bool) -> None:
    verifier, _ = fresh()
    topic = FLEET.topics.attest("agent-1") if to_attest else FLEET.topics.evidence("agent-1")
    assert_only_refused(verifier.receive(Delivery(topic, payload), NOW))
    assert_serves_others(verifier, FLEET)


@QUICK
@given(payload=cbor, to_attest=st.booleans())
def test_garbage_in_a_well_signed_envelope(payload: bytes, to_attest: bool) -> None:
    verifier, challenge = fresh()
    kind = Kind.ATTESTATION_REQUEST if to_attest else Kind.EVIDENCE
    topic = FLEET.topics.attest("agent-1") if to_attest else FLEET.topics.evidence("agent-1")
    aad = Address(topic, "verifier-1", challenge.nonce).aad(kind, ENCLAVE.signing.public.thumbprint)
    message = sign1(ENCLAVE.signing, payload, typ=str(kind), external_aad=aad, credential=ENCLAVE.enrolment)
    assert_only_refused(verifier.receive(Delivery(topic, message), NOW))


@QUICK
@given(at=st.integers(0, 2**16), bit=st.integers(0, 7))
def test_one_flipped_bit_in_an_evidence_message(at: int, bit: int) -> None:
    verifier, challenge = fresh()
    answer = ENCLAVE.answer(challenge)
    assert_only_refused(verifier.receive(Delivery(answer.topic, flipped(answer.payload, at, bit)), NOW))


@QUICK
@given(at=st.integers(0, 2**16), bit=st.integers(0, 7))
def test_one_flipped_bit_in_the_tee_s_evidence_under_a_good_signature(at: int, bit: int) -> None:
    verifier, challenge = fresh()
    tee = flipped(ENCLAVE.tee(challenge, ENCLAVE.claims(challenge)), at, bit)
    assert_only_refused(verifier.receive(ENCLAVE.answer(challenge, tee=tee), NOW))


@QUICK
@given(at=st.integers(0, 2**16), bit=st.integers(0, 7))
def test_one_flipped_bit_in_the_claims_under_a_good_signature(at: int, bit: int) -> None:
    verifier, challenge = fresh()
    claims = ENCLAVE.claims(challenge)
    evidence = Evidence(
        claims=flipped(encode_message(claims), at, bit),
        wrapped=(SIMULATED_MEDIA_TYPE, ENCLAVE.tee(challenge, claims)),
        enrolment=ENCLAVE.enrolment,
    )
    topic = FLEET.topics.evidence("agent-1")
    aad = Address(topic, "verifier-1", challenge.nonce).aad(Kind.EVIDENCE, ENCLAVE.signing.public.thumbprint)
    message = sign1(ENCLAVE.signing, encode_message(evidence), typ=str(Kind.EVIDENCE), external_aad=aad)
    assert_only_refused(verifier.receive(Delivery(topic, message), NOW))


@QUICK
@given(at=st.integers(0, 2**16), bit=st.integers(0, 7))
def test_one_flipped_bit_in_an_attestation_request(at: int, bit: int) -> None:
    request = ENCLAVE.request()
    delivery = Delivery(request.topic, flipped(request.payload, at, bit))
    assert_only_refused(FLEET.verifier().receive(delivery, NOW))


@QUICK
@given(length=st.integers(0, 4000))
def test_truncated_evidence(length: int) -> None:
    verifier, challenge = fresh()
    answer = ENCLAVE.answer(challenge)
    cut = answer.payload[: length % len(answer.payload)]
    assert_only_refused(verifier.receive(Delivery(answer.topic, cut), NOW))


@QUICK
@given(evidence=st.binary(max_size=200) | cbor | envelopes)
def test_an_appraiser_raises_remote_errors_alone(evidence: bytes) -> None:
    with pytest.raises(RemoteError):
        SimulatedAppraiser().appraise_untrusted({"evidence": evidence}, NOW, Examination())


@QUICK
@given(payload=cbor)
def test_an_appraiser_meets_garbage_that_a_chip_signed(payload: bytes) -> None:
    evidence = sign1(ENCLAVE.chip_key, payload, typ=str(Kind.SIMULATED_EVIDENCE))
    with pytest.raises(RemoteError):
        SimulatedAppraiser().appraise_untrusted({"evidence": evidence}, NOW, Examination())


@QUICK
@given(topic=st.text(max_size=60) | st.sampled_from(["attest", "evidence"]).map("sealedge/v1/plant/agent/{}".format))
def test_topics_that_nobody_subscribed_to(topic: str) -> None:
    verifier = FLEET.verifier()
    events = verifier.receive(Delivery(topic, ENCLAVE.request().payload), NOW)
    assert [event for event in events if isinstance(event, Publication)] == []


@pytest.mark.parametrize("agent", ["", "+", "#", "A", "a" * 33, "agent-1/x", "ágent"])
def test_agent_names_that_are_none(agent: str) -> None:
    events = FLEET.verifier().receive(Delivery(FLEET.topics.attest(agent), ENCLAVE.request().payload), NOW)
    assert [event for event in events if isinstance(event, Publication)] == []


@pytest.mark.parametrize("size", [300_000, 2_000_000])
def test_oversized_messages_are_refused_before_they_are_parsed(size: int) -> None:
    verifier, _ = fresh()
    for topic in (FLEET.topics.attest("agent-1"), FLEET.topics.evidence("agent-1")):
        events = verifier.receive(Delivery(topic, bytes(size)), NOW)
        assert [event.detail["reason"] for event in events if isinstance(event, Noted)] == ["oversized"]


def test_garbage_uses_no_nonce_up() -> None:
    """What does not parse answers nothing."""
    verifier, challenge = fresh()
    answer = ENCLAVE.answer(challenge)
    verifier.receive(Delivery(answer.topic, answer.payload[:-1], correlation=challenge.nonce), NOW)
    events = verifier.receive(answer, NOW)
    assert FLEET.topics.result("agent-1") in {event.topic for event in events if isinstance(event, Publication)}


def test_a_refusal_echoes_no_correlation_but_a_nonce_s_size() -> None:
    for size in (0, 31, 33, 60_000):
        delivery = Delivery(FLEET.topics.evidence("agent-1"), b"", correlation=b"\x01" * size)
        (found,) = [each for each in FLEET.verifier().receive(delivery, NOW) if isinstance(each, Publication)]
        assert found.correlation is None
