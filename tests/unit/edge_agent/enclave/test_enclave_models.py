"""How an enclave gets, keeps and loses models: leases, revocations, refusals, late chunks (P3, P9)."""

from collections.abc import Callable
from typing import Any

import pytest

from edge_agent.enclave.enclave import Enclave
from edge_agent.enclave.loading import Loaded
from protocol.attestation import open_past_attestation_result_untrusted
from protocol.envelope import Address, seal_message, sign_message
from protocol.errors import EnclaveError
from protocol.messages import digest
from protocol.party import Delivery, Publication
from protocol.receipts import open_receipt_untrusted
from publisher.shelf import Shelf
from schemas.kinds import Kind, Role
from schemas.model import KeyGrant
from schemas.reason import Reason
from schemas.status import Refusal
from tests.support.raw_sensor import RawSensor
from tests.support.world import MODEL, START, World

FIRST, SECOND = (b"\0asm" + word * 30_000 for word in (b"first.", b"second"))


def is_chunk(said: Publication) -> bool:
    return "/chunk/" in said.topic


def hold_back(world: World, which: Callable[[Publication], bool]) -> list[Publication]:
    """The broker keeps some of what is said to itself; returns where it does."""
    held: list[Publication] = []

    def intercept(said: Publication) -> list[Publication]:
        if not which(said):
            return [said]
        held.append(said)
        return []

    world.broker.intercept = intercept
    return held


def start(world: World, **policy: int) -> World:
    world.package(FIRST)
    world.start_verifier()
    world.start_publisher(**policy)
    world.start_agent()
    world.settle()
    return world


def enclave_of(world: World) -> Enclave:
    found = world.parties["sealedge-clinic-agent-agent-1"]._enclave
    assert isinstance(found, Enclave)
    return found


def versions(world: World) -> list[int]:
    return [each.version for each in enclave_of(world)._models.loaded]


def package_next(world: World) -> None:
    """The publisher puts the second version out; its chunks are on the broker before it restarts with them."""
    world.package(SECOND)
    world.start_publisher()
    world.settle()


def test_a_version_on_its_way_survives_the_revocation_of_the_one_that_runs() -> None:
    """The usual order: the better version is published, then the worse one is revoked."""
    world = start(World())
    known = {each.topic for each in world.published if is_chunk(each)}
    held_back = hold_back(world, lambda said: is_chunk(said) and said.topic not in known)
    package_next(world)
    world.revoke("model", digest(FIRST))
    world.settle()
    assert versions(world) == []
    world.broker.intercept = None
    for each in held_back:
        world.broker.publish(each)
    world.broker.advance(70)
    assert versions(world) == [2]


class Held:
    """A world in which the enclave has asked for chunks that its host keeps to itself."""

    def __init__(self, **policy: int) -> None:
        self.world = World()
        self.world.broker.intercept = lambda said: [] if is_chunk(said) else [said]
        start(self.world, **policy)
        self.enclave = enclave_of(self.world)
        wanted = self.enclave._models._wanted[MODEL]
        assert wanted.index is not None
        topics = [self.world.topics.chunk(MODEL, each) for each in wanted.manifest.chunks]
        published = {each.topic: each.payload for each in self.world.published}
        self.chunks = [published[topic] for topic in topics]

    def hand_in(self, now: float) -> list[str]:
        """Returns the reasons of all refusals."""
        self.enclave.chunks_collected(MODEL, self.chunks, now)
        return list(self.enclave.board.refused)


def test_chunks_make_a_model() -> None:
    held = Held()
    assert held.hand_in(held.world.broker.now) == []
    assert versions(held.world) == [1]


def test_chunks_that_come_after_the_lease_make_no_model() -> None:
    """Also where the host forgot to say that time had passed: the key is not used once its lease is over."""
    held = Held(key_lease_seconds=60)
    assert held.hand_in(held.world.broker.now + 60) == [Reason.LEASE_EXPIRED]
    assert versions(held.world) == []
    assert held.enclave._models._wanted[MODEL].index is None


def test_a_key_is_erased_with_the_passport_though_no_model_is_loaded_yet() -> None:
    held = Held()
    held.world.broker.crash("sealedge-clinic-verifier-verifier")
    held.world.broker.advance(301)
    wanted = held.enclave._models._wanted[MODEL]
    assert wanted.index is None
    assert held.hand_in(held.world.broker.now) == [Reason.NOT_ATTESTED]
    assert versions(held.world) == []


