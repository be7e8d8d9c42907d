"""Enrolling TPMs: what the challenge proves, and who cannot answer it. Against swtpm: no hardware was there."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.agent import Agent
from edge_agent.attester.tpm_settings import DEFAULT_TCTI
from edge_agent.attester.tpm_tools import TpmError
from protocol.errors import (
    AppraisalError,
    AuthenticationError,
    ConfigurationError,
    FreshnessError,
    MalformedError,
    UnsupportedError,
)
from protocol.party import Noted
from protocol.trust import Trust
from schemas.kinds import Role, Tier
from sealedge.operations.enrol import enrol, enrol_chips
from sealedge.operations.fleet import Fleet, open_fleet
from sealedge.operations.init import FleetPlan, create_fleet
from sealedge.operations.parties.agent import build_agent
from sealedge.operations.settings import AgentSettings
from sealedge.operations.tpm_challenge import PENDING_SECONDS, accept_answer, challenge
from sealedge.operations.tpm_documents import Answer, Challenge, Document, Identity, Pending
from sealedge.operations.tpm_machine import activate, identify
from storage.store import MemoryStore
from tests.support.tpms import Machine, machine
from verifier.evidence.tpm_keys import DECRYPT, FIXED_PARENT, FIXED_TPM, RESTRICTED, SENSITIVE_DATA_ORIGIN, SIGN

NOW = time.time()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "plant"
    create_fleet(folder, FleetPlan("plant", ("east", "west"), tee=Tier.TPM), now=NOW, randomness=os.urandom)
    return folder


@pytest.fixture
def fleet(made: Path, tmp_path: Path) -> Fleet:
    return open_fleet(shutil.copytree(made, tmp_path / "plant"))


@pytest.fixture(scope="module")
def tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("machine")) as found:
        yield found


@pytest.fixture
def east(fleet: Fleet, tpm: Machine) -> AgentSettings:
    """An agent whose settings lead to a TPM that was just switched on."""
    tpm.restart()
    return led_to(fleet, "east", tpm)


def led_to(fleet: Fleet, name: str, tpm: Machine) -> AgentSettings:
    path = fleet.folder.settings(Role.AGENT, name)
    path.write_text(path.read_text().replace(DEFAULT_TCTI, tpm.tpm.tcti))
    return AgentSettings.load(path)


def asked(fleet: Fleet, identity: Identity, now: float = NOW) -> Challenge:
    return challenge(fleet.folder, identity, None, now=now, randomness=os.urandom).challenge


def chips(fleet: Fleet, name: str) -> set[bytes]:
    """What the agent's enrolment lists."""
    content = (fleet.folder.party(Role.AGENT, name) / "enrolment.cwt").read_bytes()
    trust = Trust(fleet.name, fleet.authority.key.public, MemoryStore())
    return set(trust.identify_untrusted(content, NOW, Role.AGENT).chips)


# The ceremony


def test_a_tpm_proves_its_key_and_the_agent_may_run_there(fleet: Fleet, east: AgentSettings) -> None:
    assert chips(fleet, "east") == set()
    identity = identify(east)
    answer = activate(east, asked(fleet, identity))
    chip = accept_answer(fleet.folder, answer, NOW)
    enrol_chips(fleet, "east", [chip], now=NOW, randomness=os.urandom)
    assert chips(fleet, "east") == {chip} == {bytes.fromhex(identity.chip)}


@pytest.mark.slow
def test_the_ceremony_goes_by_files_that_hold_no_secret(fleet: Fleet, east: AgentSettings, tmp_path: Path) -> None:
    identify(east).write(tmp_path / "identity")
    found = asked(fleet, Identity.read_untrusted(tmp_path / "identity"))
    found.write(tmp_path / "challenge")
    answer = activate(east, Challenge.read_untrusted(tmp_path / "challenge"))
    answer.write(tmp_path / "answer")
    assert answer.secret not in (tmp_path / "challenge").read_text() + (tmp_path / "identity").read_text()
    assert answer.secret not in next((fleet.folder.authority / "tpm").iterdir()).read_text() + repr(answer)
    assert accept_answer(fleet.folder, Answer.read_untrusted(tmp_path / "answer"), NOW).hex() == answer.chip


@pytest.mark.slow
def test_an_answer_counts_once(fleet: Fleet, east: AgentSettings) -> None:
    answer = activate(east, asked(fleet, identify(east)))
    accept_answer(fleet.folder, answer, NOW)
    with pytest.raises(AuthenticationError, match="used up"):
        accept_answer(fleet.folder, answer, NOW)


