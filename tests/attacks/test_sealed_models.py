"""A host that swaps, edits, renames, keeps or withholds what the enclave left with it for its next start."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.enclave.configuration import EnclaveLimits
from edge_agent.enclave.enclave import Enclave
from protocol.errors import AppraisalError
from protocol.messages import digest
from protocol.party import Publication
from schemas.kinds import Role
from schemas.reason import Reason
from schemas.status import Revocation
from sealedge.client.events import Answered
from tests.support.world import MODEL, START, World

MODULE = b"\0asm" + b"module" * 30_000
NEXT = b"\0asm" + b"second" * 30_000
AGENT, PUBLISHER, VERIFIER = (
    f"sealedge-clinic-{each}" for each in ("agent-agent-1", "publisher-publisher", "verifier-verifier")
)


def folder(world: World, agent: str = "agent-1") -> Path:
    return world.folder / f"{agent}-models"


def files(world: World, agent: str = "agent-1") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder(world, agent).iterdir()}


def put(world: World, found: dict[str, bytes]) -> None:
    folder(world).mkdir(exist_ok=True)
    for name, content in found.items():
        path = folder(world) / name
        path.write_bytes(content)
        path.chmod(0o600)


def running(**about: Any) -> World:
    return World(keeps_models=True, **about).start_all()


def restart(world: World, *gone: str) -> None:
    """The agent dies, then `gone`; the agent comes back."""
    for each in (AGENT, *gone):
        world.broker.crash(each)
    world.start_agent()
    world.broker.advance(10)


def answered(world: World, reading: bytes = b"reading") -> list[bytes]:
    sensor = world.start_sensor()
    request = world.infer(sensor, reading)
    world.broker.advance(20)
    return [each.output for each in world.events(Answered) if each.request == request]


def enclave_of(world: World) -> Enclave:
    found = world.parties[AGENT]._enclave
    assert isinstance(found, Enclave)
    return found


def versions(world: World) -> list[int]:
    return [each.version for each in enclave_of(world)._models.loaded]


def why_refused(world: World) -> list[str]:
    return [str(each["reason"]) for each in world.noted("sealed-model-refused")]


# What it is for


def test_an_agent_that_restarts_serves_though_its_publisher_is_gone() -> None:
    world = running()
    restart(world, PUBLISHER)
    assert [each["version"] for each in world.noted("model-restored")] == [1]
    assert world.compiled == [MODULE]
    assert len(world.noted("chunks-needed")) == 1
    assert answered(world) == [b"gnidaer"]
    assert why_refused(world) == []


def test_without_sealed_models_the_same_restart_has_no_model() -> None:
    """What the test above would see if nothing had been kept."""
    world = World().start_all()
    restart(world, PUBLISHER)
    assert versions(world) == []


def test_the_files_hold_no_module_and_are_their_owners_alone() -> None:
    world = running()
    found = files(world)
    assert sorted(found) == ["scan.code", "scan.lease"]
    for content in found.values():
        assert b"module" * 3 not in content
        assert digest(MODULE) not in content
    assert {path.stat().st_mode & 0o777 for path in folder(world).iterdir()} == {0o600}


def test_a_passport_that_lapses_costs_no_question_to_the_publisher() -> None:
    """Both leases are the same length here: the second one is what the publisher lent beyond the passport."""
    world = running()
    world.broker.crash(PUBLISHER)
    enclave = enclave_of(world)
    enclave._models.erase_all("not-attested")
    assert versions(world) == []
    world.broker.advance(200)
    assert versions(world) == [1]
    assert world.compiled == [MODULE]


def test_a_renewed_lease_is_kept_too() -> None:
    world = running()
    first = files(world)
    world.broker.advance(250)
    assert len(world.noted("key-renewed")) > 0
    later = files(world)
    assert later["scan.lease"] != first["scan.lease"]
    assert later["scan.code"] == first["scan.code"]
    world.broker.crash(PUBLISHER)
    world.broker.advance(60)
    restart(world)
    assert versions(world) == [1]


# Files that are not what was sealed


def edited(name: str, change: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], dict[str, bytes]]:
    return lambda found: {**found, name: change(found[name])}


TAMPERED: dict[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "code: one bit": edited("scan.code", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    "code: one bit within": edited("scan.code", lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:]),
    "code: its salt": edited("scan.code", lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:]),
    "code: cut": edited("scan.code", lambda data: data[:-1]),
    "code: longer": edited("scan.code", lambda data: data + b"\0"),
    "code: another's": edited("scan.code", lambda _: b"\x7fELF" + bytes(1000)),
    "code: the bare module": edited("scan.code", lambda _: MODULE),
    "code: empty": edited("scan.code", lambda _: b""),
    "lease: one bit": edited("scan.lease", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    "lease: cut": edited("scan.lease", lambda data: data[:40]),
    "lease: long": edited("scan.lease", lambda data: data + bytes(60_000)),
    "renamed: the lease for the code": lambda found: {**found, "scan.code": found["scan.lease"]},
    "renamed: the code for the lease": lambda found: {
        "scan.code": found["scan.code"],
        "scan.lease": found["scan.code"][:60_000],
    },
    "swapped": lambda found: {"scan.code": found["scan.lease"], "scan.lease": found["scan.code"][:60_000]},
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED.keys())
def test_an_edited_file_is_refused_and_the_publisher_asked(tamper: Callable[..., dict[str, bytes]]) -> None:
    world = running()
    world.broker.crash(AGENT)
    put(world, tamper(files(world)))
    world.start_agent()
    world.broker.advance(10)
    (why,) = why_refused(world)
    assert why in {"decryption-failed", "malformed", "oversized", "unexpected"}
    assert world.noted("model-restored") == []
    assert world.compiled == [MODULE, MODULE]
    assert answered(world) == [b"gnidaer"]


def test_a_refused_file_is_deleted() -> None:
    world = running()
    world.broker.crash(AGENT)
    put(world, TAMPERED["code: one bit"](files(world)))
    world.broker.crash(PUBLISHER)
    world.start_agent()
    world.broker.advance(10)
    assert files(world) == {}
    assert versions(world) == []


def of_another_agent() -> tuple[World, dict[str, bytes]]:
    """The same machine, one agent's file under the other's name."""
    world = running()
    world.chips["agent-2"] = world.chips["agent-1"]
    world.start_agent("agent-2")
    world.broker.advance(10)
    return world, files(world, "agent-2")


def of_another_machine() -> tuple[World, dict[str, bytes]]:
    world, before = running(), running(seed=1)
    return world, files(before)


def of_another_fleet() -> tuple[World, dict[str, bytes]]:
    world, other = running(), World(fleet="rival", keeps_models=True)
    other.chips["agent-1"] = world.chips["agent-1"]
    return world, files(other.start_all())


def of_another_engine() -> tuple[World, dict[str, bytes]]:
    world = running()
    found, world.engine = files(world), "engine 2; amd64"
    return world, found


def of_another_configuration() -> tuple[World, dict[str, bytes]]:
    world = running()
    found, world.limits = files(world), EnclaveLimits(sessions=7)
    return world, found


def of_an_older_version() -> tuple[World, dict[str, bytes]]:
    world = running()
    found = files(world)
    world.package(NEXT)
    world.start_publisher()
    world.broker.advance(10)
    assert versions(world) == [2]
    return world, found


FOREIGN = (
    of_another_agent,
    of_another_machine,
    of_another_fleet,
    of_another_engine,
    of_another_configuration,
    of_an_older_version,
)


@pytest.mark.parametrize("foreign", FOREIGN)
def test_a_genuine_file_of_another_place_or_time_is_refused(
    foreign: Callable[[], tuple[World, dict[str, bytes]]],
) -> None:
    world, found = foreign()
    newest = versions(world)
    world.broker.crash(AGENT)
    put(world, found)
    world.start_agent()
    world.broker.advance(10)
    assert why_refused(world) == ["decryption-failed"]
    assert world.noted("model-restored") == []
    assert versions(world) == newest


def test_a_host_that_keeps_nothing_costs_a_question_and_no_more() -> None:
    world = running()
    for path in folder(world).iterdir():
        path.unlink()
    restart(world)
    assert why_refused(world) == []
    assert versions(world) == [1]


def test_a_host_that_never_answers_costs_seconds() -> None:
    world = running()
    world.broker.crash(AGENT)
    agent = world.start_agent()
    agent._keep = lambda *_: None
    world.broker.advance(10)
    assert versions(world) == [1]
    assert world.compiled == [MODULE, MODULE]


def test_what_nobody_asked_for_is_not_looked_at() -> None:
    world = running()
    found = files(world)
    enclave = enclave_of(world)
    assert enclave.sealed_model_read(MODEL, found["scan.lease"], found["scan.code"], world.broker.now) == []
    assert enclave.sealed_model_read("another", found["scan.lease"], found["scan.code"], world.broker.now) == []


# When it may not be used


def test_a_lease_that_ended_meanwhile_is_over() -> None:
    world = running(lease_seconds=600)
    found = files(world)
    for each in (AGENT, PUBLISHER):
        world.broker.crash(each)
    world.broker.advance(301)
    assert files(world) == found
    world.start_agent()
    world.broker.advance(10)
    assert why_refused(world) == ["lease-expired"]
    assert versions(world) == []
    assert files(world) == {}


def test_a_lease_that_ends_takes_the_file_along() -> None:
    world = running(lease_seconds=900)
    world.broker.crash(PUBLISHER)
    world.broker.advance(299)
    assert sorted(files(world)) == ["scan.code", "scan.lease"]
    world.broker.advance(2)
    assert (versions(world), files(world)) == ([], {})


def test_an_older_lease_of_the_same_version_ends_when_it_ended() -> None:
    """Rollback of the lease's file: it lends no longer than the publisher once did."""
    world = running(lease_seconds=900)
    first = files(world)
    world.broker.advance(200)
    assert files(world)["scan.lease"] != first["scan.lease"]
    world.broker.crash(AGENT)
    world.broker.crash(PUBLISHER)
    put(world, first)
    world.start_agent()
    world.broker.advance(10)
    assert versions(world) == [1]
    world.broker.advance(91)
    assert (versions(world), files(world)) == ([], {})