def test_an_enclave_without_a_passport_is_not_woken_all_the_time() -> None:
    """It asked for a key, and its lease ended: what was due then is due no more."""
    world = World()
    world.broker.intercept = lambda said: [] if said.topic == world.topics.key(MODEL) else [said]
    start(world)
    world.broker.crash("sealedge-clinic-verifier-verifier")
    world.broker.advance(301)
    enclave, now = enclave_of(world), world.broker.now
    enclave.expire(now)
    assert enclave.deadline is not None
    assert enclave.deadline > now


@pytest.mark.parametrize("kind", ["credential", "key"])
def test_the_models_of_a_revoked_publisher_are_erased(kind: str) -> None:
    world = start(World())
    publisher = world.holder(Role.PUBLISHER, "publisher")
    identity = world.trust(publisher.store).identify_untrusted(publisher.credential, world.broker.now, Role.PUBLISHER)
    named = identity.identifier if kind == "credential" else publisher.signing.public.thumbprint
    world.revoke(kind, named)  # type: ignore[arg-type]  # a literal
    world.settle()
    assert versions(world) == []
    assert world.noted("model-erased")[-1]["why"] == "revoked"


@pytest.mark.parametrize("kind", ["credential", "key"])
def test_the_passports_of_a_revoked_verifier_end(kind: str) -> None:
    world = start(World())
    sensor = RawSensor(world)
    sensor.open()
    verifier = world.holder(Role.VERIFIER, "verifier")
    identity = world.trust(verifier.store).identify_untrusted(verifier.credential, world.broker.now, Role.VERIFIER)
    world.broker.crash("sealedge-clinic-verifier-verifier")
    named = identity.identifier if kind == "credential" else verifier.signing.public.thumbprint
    world.revoke(kind, named)  # type: ignore[arg-type]  # a literal
    world.settle()
    assert versions(world) == []
    assert enclave_of(world)._attesting.kem_keys(world.broker.now) == []


def refusal_of_key(world: World, signer: str, role: Role, correlation: bytes) -> Delivery:
    holder, topic = world.holder(role, signer), world.topics.inbox(Role.AGENT, "agent-1")
    refusal = Refusal(reason=Reason.BUSY, time=int(world.broker.now))
    payload = sign_message(
        Kind.REFUSAL, refusal, holder.signing, Address(topic, "agent-1", correlation), holder.credential
    )
    return Delivery(topic, payload, correlation=correlation)


def asking() -> World:
    """An enclave whose key requests nobody answers."""
    world = World()
    world.package(FIRST)
    world.start_publisher()
    world.settle()
    world.broker.crash("sealedge-clinic-publisher-publisher")
    world.start_verifier()
    world.start_agent()
    world.settle()
    return world


def asked(world: World) -> list[Publication]:
    return world.said_on(world.topics.key(MODEL))


@pytest.mark.parametrize(("signer", "role"), [("rival", Role.PUBLISHER), ("verifier", Role.VERIFIER)])
def test_nobody_but_the_publisher_delays_a_key_request(signer: str, role: Role) -> None:
    world = asking()
    said = asked(world)
    RawSensor(world).say(refusal_of_key(world, signer, role, said[-1].correlation or b""))
    world.broker.advance(6)
    assert len(asked(world)) == len(said) + 1


def test_a_refusal_that_is_replayed_delays_no_further() -> None:
    world = asking()
    said = asked(world)
    refusal = refusal_of_key(world, "publisher", Role.PUBLISHER, said[-1].correlation or b"")
    for _ in range(7):
        RawSensor(world).say(refusal)
        world.broker.advance(5)
    assert len(asked(world)) > len(said)


def test_a_publisher_that_refuses_is_asked_again_later() -> None:
    world = asking()
    said = asked(world)
    RawSensor(world).say(refusal_of_key(world, "publisher", Role.PUBLISHER, said[-1].correlation or b""))
    world.broker.advance(25)
    assert len(asked(world)) == len(said)
    world.broker.advance(6)
    assert len(asked(world)) == len(said) + 1


