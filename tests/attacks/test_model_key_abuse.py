"""Attacks on key release: answers sent elsewhere, revocation, replay, garbage (P2, P7, P9, P14).

Each attack is refused, and the publisher still serves an honest enclave afterwards.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.cbor import decode_untrusted
from protocol.cose import sign1
from protocol.envelope import Address
from protocol.keys import SigningKey
from protocol.messages import encode_message
from protocol.party import Delivery
from protocol.trust import confirmation
from publisher.policy import ReleasePolicy
from schemas.kinds import Kind, Role
from schemas.model import KeyRequest
from schemas.status import RevocationKind
from tests.support.examples import examples
from tests.support.key_requests import FLEET, OTHER_FLEET, TOPICS, Scene, fields_of, joined, parts, releases, resigned
from tests.support.publishing import (
    NOW,
    noted,
    published,
    reason_of,
)

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

# Answers sent elsewhere


@pytest.mark.parametrize(
    "elsewhere",
    [
        None,
        "",
        TOPICS.inbox("agent", "honest"),
        TOPICS.inbox("sensor", "mallory"),
        TOPICS.revocations,
        TOPICS.manifest("scan"),
        OTHER_FLEET.topics.inbox("agent", "mallory"),
        "x" * 60_000,
    ],
)
def test_response_topic_that_points_elsewhere(elsewhere: str | None) -> None:
    scene = Scene()
    events = scene.refuses(scene.ask(response_topic=elsewhere), "misaddressed", answers=True)
    assert [each.topic for each in published(events)] == [TOPICS.inbox("agent", "mallory")]


def test_correlation_data_that_differs_from_the_request() -> None:
    scene = Scene()
    asked = scene.ask()
    (answer,) = releases(scene.try_(replace(asked, correlation=b"another")))
    assert answer.correlation == asked.correlation
    assert scene.mallory.grant(answer).request == asked.correlation


def test_strangers_cannot_make_the_publisher_write_into_an_inbox() -> None:
    scene = Scene()
    stranger = OTHER_FLEET.enclave("honest")
    for asked in (
        stranger.ask(scene.model, topic=TOPICS.key("scan"), fleet="plant"),
        scene.ask(key=stranger.signing, agent="honest", attestation_result=scene.honest.passport()),
        Delivery(TOPICS.key("scan"), b"", TOPICS.inbox("agent", "honest"), bytes(16)),
    ):
        assert published(scene.try_(replace(asked, response_topic=TOPICS.inbox("agent", "honest")))) == []


# Revoked (P9)


@pytest.mark.parametrize("kind", ["chip", "measurement", "key", "credential"])
def test_revoked_enclave_or_verifier(kind: RevocationKind) -> None:
    scene = Scene()
    mallory = FLEET.enclave("mallory", chip=bytes([5]) * 32, measurement=bytes([6]) * 32)
    key = SigningKey.generate(FLEET.randomness)
    credential = FLEET.credential("verifier-2", Role.VERIFIER, key.public)
    passport = mallory.passport(key=key, credential=credential, verifier="verifier-2")
    asked = scene.ask(mallory, attestation_result=passport)
    assert releases(scene.try_(asked))
    identifier = {
        "chip": bytes([5]) * 32,
        "measurement": bytes([6]) * 32,
        "key": mallory.signing.public.thumbprint,
        "credential": credential_identifier(credential),
    }[kind]
    scene.try_(FLEET.revoking((kind, identifier), sequence=2))
    scene.refuses(asked, "revoked", answers=False)
    fresh = mallory.passport(key=key, credential=credential, verifier="verifier-2", sequence=int(NOW * 1000) + 1)
    scene.refuses(scene.ask(mallory, attestation_result=fresh), "revoked", answers=False)


def credential_identifier(credential: bytes) -> bytes:
    return bytes(decode_untrusted(parts(credential)[2])[7])


def test_revoked_model_is_released_to_nobody_not_even_again() -> None:
    scene = Scene()
    asked = scene.ask()
    assert releases(scene.try_(asked))
    told = scene.try_(FLEET.revoking(("model", scene.model.manifest.digest), sequence=2))
    assert noted(told, "model-withheld")
    for each in (asked, scene.ask(), scene.ask(scene.honest)):
        events = scene.try_(each)
        assert reason_of(events) == "revoked"
        assert releases(events) == []
    assert scene.mallory.refusal(published(scene.try_(scene.ask()))[0]).reason == "revoked"


def test_hidden_revocations_release_nothing_once_the_list_has_ended() -> None:
    scene = Scene()
    scene.try_(FLEET.revoking(sequence=2, expires=int(NOW) + 100))
    assert releases(scene.try_(scene.ask()))
    late = scene.ask()
    for hidden in (None, FLEET.revoking(sequence=1), OTHER_FLEET.revoking(sequence=9)):
        if hidden is not None:
            scene.try_(hidden)
        events = scene.try_(late, NOW + 100)
        assert reason_of(events) == "stale"
        assert releases(events) == []
    scene.try_(FLEET.revoking(sequence=3))
    scene.serves_others(NOW + 100)


# Replayed (P7)


def test_replayed_request_gets_the_same_bytes_and_a_changed_signature_changes_nothing() -> None:
    scene = Scene()
    asked = scene.ask()
    (first,) = releases(scene.try_(asked))
    *content, signature = parts(asked.payload)
    s = (P256_ORDER - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")
    malleable = joined([*content, signature[:32] + s])
    assert malleable != asked.payload
    for payload in (asked.payload, malleable):
        (again,) = releases(scene.try_(replace(asked, payload=payload), NOW + 10))
        assert again.payload == first.payload


def test_recorded_request_replayed_when_it_is_old() -> None:
    scene = Scene(ReleasePolicy(request_seconds=60))
    asked = scene.ask()
    scene.refuses(asked, "expired", NOW + 60, answers=True)


def test_request_from_the_future_to_be_replayed_later() -> None:
    scene = Scene()
    scene.refuses(scene.ask(issued=int(NOW) + 3600), "not-yet-valid", answers=True)


def test_recorded_request_replayed_after_a_restart_reaches_only_the_same_enclave_under_the_same_passport() -> None:
    scene = Scene()
    asked = scene.ask(scene.honest)
    scene.try_(asked)
    scene.party = FLEET.run(scene.store)
    (again,) = releases(scene.try_(asked, NOW + 100))
    grant = scene.honest.grant(again)
    assert again.topic == TOPICS.inbox("agent", "honest")
    assert grant.request == asked.correlation
    assert grant.expires == int(NOW) + 300


# Not what the specification describes (P14)


@pytest.fixture(scope="module")
def shared() -> Scene:
    return Scene()


@given(payload=st.binary(max_size=600), correlation=st.none() | st.binary(max_size=40))
@settings(max_examples=examples(100), deadline=None)
def test_garbage(shared: Scene, payload: bytes, correlation: bytes | None) -> None:
    delivery = Delivery(TOPICS.key("scan"), payload, TOPICS.inbox("agent", "mallory"), correlation)
    events = shared.try_(delivery)
    assert reason_of(events) is not None
    assert published(events) == []


@given(data=st.data())
@settings(max_examples=examples(100), deadline=None)
def test_flipped_bits_and_cut_ends(shared: Scene, data: st.DataObject) -> None:
    asked = shared.ask(shared.honest)
    at = data.draw(st.integers(0, len(asked.payload) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    flipped = asked.payload[:at] + bytes([asked.payload[at] ^ bit]) + asked.payload[at + 1 :]
    for payload in (flipped, asked.payload[:at], asked.payload + bytes([bit])):
        events = shared.try_(replace(asked, payload=payload))
        assert reason_of(events) is not None
        assert releases(events) == []


@given(
    field=st.integers(1, 8),
    value=st.none()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=70)
    | st.text(max_size=40)
    | st.lists(st.integers(0, 9)),
)
@settings(max_examples=examples(100), deadline=None)
def test_any_field_of_any_type_under_a_genuine_signature(shared: Scene, field: int, value: Any) -> None:
    asked = shared.ask()
    fields = fields_of(asked)
    before, fields[field] = fields[field], value
    events = shared.try_(resigned(asked, fields, shared.mallory.signing))
    released = bool(releases(events))
    assert released == (reason_of(events) is None)
    # Only what the asker may choose may differ: the request id, and a time that is near enough.
    assert not released or value == before or field in (6, 8)


def test_unknown_field_under_a_genuine_signature() -> None:
    scene = Scene()
    asked = scene.ask()
    fields = {**fields_of(asked), 99: b"x"}
    scene.refuses(resigned(asked, fields, scene.mallory.signing), "malformed", answers=False)


def test_oversized_request() -> None:
    scene = Scene()
    big = Delivery(TOPICS.key("scan"), bytes(2**17 + 1), TOPICS.inbox("agent", "mallory"), bytes(16))
    scene.refuses(big, "oversized", answers=False)


@pytest.mark.parametrize("kind", [Kind.EVIDENCE, Kind.ATTESTATION_REQUEST, Kind.STATUS, Kind.RECEIPT])
def test_signature_made_for_another_purpose(kind: Kind) -> None:
    scene = Scene()
    asked = scene.ask()
    request = KeyRequest.model_validate(fields_of(asked))
    key = scene.mallory.signing
    aad = Address(asked.topic, "publisher-1", request.request).aad(kind, key.public.thumbprint)
    payload = sign1(key, encode_message(request), typ=str(kind), external_aad=aad)
    scene.refuses(replace(asked, payload=payload), "unexpected", answers=False)


def test_flood_of_bad_requests_leaves_nothing_behind() -> None:
    scene = Scene()
    for number in range(300):
        scene.try_(Delivery(TOPICS.key("scan"), number.to_bytes(4, "big") * 20))
    assert scene.party.board.refused["malformed"] == 300
    assert not scene.party._answers
    assert not list(scene.party._passports)
    scene.serves_others()


def test_enclave_key_as_a_signing_key_of_another_algorithm() -> None:
    scene = Scene()
    ed25519 = SigningKey.generate(FLEET.randomness, algorithm=-19)
    claimed = scene.mallory.passport(confirmation=confirmation(ed25519.public, scene.mallory.kem.public))
    scene.refuses(scene.ask(attestation_result=claimed), "unknown-signer", answers=False)
    genuine = scene.ask(attestation_result=claimed, key=ed25519)
    assert releases(scene.try_(genuine))