@pytest.mark.slow
def test_a_wrong_answer_is_refused_and_the_right_one_still_counts(fleet: Fleet, east: AgentSettings) -> None:
    answer = activate(east, asked(fleet, identify(east)))
    with pytest.raises(AuthenticationError, match="not what was asked for"):
        accept_answer(fleet.folder, answer.model_copy(update={"secret": "00" * 32}), NOW)
    accept_answer(fleet.folder, answer, NOW)


@pytest.mark.slow
def test_an_answer_that_comes_too_late_is_refused(fleet: Fleet, east: AgentSettings) -> None:
    answer = activate(east, asked(fleet, identify(east)))
    with pytest.raises(FreshnessError):
        accept_answer(fleet.folder, answer, NOW + PENDING_SECONDS + 1)


@pytest.mark.slow
def test_an_old_challenge_is_replaced_by_the_next(fleet: Fleet, east: AgentSettings) -> None:
    identity = identify(east)
    old, new = activate(east, asked(fleet, identity)), activate(east, asked(fleet, identity))
    with pytest.raises(AuthenticationError):
        accept_answer(fleet.folder, old, NOW)
    accept_answer(fleet.folder, new, NOW)


# Who cannot answer


@pytest.mark.slow
def test_another_tpm_cannot_answer(fleet: Fleet, east: AgentSettings, tmp_path: Path) -> None:
    with machine(tmp_path / "other") as other:
        west = led_to(fleet, "west", other)
        found = asked(fleet, identify(east))
        identify(west)
        with pytest.raises(AuthenticationError, match="for another machine"):
            activate(west, found)
        with pytest.raises(TpmError):
            activate(west, found.model_copy(update={"chip": identify(west).chip}))


@pytest.mark.slow
def test_a_key_of_one_tpm_under_the_name_of_another_cannot_answer(
    fleet: Fleet, east: AgentSettings, tmp_path: Path
) -> None:
    """The attack that MakeCredential is there for: a genuine EK, and an AK that does not live with it."""
    with machine(tmp_path / "other") as other:
        west = led_to(fleet, "west", other)
        mixed = identify(west).model_copy(update={"ek": identify(east).ek})
        found = asked(fleet, mixed)
        with pytest.raises(TpmError):
            activate(west, found)
        with pytest.raises(TpmError):
            activate(east, found.model_copy(update={"chip": identify(east).chip}))


def altered(public: bytes, bits: int) -> bytes:
    """A TPM2B_PUBLIC with some attributes turned: they are the 32 bits behind size, type and name algorithm."""
    attributes = int.from_bytes(public[6:10], "big") ^ bits
    return public[:6] + attributes.to_bytes(4, "big") + public[10:]


@pytest.mark.slow
@pytest.mark.parametrize("bits", [FIXED_TPM, FIXED_PARENT, SENSITIVE_DATA_ORIGIN, RESTRICTED, SIGN, DECRYPT], ids=hex)
@pytest.mark.parametrize("name", ["ak", "ek"])
def test_a_key_that_could_leave_or_sign_lies_is_not_challenged(
    fleet: Fleet, east: AgentSettings, name: str, bits: int
) -> None:
    identity = identify(east)
    public = altered(getattr(identity, name), bits)
    with pytest.raises((AppraisalError, AuthenticationError)):
        asked(fleet, identity.model_copy(update={name: public}))
    assert not (fleet.folder.authority / "tpm").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ak", "ek"])
def test_a_key_whose_name_is_a_sha1_is_not_challenged(fleet: Fleet, east: AgentSettings, name: str) -> None:
    """Who finds two keys of one name could have a key of software take the place of the TPM's."""
    identity = identify(east)
    public = getattr(identity, name)
    weak = public[:4] + b"\0\4" + public[6:]
    with pytest.raises(UnsupportedError):
        asked(fleet, identity.model_copy(update={name: weak}))
    assert not (fleet.folder.authority / "tpm").exists()


@pytest.mark.slow
def test_attributes_that_lie_make_a_challenge_that_nobody_answers(fleet: Fleet, east: AgentSettings) -> None:
    """Another attribute, which is not checked, still changes the name that the challenge is for."""
    user_with_auth = 1 << 6
    identity = identify(east)
    found = asked(fleet, identity.model_copy(update={"ak": altered(identity.ak, user_with_auth)}))
    with pytest.raises(TpmError):
        activate(east, found)