@pytest.mark.parametrize("kind", ["model", "credential", "key"])
def test_what_is_revoked_is_deleted_and_never_comes_back(kind: Any) -> None:
    world = running()
    found = files(world)
    publisher = world.holder(Role.PUBLISHER, "publisher")
    identity = world.trust(publisher.store).identify_untrusted(publisher.credential, START, Role.PUBLISHER)
    revoked = {"model": digest(MODULE), "credential": identity.identifier, "key": publisher.signing.public.thumbprint}
    world.revoke(kind, revoked[kind])
    world.settle()
    assert (versions(world), files(world)) == ([], {})
    world.broker.crash(AGENT)
    put(world, found)
    world.start_agent()
    world.broker.advance(60)
    assert versions(world) == []
    assert world.noted("model-restored") == []


def test_a_revoked_enclave_leaves_nothing() -> None:
    world = running()
    world.revoke("key", enclave_of(world).key.public.thumbprint)
    world.settle()
    assert (versions(world), files(world)) == ([], {})


def test_a_model_is_not_taken_back_without_a_live_passport() -> None:
    world = running()
    restart(world, VERIFIER)
    assert world.noted("model-restored") == []
    assert versions(world) == []
    world.start_verifier()
    world.broker.advance(30)
    assert [each["version"] for each in world.noted("model-restored")] == [1]


