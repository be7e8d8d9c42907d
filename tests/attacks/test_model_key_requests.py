"""Attacks on key release: ways to a content key without a live, entitled, attested enclave (P3, P5 to P9, P14).

Each attack is refused, and the publisher still serves an honest enclave afterwards.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from cbor2 import CBORTag
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.cbor import decode_untrusted, encode
from protocol.cose import parse_sign1_untrusted, sign1
from protocol.envelope import Address, open_sealed_untrusted
from protocol.errors import AuthenticationError, RemoteError
from protocol.keys import KemPrivateKey, SigningKey
from protocol.messages import encode_message
from protocol.party import Delivery, Event, Publication, Store
from protocol.trust import confirmation
from publisher.package import PackagedModel
from publisher.policy import ReleasePolicy
from schemas.attestation import CONTRAINDICATED, WARNING, Appraisal
from schemas.kinds import Kind, Role
from schemas.model import KeyGrant, KeyRequest
from schemas.status import RevocationKind
from storage.store import MemoryStore
from tests.support.publishing import (
    DESCRIPTION,
    NOW,
    Enclave,
    Fleet,
    module_of,
    noted,
    published,
    reason_of,
)

FLEET = Fleet(seed=11)
OTHER_FLEET = Fleet("mill", seed=12)
TOPICS = FLEET.topics
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Scene:
    """One model, its publisher, and two enclaves: an honest one and the attacker's own genuine one."""

    def __init__(self, policy: ReleasePolicy | None = None) -> None:
        self.store: Store = MemoryStore()
        self.model = FLEET.package(self.store, module_of(1))
        self.party = FLEET.run(self.store, policy)
        self.honest, self.mallory = FLEET.enclave("honest"), FLEET.enclave("mallory")
        self.sequence = int(NOW * 1000)

    def ask(self, enclave: Enclave | None = None, **changes: Any) -> Delivery:
        return (enclave or self.mallory).ask(self.model, **changes)

    def try_(self, delivery: Delivery, now: float = NOW) -> Sequence[Event]:
        return self.party.receive(delivery, now)

    def refuses(self, delivery: Delivery, reason: str, now: float = NOW, *, answers: bool) -> Sequence[Event]:
        """The attack fails for this reason, releases nothing, and does not disturb others."""
        events = self.try_(delivery, now)
        assert reason_of(events) == reason
        assert releases(events) == []
        assert bool(published(events)) is answers
        self.serves_others(now)
        return events

    def serves_others(self, now: float = NOW) -> None:
        seconds = int(now)
        passport = self.honest.passport(issued=seconds, expires=seconds + 300, sequence=self.next_sequence())
        asked = self.honest.ask(self.model, attestation_result=passport, issued=seconds)
        assert len(releases(self.try_(asked, now))) == 1

    def next_sequence(self) -> int:
        self.sequence += 1
        return self.sequence


def releases(events: Sequence[Event]) -> list[Publication]:
    return [each for each in published(events) if parse_sign1_untrusted(each.payload).typ == Kind.KEY_RELEASE]


def resigned(delivery: Delivery, fields: dict[int, Any], key: SigningKey) -> Delivery:
    """The delivery with other content under a genuine signature."""
    address = Address(delivery.topic, "publisher-1", fields.get(6, b""))
    aad = address.aad(Kind.KEY_REQUEST, key.public.thumbprint)
    payload = sign1(key, encode(fields), typ=str(Kind.KEY_REQUEST), external_aad=aad)
    return replace(delivery, payload=payload)


def parts(document: bytes) -> list[Any]:
    """The four parts of a COSE_Sign1, to be spliced."""
    return list(decode_untrusted(document).value)


def joined(spliced: list[Any]) -> bytes:
    return encode(CBORTag(18, spliced))


def fields_of(delivery: Delivery) -> dict[int, Any]:
    return dict(decode_untrusted(parts(delivery.payload)[2]))


# Without a live attestation result (P3)


def test_request_without_attestation_result() -> None:
    scene = Scene()
    asked = scene.ask()
    fields = fields_of(asked)
    del fields[7]
    scene.refuses(resigned(asked, fields, scene.mallory.signing), "malformed", answers=False)