@pytest.mark.parametrize(("reason", "loaded"), [(Reason.INTERNAL, [1]), (Reason.MODEL_INVALID, [])])
def test_a_fault_of_the_enclave_is_tried_again_and_one_of_the_module_is_not(reason: Reason, loaded: list[int]) -> None:
    world, attempts = World(), []

    def load(_module: bytes, _limits: object, _machine_code: object) -> Loaded:
        attempts.append(reason)
        if len(attempts) == 1:
            raise EnclaveError("it does not load", reason=reason)
        return Loaded(world._compute, b"")

    plain = world.enclave

    def enclave(name: str = "agent-1", chips: object = None) -> Enclave:
        found = plain(name, chips)  # type: ignore[arg-type]  # handed on
        found._models._load = load  # type: ignore[assignment]
        return found

    world.enclave = enclave  # type: ignore[method-assign, assignment]
    start(world)
    world.broker.advance(70)
    assert versions(world) == loaded
    assert attempts == [reason] * (2 if loaded else 1)


def test_a_grant_after_the_revocation_is_refused() -> None:
    world = World()
    grants = hold_back(world, lambda said: said.topic == world.topics.inbox(Role.AGENT, "agent-1"))
    start(world)
    world.broker.intercept = None
    world.revoke("model", digest(FIRST))
    world.settle()
    world.redeliver(world.parties["sealedge-clinic-agent-agent-1"], grants[-1])
    assert world.refusals()[-1] == "unexpected"
    assert versions(world) == []


def test_a_session_goes_on_with_the_newer_version() -> None:
    world = start(World())
    sensor = RawSensor(world)
    assert sensor.open().version == 1
    package_next(world)
    world.broker.advance(5)
    assert versions(world) == [2]
    result = sensor.result(sensor.request(sensor.reading(b"abc")))
    passport = open_past_attestation_result_untrusted(
        result.attestation_result, world.trust(sensor.holder.store), world.broker.now
    )
    assert open_receipt_untrusted(result.receipt, passport).version == 2


@pytest.mark.parametrize(
    ("changes", "signer", "reason"),
    [
        ({"agent": "agent-2"}, "publisher", "binding-mismatch"),
        ({"model": "other"}, "publisher", "binding-mismatch"),
        ({"version": 2}, "publisher", "binding-mismatch"),
        ({"manifest": bytes(32)}, "publisher", "binding-mismatch"),
        ({"request": bytes(16)}, "publisher", "binding-mismatch"),
        ({"fleet": "rivals"}, "publisher", "binding-mismatch"),
        ({"content_key": bytes(32)}, "publisher", "decryption-failed"),
        ({"expires": int(START)}, "publisher", "expired"),
        ({}, "rival", "unknown-signer"),
    ],
    ids=str,
)
def test_a_key_for_something_else_is_refused(changes: dict[str, Any], signer: str, reason: str) -> None:
    """Wrapped-key substitution: sealed to the right enclave, by a publisher of the fleet, in the right exchange."""
    world = asking()
    request = asked(world)[-1].correlation or b""
    wanted = enclave_of(world)._models._wanted[MODEL]
    shelved = Shelf(world.holder(Role.PUBLISHER, "publisher").store).newest(MODEL)
    assert shelved is not None
    now, topic = int(world.broker.now), asked(world)[-1].response_topic or ""
    holder = world.holder(Role.PUBLISHER, signer)
    fields = {
        "fleet": "clinic", "agent": "agent-1", "model": MODEL, "version": 1, "manifest": wanted.digest,
        "request": request, "content_key": shelved.content_key, "issued": now, "expires": now + 100,
    }  # fmt: skip
    address, kem = Address(topic, "agent-1", request), RawSensor(world).passport.kem_key
    grant = KeyGrant.model_validate({**fields, **changes})
    payload = seal_message(Kind.KEY_RELEASE, grant, holder.signing, kem, address, world.randomness, holder.credential)
    RawSensor(world).say(Delivery(topic, payload, correlation=request))
    assert world.refusals()[-1] == reason
    assert wanted.index is None
    honest = seal_message(
        Kind.KEY_RELEASE, KeyGrant.model_validate(fields), world.holder(Role.PUBLISHER, "publisher").signing, kem,
        address, world.randomness, world.holder(Role.PUBLISHER, "publisher").credential,
    )  # fmt: skip
    RawSensor(world).say(Delivery(topic, honest, correlation=request))
    assert wanted.index is not None


def test_a_model_whose_lease_ended_does_not_compute_though_nobody_said_so() -> None:
    """The host does not call when the lease ends: the request itself finds that it has."""
    world = start(World(), key_lease_seconds=60)
    sensor = RawSensor(world)
    sensor.open()
    world.broker.now += 60
    assert sensor.refusal(sensor.request(sensor.reading())) == "lease-expired"