def test_an_older_revocation_list_than_before_waits_for_the_newer_one() -> None:
    """The host starts its enclave with an old list, and the broker holds the newer one back for a while."""
    world = World(keeps_models=True)
    older = world.revocations
    unrelated = Revocation(kind="chip", identifier=bytes(32), time=int(START))
    newer = world.revocations = world.authority.revoke(2, [unrelated], now=START)
    world.broker.intercept = lambda said: [] if said.topic == world.topics.revocations else [said]
    world.start_all()
    world.revocations = older
    restart(world, PUBLISHER)
    assert why_refused(world) == ["stale"]
    assert versions(world) == []
    assert sorted(files(world)) == ["scan.code", "scan.lease"]
    world.broker.intercept = None
    world.broker.publish(Publication(world.topics.revocations, newer, retain=True))
    world.broker.advance(10)
    assert versions(world) == [1]


def test_a_tier_that_the_manifest_does_not_name_gets_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the publisher would: the tier is what the verifier says now."""
    world = running()
    monkeypatch.setattr("protocol.attestation.Passport.check_tier", refusing)
    restart(world, PUBLISHER)
    assert why_refused(world) == ["tier-not-accepted"]
    assert versions(world) == []


def refusing(*_: object) -> None:
    raise AppraisalError("another tier", reason=Reason.TIER_NOT_ACCEPTED)