def test_expired_attestation_result() -> None:
    scene = Scene()
    passport = scene.mallory.passport(issued=int(NOW) - 300, expires=int(NOW))
    events = scene.refuses(scene.ask(attestation_result=passport), "lease-expired", answers=True)
    assert scene.mallory.refusal(published(events)[0]).reason == "lease-expired"


def test_attestation_result_that_ends_between_request_and_arrival() -> None:
    scene = Scene(ReleasePolicy(request_seconds=1000))
    scene.refuses(scene.ask(), "lease-expired", NOW + 300, answers=True)


def test_attestation_result_from_the_future() -> None:
    scene = Scene()
    passport = scene.mallory.passport(issued=int(NOW) + 3600, expires=int(NOW) + 7200)
    scene.refuses(scene.ask(attestation_result=passport), "not-yet-valid", answers=True)


def test_older_attestation_result_than_one_already_shown_also_after_a_restart() -> None:
    scene = Scene()
    old = scene.mallory.passport(sequence=5)
    new = scene.mallory.passport(sequence=6)
    assert releases(scene.try_(scene.ask(attestation_result=new)))
    scene.refuses(scene.ask(attestation_result=old), "stale", answers=True)
    scene.party = FLEET.run(scene.store)
    scene.refuses(scene.ask(attestation_result=old), "stale", answers=True)


@pytest.mark.parametrize("status", [WARNING, CONTRAINDICATED])
def test_attestation_result_that_does_not_affirm(status: int) -> None:
    scene = Scene()
    whole = scene.mallory.passport(status=status)
    part = scene.mallory.passport(submodules={"tee": Appraisal(status=0), "enclave": Appraisal(status=status)})
    for passport in (whole, part):
        scene.refuses(scene.ask(attestation_result=passport), "evidence-invalid", answers=False)


@pytest.mark.parametrize("role", [Role.SENSOR, Role.CONSUMER, Role.PUBLISHER, Role.AGENT])
def test_attestation_result_signed_by_a_party_that_is_no_verifier(role: Role) -> None:
    scene, key = Scene(), SigningKey.generate(FLEET.random.randbytes)
    passport = scene.mallory.passport(key=key, credential=FLEET.credential("verifier-1", role, key))
    scene.refuses(scene.ask(attestation_result=passport), "role-not-allowed", answers=False)


def test_attestation_result_signed_by_oneself_under_the_verifiers_credential() -> None:
    scene = Scene()
    passport = scene.mallory.passport(key=scene.mallory.signing)
    scene.refuses(scene.ask(attestation_result=passport), "unknown-signer", answers=False)


def test_a_verifier_that_signs_under_another_verifiers_name() -> None:
    scene, key = Scene(), SigningKey.generate(FLEET.random.randbytes)
    passport = scene.mallory.passport(key=key, credential=FLEET.credential("verifier-2", Role.VERIFIER, key))
    scene.refuses(scene.ask(attestation_result=passport), "misaddressed", answers=False)


def test_a_manifest_or_status_in_place_of_the_attestation_result() -> None:
    scene = Scene()
    scene.refuses(scene.ask(attestation_result=scene.model.document), "role-not-allowed", answers=False)
    scene.refuses(scene.ask(attestation_result=FLEET.verifier_credential), "unknown-signer", answers=False)


def test_tier_that_the_manifest_does_not_name() -> None:
    scene = Scene()
    topic = TOPICS.key("scan")
    honest = scene.party._served[topic]
    # Only one tier exists yet, and a manifest names at least one: so the copy skips validation.
    hardware_only = honest.manifest.model_copy(update={"tiers": ("sev-snp",)})
    scene.party._served[topic] = replace(honest, manifest=hardware_only)
    events = scene.try_(scene.ask())
    assert reason_of(events) == "tier-not-accepted"
    assert releases(events) == []
    refusal = scene.mallory.refusal(published(events)[0])
    assert (refusal.expected, refusal.found, refusal.policy) == ("sev-snp", "simulated", "manifest.tiers")


# With somebody else's (P5)


def test_somebody_elses_passport_from_its_retained_topic() -> None:
    scene = Scene()
    stolen = scene.honest.passport()
    for agent in ("mallory", "honest"):
        asked = scene.ask(attestation_result=stolen, agent=agent)
        scene.refuses(asked, "unknown-signer", answers=False)


