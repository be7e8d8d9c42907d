"""Attacks on key release: content keys for those who are not entitled to them (P3, P5, P6, P8).

Each attack is refused, and the publisher still serves an honest enclave afterwards.
"""

from dataclasses import replace

import pytest

from protocol.cbor import decode_untrusted, encode
from protocol.envelope import Address, open_sealed_untrusted
from protocol.errors import AuthenticationError, RemoteError
from protocol.keys import KemPrivateKey, SigningKey
from publisher.package import PackagedModel
from publisher.policy import ReleasePolicy
from schemas.attestation import CONTRAINDICATED, WARNING, Appraisal
from schemas.kinds import Kind, Role
from schemas.model import KeyGrant
from tests.support.key_requests import FLEET, OTHER_FLEET, TOPICS, Scene, fields_of, joined, parts, releases, resigned
from tests.support.publishing import (
    DESCRIPTION,
    NOW,
    module_of,
    published,
    reason_of,
)

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
    scene, key = Scene(), SigningKey.generate(FLEET.randomness)
    passport = scene.mallory.passport(key=key, credential=FLEET.credential("verifier-1", role, key.public))
    scene.refuses(scene.ask(attestation_result=passport), "role-not-allowed", answers=False)


def test_attestation_result_signed_by_oneself_under_the_verifiers_credential() -> None:
    scene = Scene()
    passport = scene.mallory.passport(key=scene.mallory.signing)
    scene.refuses(scene.ask(attestation_result=passport), "unknown-signer", answers=False)


def test_a_verifier_that_signs_under_another_verifiers_name() -> None:
    scene, key = Scene(), SigningKey.generate(FLEET.randomness)
    passport = scene.mallory.passport(key=key, credential=FLEET.credential("verifier-2", Role.VERIFIER, key.public))
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
    for inbox in ("honest", "mallory"):
        asked = scene.ask(agent="honest", response_topic=TOPICS.inbox("agent", inbox))
        events = scene.refuses(asked, "misaddressed", answers=True)
        assert [each.topic for each in published(events)] == [TOPICS.inbox("agent", "mallory")]


def test_request_signed_by_another_key_than_the_passports() -> None:
    scene = Scene()
    scene.refuses(scene.ask(key=SigningKey.generate(FLEET.randomness)), "unknown-signer", answers=False)


def test_another_signature_under_the_passports_key_id() -> None:
    scene = Scene()
    asked, strange = scene.ask(), scene.ask(key=SigningKey.generate(FLEET.randomness))
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
    for kem in (scene.mallory.kem, KemPrivateKey.generate(FLEET.randomness)):
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