@pytest.mark.slow
def test_a_chip_that_is_not_the_keys_is_refused(fleet: Fleet, east: AgentSettings) -> None:
    with pytest.raises(AuthenticationError, match="another chip"):
        asked(fleet, identify(east).model_copy(update={"chip": "00" * 32}))


@pytest.mark.slow
def test_challenges_are_made_where_the_authority_is(fleet: Fleet, east: AgentSettings) -> None:
    shutil.rmtree(fleet.folder.authority)
    with pytest.raises(ConfigurationError, match="authority"):
        asked(fleet, identify(east))


# The documents


@given(
    st.binary(max_size=200) | st.dictionaries(st.text(max_size=9), st.text(max_size=9)).map(lambda d: str(d).encode())
)
def test_bytes_of_anybody_are_no_document(data: bytes) -> None:
    kinds: tuple[type[Document], ...] = (Identity, Challenge, Answer, Pending)
    for kind in kinds:
        with pytest.raises(MalformedError):
            kind.parse_untrusted(data, "file")


@pytest.mark.slow
def test_a_document_of_another_kind_or_with_more_in_it_is_refused(east: AgentSettings) -> None:
    said = identify(east).model_dump_json()
    assert Identity.parse_untrusted(said.encode(), "file").model_dump_json() == said
    for old, new in (("identity-1", "identity-2"), ("}", ',"more":1}'), ('"chip":"', '"chip":"z')):
        with pytest.raises(MalformedError):
            Identity.parse_untrusted(said.replace(old, new).encode(), "file")


# Chips by hand


def test_chips_may_be_named_when_an_agent_is_added_or_later(fleet: Fleet) -> None:
    one, two = bytes(32), bytes(range(32))
    enrol(fleet, Role.AGENT, "north", now=NOW, randomness=os.urandom, chips=[one, two])
    assert chips(fleet, "north") == {one, two}
    enrol_chips(fleet, "north", [two], now=NOW, randomness=os.urandom)
    assert chips(fleet, "north") == {two}


def test_chips_are_for_agents_of_hardware_alone(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="hardware TEE"):
        enrol(fleet, Role.SENSOR, "s", now=NOW, randomness=os.urandom, chips=[bytes(32)])
    plan = FleetPlan("plant", tee=Tier.SIMULATED)
    simulated = create_fleet(tmp_path / "simulated", plan, now=NOW, randomness=os.urandom)
    with pytest.raises(ConfigurationError, match="hardware TEE"):
        enrol_chips(simulated, "agent-1", [bytes(32)], now=NOW, randomness=os.urandom)
    with pytest.raises(ConfigurationError, match="at most 64"):
        enrol_chips(fleet, "east", [bytes(32)] * 65, now=NOW, randomness=os.urandom)
    with pytest.raises(ConfigurationError, match="no agent of this name"):
        enrol_chips(fleet, "nobody", [bytes(32)], now=NOW, randomness=os.urandom)


# The agent on it


def built(settings: AgentSettings, closing: ExitStack) -> tuple[Agent, list[Noted]]:
    agent = build_agent(settings, closing, now=NOW)
    return agent, [each for each in agent.connected(NOW) if isinstance(each, Noted)]


@pytest.mark.slow
def test_an_agent_keeps_its_cache_for_this_machine_as_it_is(fleet: Fleet, east: AgentSettings, tpm: Machine) -> None:
    identify(east)
    with ExitStack() as closing:
        assert "cache-key-lost" not in [each.what for each in built(east, closing)[1]]
    before = east.tpm_place.sealed_key.read_bytes()
    with ExitStack() as closing:
        built(east, closing)
    assert east.tpm_place.sealed_key.read_bytes() == before
    tpm.run("pcrextend", f"7:sha256={'22' * 32}")
    with ExitStack() as closing:
        strict = east.model_copy(update={"tpm": east.tpm.model_copy(update={"seal_pcrs": (7,)})})
        assert "cache-key-lost" in [each.what for each in built(strict, closing)[1]]
    assert east.tpm_place.sealed_key.read_bytes() != before


def test_an_agent_without_an_identity_does_not_start(east: AgentSettings) -> None:
    with ExitStack() as closing, pytest.raises(ConfigurationError, match="no identity yet"):
        build_agent(east, closing, now=NOW)