def test_own_passport_in_another_agents_name() -> None:
    scene = Scene()
    asked = scene.ask(agent="honest", response_topic=TOPICS.inbox("agent", "honest"))
    events = scene.refuses(asked, "misaddressed", answers=True)
    assert [each.topic for each in published(events)] == [TOPICS.inbox("agent", "mallory")]


def test_request_signed_by_another_key_than_the_passports() -> None:
    scene = Scene()
    scene.refuses(scene.ask(key=SigningKey.generate(FLEET.random.randbytes)), "unknown-signer", answers=False)


def test_another_signature_under_the_passports_key_id() -> None:
    scene = Scene()
    asked, strange = scene.ask(), scene.ask(key=SigningKey.generate(FLEET.random.randbytes))
    forged = joined([*parts(asked.payload)[:3], parts(strange.payload)[3]])
    scene.refuses(replace(asked, payload=forged), "signature-invalid", answers=False)


def test_own_kem_key_spliced_into_anothers_passport() -> None:
    scene = Scene()
    protected, unprotected, payload, signature = parts(scene.honest.passport())
    own = {1: scene.mallory.signing.public.to_cose_key(), -70003: scene.mallory.kem.public.to_cose_key()}
    claims = {**decode_untrusted(payload), 8: own}
    spliced = joined([protected, unprotected, encode(claims), signature])
    scene.refuses(scene.ask(agent="honest", attestation_result=spliced), "signature-invalid", answers=False)


def test_only_the_kem_key_of_the_passport_opens_the_release() -> None:
    scene = Scene()
    (answer,) = releases(scene.try_(scene.ask(scene.honest)))
    address = Address(answer.topic, "honest", answer.correlation or b"")
    publisher = FLEET.publisher.public
    for kem in (scene.mallory.kem, KemPrivateKey.generate(FLEET.random.randbytes)):
        with pytest.raises(AuthenticationError):
            open_sealed_untrusted(KeyGrant, answer.payload, Kind.KEY_RELEASE, publisher, [kem], address)


# For another version, model or tenant (P8, wrapped-key substitution)


def test_rollback_to_an_old_version() -> None:
    scene = Scene()
    old = scene.model
    scene.model = FLEET.package(scene.store, module_of(2))
    scene.party.publish("scan", NOW)
    scene.refuses(scene.mallory.ask(old), "stale", answers=True)
    scene.refuses(scene.mallory.ask(old, version=2), "binding-mismatch", answers=True)
    scene.refuses(scene.mallory.ask(scene.model, version=3), "stale", answers=True)
    scene.refuses(scene.mallory.ask(scene.model, version=1), "stale", answers=True)


def two_models() -> tuple[Scene, PackagedModel]:
    scene = Scene()
    other = FLEET.package(scene.store, module_of(1), DESCRIPTION.model_copy(update={"name": "other"}))
    scene.party.publish("other", NOW)
    return scene, other


def test_manifest_of_another_model() -> None:
    scene, other = two_models()
    scene.refuses(scene.ask(manifest=other.digest), "binding-mismatch", answers=True)
    scene.refuses(scene.ask(manifest=bytes(32)), "binding-mismatch", answers=True)


def test_request_moved_to_another_models_topic() -> None:
    scene, _ = two_models()
    moved = replace(scene.ask(), topic=TOPICS.key("other"))
    scene.refuses(moved, "signature-invalid", answers=False)


def test_request_for_one_model_signed_for_anothers_topic() -> None:
    scene, _ = two_models()
    scene.refuses(scene.ask(topic=TOPICS.key("other")), "misaddressed", answers=True)


def test_key_release_of_one_model_shown_as_the_answer_for_another() -> None:
    scene, other = two_models()
    asked = scene.honest.ask(other)
    (answer,) = releases(scene.try_(scene.ask(scene.honest)))
    with pytest.raises(RemoteError):
        scene.honest.grant(replace(answer, correlation=asked.correlation))
    assert scene.honest.grant(answer).manifest != other.digest


def test_key_release_shown_to_a_tenant_with_the_same_names_and_keys() -> None:
    scene = Scene()
    (answer,) = releases(scene.try_(scene.ask(scene.honest)))
    for topic in (OTHER_FLEET.topics.inbox("agent", "honest"), TOPICS.inbox("agent", "mallory")):
        with pytest.raises(AuthenticationError):
            scene.honest.grant(replace(answer, topic=topic))


