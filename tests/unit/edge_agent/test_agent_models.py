"""The agent keeps what its enclave seals, and a disk that fails costs a note and never the agent."""

from pathlib import Path

import pytest

from edge_agent import model_cache
from edge_agent.agent import Agent
from edge_agent.chunks import ChunkCache
from edge_agent.fetching import ChunkFetcher
from edge_agent.model_cache import ModelCache
from protocol.errors import ConfigurationError, LocalError
from protocol.party import Delivery, Noted
from schemas.topics import FleetTopics
from sealedge.operations.parties.enclave import _sealing_key
from sealedge.operations.settings import AgentSettings
from tests.support.scripted_enclave import TOPIC, ScriptedEnclave
from tests.unit.edge_agent.test_agent import NOW, FakeAttester

CODE = bytes(range(100))


class Scene:
    def __init__(self, folder: Path, models: ModelCache | None) -> None:
        self.enclave = ScriptedEnclave()
        fetcher = ChunkFetcher(FleetTopics("clinic"), ChunkCache(folder / "chunks"))
        self.agent = Agent(lambda: self.enclave, FakeAttester(), fetcher, models=models)
        self.agent.will(NOW)
        self.agent.connected(NOW)

    def say(self, payload: bytes) -> list[str]:
        events = self.agent.receive(Delivery(TOPIC, payload), NOW)
        return [event.what for event in events if isinstance(event, Noted)]


def test_what_is_sealed_is_kept_and_handed_back_to_the_next_agent(tmp_path: Path) -> None:
    assert Scene(tmp_path, ModelCache(tmp_path / "models")).say(b"seal:100") == []
    later = Scene(tmp_path, ModelCache(tmp_path / "models"))
    assert later.say(b"read") == ["read"]
    assert later.enclave.calls[-1] == ("sealed_model_read", "scan", b"lease", CODE, NOW)


def test_what_has_ended_is_deleted(tmp_path: Path) -> None:
    scene = Scene(tmp_path, ModelCache(tmp_path / "models"))
    scene.say(b"seal:100")
    assert scene.say(b"end") == []
    scene.say(b"read")
    assert scene.enclave.calls[-1] == ("sealed_model_read", "scan", b"", b"", NOW)


def test_an_agent_that_keeps_nothing_answers_with_nothing(tmp_path: Path) -> None:
    scene = Scene(tmp_path, None)
    assert [scene.say(b"seal:100"), scene.say(b"end"), scene.say(b"read")] == [[], [], ["read"]]
    assert scene.enclave.calls[-1] == ("sealed_model_read", "scan", b"", b"", NOW)


def test_a_disk_that_fails_is_noted_and_the_enclave_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path, ModelCache(tmp_path / "models"))
    scene.say(b"seal:100")

    def failing(*_: object, **__: object) -> bytes:
        raise ConfigurationError("input/output error")

    for name in ("read_private", "write_private"):
        monkeypatch.setattr(model_cache, name, failing)
    assert scene.say(b"seal:100") == ["model-not-kept"]
    assert scene.say(b"read") == ["model-not-kept", "read"]
    assert scene.enclave.calls[-1] == ("sealed_model_read", "scan", b"", b"", NOW)


class Sealing(FakeAttester):
    def __init__(self, found: bytes | None, fault: LocalError | None = None) -> None:
        super().__init__()
        self.found, self.fault, self.labels = found, fault, list[bytes]()

    def sealing_key(self, label: bytes) -> bytes | None:
        self.labels.append(label)
        if self.fault is not None:
            raise self.fault
        return self.found


def settings(name: str = "agent-1", fleet: str = "clinic") -> AgentSettings:
    return AgentSettings.model_construct(name=name, fleet=fleet)


def test_each_agent_of_each_fleet_asks_for_a_key_of_its_own() -> None:
    tee = Sealing(b"k" * 32)
    for each in (settings(), settings("agent-2"), settings(fleet="rival")):
        assert _sealing_key(tee, each) == (b"k" * 32, ())
    assert len(set(tee.labels)) == 3


def test_a_tee_without_a_key_or_that_fails_is_noted_and_the_agent_starts() -> None:
    key, notes = _sealing_key(Sealing(None), settings())
    assert (key, [each.what for each in notes]) == (None, ["nothing-sealed"])
    key, notes = _sealing_key(Sealing(None, ConfigurationError("no TPM")), settings())
    assert (key, [each.what for each in notes]) == (None, ["sealing-failed"])
