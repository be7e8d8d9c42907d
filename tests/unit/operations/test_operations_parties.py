"""Parties are built from a fleet's folder, and from nothing that nobody else would accept."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_agent.enclave_client import EnclaveCrashedError
from protocol.errors import ConfigurationError
from protocol.party import Event, Noted, Subscription
from schemas.kinds import Role, Tier
from sealedge.operations.describe import load_description
from sealedge.operations.fleet import Fleet
from sealedge.operations.init import FleetPlan, create_fleet
from sealedge.operations.parties import publisher as publishing
from sealedge.operations.parties.agent import build_agent
from sealedge.operations.parties.publisher import build_publisher, package_model
from sealedge.operations.parties.verifier import build_verifier
from sealedge.operations.settings import AgentSettings, PublisherSettings, VerifierSettings

NOW = time.time()
MODULE = b"\0asm" + bytes(100)
DESCRIPTION = """
name = "model"
tiers = ["simulated"]
inputs = [{ name = "x", dtype = "uint8", shape = [1] }]
outputs = [{ name = "y", dtype = "uint8", shape = [1] }]
"""


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def verifier_of(fleet: Fleet) -> VerifierSettings:
    return VerifierSettings.load(fleet.folder.settings(Role.VERIFIER, "verifier"))


def publisher_of(fleet: Fleet) -> PublisherSettings:
    return PublisherSettings.load(fleet.folder.settings(Role.PUBLISHER, "publisher"))


def agent_of(fleet: Fleet) -> AgentSettings:
    return AgentSettings.load(fleet.folder.settings(Role.AGENT, "agent-1"))


def package(fleet: Fleet, closing: ExitStack, module: bytes = MODULE) -> int:
    (fleet.folder.directory / "m.wasm").write_bytes(module)
    (fleet.folder.directory / "m.toml").write_text(DESCRIPTION)
    description = load_description(fleet.folder.directory / "m.toml", None, ())
    path = fleet.folder.directory / "m.wasm"
    return package_model(publisher_of(fleet), path, description, closing, now=NOW).manifest.version


def test_a_verifier_holds_the_fleets_revocations(fleet: Fleet, closing: ExitStack) -> None:
    verifier = build_verifier(verifier_of(fleet), closing, now=NOW)
    assert verifier.trust.revocations.sequence == 1
    assert verifier.client_id == "sealedge-plant-verifier-verifier"


def test_a_newer_list_in_the_store_stands_above_the_file(fleet: Fleet) -> None:
    with ExitStack() as closing:
        verifier = build_verifier(verifier_of(fleet), closing, now=NOW)
        assert verifier.trust.revocations.accept_untrusted(fleet.authority.revoke(5, (), now=NOW))
    with ExitStack() as closing:
        assert build_verifier(verifier_of(fleet), closing, now=NOW).trust.revocations.sequence == 5


def test_a_party_without_a_credential_in_force_does_not_start(fleet: Fleet, closing: ExitStack) -> None:
    with pytest.raises(ConfigurationError, match="ended") as refused:
        build_verifier(verifier_of(fleet), closing, now=NOW + 400 * 86_400)
    assert "credential.cwt" in str(refused.value)


def test_the_state_of_another_authority_is_not_gone_on_with(fleet: Fleet, tmp_path: Path) -> None:
    other = create_fleet(tmp_path / "other", FleetPlan("plant", tee=Tier.SIMULATED), now=NOW, randomness=os.urandom)
    with ExitStack() as closing:
        build_verifier(verifier_of(other), closing, now=NOW)
    settings = verifier_of(fleet).model_copy(update={"state": verifier_of(other).path(Path("state"))})
    with ExitStack() as closing, pytest.raises(ConfigurationError, match="another authority"):
        build_verifier(settings, closing, now=NOW)


def test_a_policy_at_fault_is_named_with_its_file(fleet: Fleet, closing: ExitStack) -> None:
    settings = verifier_of(fleet)
    settings.path(settings.policy).write_text("lease_seconds = 1\n")
    with pytest.raises(ConfigurationError, match=r"policy\.toml: "):
        build_verifier(settings, closing, now=NOW)


def test_a_publisher_serves_what_was_packaged(fleet: Fleet, closing: ExitStack) -> None:
    assert package(fleet, closing) == 1
    assert package(fleet, closing) == 1
    assert package(fleet, closing, MODULE + b"2") == 2
    publisher = build_publisher(publisher_of(fleet), closing, now=NOW)
    noted = [each for each in publisher.connected(NOW) if isinstance(each, Noted)]
    published = [each.detail for each in noted if each.what == "model-published"]
    assert [(each["model"], each["version"]) for each in published] == [("model", 2)]


def test_what_another_process_packages_is_noticed(
    fleet: Fleet, closing: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The looking thread alone: it asks the link once for each change of the store, and ends with it."""
    monkeypatch.setattr(publishing, "LOOK_SECONDS", 0.01)
    stopped, asked = threading.Event(), threading.Event()

    class Link:
        def submit(self, act: object) -> "Link":
            asked.set()
            return self

        def exception(self) -> None:
            return None

    package(fleet, closing)
    state = publisher_of(fleet).path(Path("state"))
    arguments = (Link(), lambda _party, _now: [], state, stopped, lambda _event: None)
    looking = threading.Thread(target=publishing._look, args=arguments)
    looking.start()
    try:
        assert not asked.wait(0.1)
        package(fleet, closing, MODULE + b"2")
        assert asked.wait(5)
    finally:
        stopped.set()
        looking.join()


@pytest.mark.slow
def test_an_agents_enclave_runs_in_a_process_that_ends_with_it(fleet: Fleet) -> None:
    with ExitStack() as closing:
        agent = build_agent(agent_of(fleet), closing, now=NOW)
        assert agent.client_id == "sealedge-plant-agent-agent-1"
        events: list[Event] = list(agent.connected(NOW))
        assert Subscription("sealedge/v1/plant/agent/agent-1/challenge") in events
        enclave = agent._enclave
    assert enclave is not None
    with pytest.raises(EnclaveCrashedError):
        enclave.connected(NOW)


@pytest.mark.slow
@pytest.mark.parametrize("keeps", [True, False])
def test_an_agent_keeps_nothing_where_its_settings_say_so(keeps: bool, fleet: Fleet, closing: ExitStack) -> None:
    settings = agent_of(fleet).model_copy(update={"keep_models": keeps})
    state = settings.path(settings.state)
    kept = [state / "models" / "m.lease", state / "models" / "m.code", state / "bytecode"]
    kept[0].parent.mkdir(parents=True, mode=0o700)
    for path in kept:
        path.write_bytes(b"x")
        path.chmod(0o600)
    agent = build_agent(settings, closing, now=NOW)
    assert [path.exists() for path in kept] == [keeps] * 3
    nothing = [event for event in agent.connected(NOW) if isinstance(event, Noted) and event.what == "bytecode-refused"]
    assert bool(nothing) == keeps


@pytest.mark.parametrize(
    ("change", "said"),
    [({"attester": ""}, "no TEE"), ({"attester": "abacus"}, "attester"), ({"chip_key": None}, "chip_key")],
)
def test_an_agent_without_its_tee_does_not_start(
    change: dict[str, object], said: str, fleet: Fleet, closing: ExitStack
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        build_agent(agent_of(fleet).model_copy(update=change), closing, now=NOW)