def test_request_of_an_enclave_of_another_fleet() -> None:
    scene = Scene()
    stranger = OTHER_FLEET.enclave("mallory")
    asked = stranger.ask(scene.model, topic=TOPICS.key("scan"), fleet="plant")
    asked = replace(asked, response_topic=TOPICS.inbox("agent", "mallory"))
    scene.refuses(asked, "unknown-signer", answers=False)


def test_request_that_names_another_fleet() -> None:
    scene = Scene()
    scene.refuses(scene.ask(fleet="mill"), "misaddressed", answers=True)


def test_attestation_result_of_another_fleet_by_a_verifier_of_this_one() -> None:
    scene = Scene()
    passport = scene.mallory.passport(fleet="mill")
    scene.refuses(scene.ask(attestation_result=passport), "misaddressed", answers=False)


def test_request_for_another_publisher() -> None:
    scene = Scene()
    scene.refuses(scene.ask(recipient="publisher-2"), "signature-invalid", answers=False)


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
    key = SigningKey.generate(FLEET.random.randbytes)
    credential = FLEET.credential("verifier-2", Role.VERIFIER, key)
    passport = mallory.passport(key=key, credential=credential, verifier="verifier-2")
    asked = scene.ask(mallory, attestation_result=passport)
    assert releases(scene.try_(asked))
    identifier = {
        "chip": bytes([5]) * 32,
        "measurement": bytes([6]) * 32,
        "key": mallory.signing.public.thumbprint,
        "credential": credential_identifier(credential),
    }[kind]
    scene.try_(FLEET.revocations((kind, identifier), sequence=2))
    scene.refuses(asked, "revoked", answers=False)
    fresh = mallory.passport(key=key, credential=credential, verifier="verifier-2", sequence=int(NOW * 1000) + 1)
    scene.refuses(scene.ask(mallory, attestation_result=fresh), "revoked", answers=False)


def credential_identifier(credential: bytes) -> bytes:
    return bytes(decode_untrusted(parts(credential)[2])[7])


def test_revoked_model_is_released_to_nobody_not_even_again() -> None:
    scene = Scene()
    asked = scene.ask()
    assert releases(scene.try_(asked))
    told = scene.try_(FLEET.revocations(("model", scene.model.manifest.digest), sequence=2))
    assert noted(told, "model-withheld")
    for each in (asked, scene.ask(), scene.ask(scene.honest)):
        events = scene.try_(each)
        assert reason_of(events) == "revoked"
        assert releases(events) == []
    assert scene.mallory.refusal(published(scene.try_(scene.ask()))[0]).reason == "revoked"


def test_hidden_revocations_release_nothing_once_the_list_has_ended() -> None:
    scene = Scene()
    scene.try_(FLEET.revocations(sequence=2, expires=int(NOW) + 100))
    assert releases(scene.try_(scene.ask()))
    late = scene.ask()
    for hidden in (None, FLEET.revocations(sequence=1), OTHER_FLEET.revocations(sequence=9)):
        if hidden is not None:
            scene.try_(hidden)
        events = scene.try_(late, NOW + 100)
        assert reason_of(events) == "stale"
        assert releases(events) == []
    scene.try_(FLEET.revocations(sequence=3))
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
@settings(max_examples=100, deadline=None)
def test_garbage(shared: Scene, payload: bytes, correlation: bytes | None) -> None:
    delivery = Delivery(TOPICS.key("scan"), payload, TOPICS.inbox("agent", "mallory"), correlation)
    events = shared.try_(delivery)
    assert reason_of(events) is not None
    assert published(events) == []


@given(data=st.data())
@settings(max_examples=100, deadline=None)
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
@settings(max_examples=100, deadline=None)
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
    ed25519 = SigningKey.generate(FLEET.random.randbytes, algorithm=-19)
    claimed = scene.mallory.passport(confirmation=confirmation(ed25519.public, scene.mallory.kem.public))
    scene.refuses(scene.ask(attestation_result=claimed), "unknown-signer", answers=False)
    genuine = scene.ask(attestation_result=claimed, key=ed25519)
    assert releases(scene.try_(genuine))
