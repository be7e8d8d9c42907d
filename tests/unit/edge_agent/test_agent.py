"""The agent: forwards, lets the TEE sign, fetches chunks, bounds, and outlives its enclave's crashes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.agent import MAX_NEEDS, MAX_PAYLOAD, Agent
from edge_agent.chunks import ChunkCache
from edge_agent.enclave.needs import EvidenceNeeded
from edge_agent.enclave_client import EnclaveCrashedError
from edge_agent.fetching import SILENT_SECONDS, ChunkFetcher
from edge_agent.host import EnclaveProcess
from edge_agent.restarting import CALM_SECONDS, LONGEST_WAIT, Restarts
from protocol.errors import ConfigurationError, EnclaveError
from protocol.messages import digest
from protocol.party import Delivery, Event, Noted, Publication, Subscription
from schemas.kinds import Tier
from schemas.topics import FleetTopics
from tests.support.scripted_enclave import COMMAND, CONFIGURATION, TOPIC, ScriptedEnclave

NOW = 1_800_000_000.0
TOPICS = FleetTopics("clinic")
A, B = b"a" * 100, b"b" * 100
BIRTH = Publication("status", b"online")
WILL = Publication("status", b"lost")


class FakeAttester:
    name, tier, media_type = "fake", Tier.SIMULATED, "application/fake"

    def __init__(self) -> None:
        self.works = True

    def collect(self, report_data: bytes) -> bytes:
        if not self.works:
            raise ConfigurationError("the TEE is not there")
        return b"signed " + report_data

    def sealing_key(self, label: bytes) -> bytes | None:
        return None


class Stage:
    """An agent with scripted enclaves: `enclaves` lists all that were started."""

    def __init__(self, folder: Path, make: Callable[[], ScriptedEnclave] | None = None) -> None:
        self.enclaves: list[ScriptedEnclave] = []
        self.make = make or (lambda: ScriptedEnclave(will=WILL, connected=(Subscription(TOPIC), BIRTH)))
        self.attester = FakeAttester()
        self.agent = Agent(self.start, self.attester, ChunkFetcher(TOPICS, ChunkCache(folder)))

    def start(self) -> ScriptedEnclave:
        self.enclaves.append(self.make())
        return self.enclaves[-1]

    def connect(self, now: float = NOW) -> Sequence[Event]:
        self.agent.will(now)
        return self.agent.connected(now)

    def say(self, payload: bytes, now: float = NOW) -> Sequence[Event]:
        return self.agent.receive(Delivery(TOPIC, payload), now)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    found = Stage(tmp_path)
    found.connect()
    return found


def notes(events: Sequence[Event]) -> list[str]:
    return [event.what for event in events if isinstance(event, Noted)]


# Forwarding


def test_the_enclave_is_the_party_and_the_agent_its_courier(stage: Stage) -> None:
    agent, enclave = stage.agent, stage.enclaves[0]
    assert agent.client_id == enclave.client_id
    assert agent.will(NOW) == WILL
    assert list(agent.connected(NOW)) == [Subscription(TOPIC), BIRTH]
    delivery = Delivery(TOPIC, b"hello", "reply/to", b"corr", True)
    assert list(agent.receive(delivery, NOW + 1)) == [Publication("echo", b"hello", correlation=b"corr")]
    assert enclave.calls[-1] == ("receive", delivery, NOW + 1)
    assert list(agent.leaving(NOW + 2)) == [Noted("left")]


def test_the_enclaves_deadline_is_the_agents(stage: Stage) -> None:
    assert stage.agent.deadline is None
    stage.say(b"due:%d" % (NOW + 5))
    assert stage.agent.deadline == NOW + 5
    assert list(stage.agent.expire(NOW + 4)) == []
    assert list(stage.agent.expire(NOW + 5)) == [Noted("expired")]
    assert stage.agent.deadline is None


def test_evidence_is_signed_by_the_tee_and_handed_back(stage: Stage) -> None:
    evidence = b"signed " + b"r" * 64
    assert list(stage.say(b"evidence")) == [Publication("evidence", evidence)]
    assert stage.enclaves[0].calls[-1] == ("evidence_collected", b"token", "application/fake", evidence, NOW)


def test_a_tee_that_fails_is_noted_and_nothing_else_stops(stage: Stage) -> None:
    stage.attester.works = False
    assert notes(stage.say(b"evidence")) == ["attester-failed"]
    assert stage.enclaves[0].calls[-1][0] == "receive"
    assert list(stage.say(b"hello")) == [Publication("echo", b"hello")]


def test_a_refused_call_is_noted_and_the_enclave_stays(stage: Stage) -> None:
    (refused,) = stage.say(b"refuse")
    assert refused == Noted("enclave-refused", {"why": "busy: not today"})
    assert len(stage.enclaves) == 1


# Chunks


def chunk(payload: bytes, content: bytes | None = None) -> Delivery:
    return Delivery(TOPICS.chunk("scan", digest(payload)), payload if content is None else content, retained=True)


def need(*payloads: bytes) -> bytes:
    return b"chunks:" + b" ".join(digest(each).hex().encode() for each in payloads)


def test_chunks_are_fetched_by_the_host_and_handed_in_together(stage: Stage) -> None:
    asked = stage.say(need(A, B))
    assert [each.topic_filter for each in asked if isinstance(each, Subscription)] == [chunk(A).topic, chunk(B).topic]
    first = stage.agent.receive(chunk(B), NOW)
    assert list(first) == [Subscription(chunk(B).topic, wanted=False)]
    second = stage.agent.receive(chunk(A), NOW)
    assert list(second) == [
        Subscription(chunk(A).topic, wanted=False),
        Noted("loaded", {"model": "scan", "bytes": 200, "chunks": 2}),
    ]
    assert stage.enclaves[0].calls[-1] == ("chunks_collected", "scan", (A, B), NOW)


def test_chunks_in_the_cache_are_handed_in_at_once(stage: Stage) -> None:
    stage.say(need(A))
    stage.agent.receive(chunk(A), NOW)
    assert notes(stage.say(need(A))) == ["chunks-needed", "loaded"]


def test_chunks_never_reach_the_enclave_as_deliveries(stage: Stage) -> None:
    stage.say(need(A))
    assert notes(stage.agent.receive(chunk(A, b"other bytes"), NOW)) == ["dropped"]
    stage.agent.receive(chunk(A), NOW)
    assert notes(stage.agent.receive(chunk(A), NOW)) == ["dropped"]
    assert [call[0] for call in stage.enclaves[0].calls].count("receive") == 1
    assert stage.agent.dropped == {"binding-mismatch": 1, "unexpected": 1}


def test_a_failed_fetch_lets_the_enclave_ask_again(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.agent = Agent(stage.start, stage.attester, ChunkFetcher(TOPICS, ChunkCache(tmp_path, max_bytes=50)))
    stage.connect()
    stage.say(need(A))
    assert notes(stage.agent.receive(chunk(A), NOW)) == ["chunks-failed", "loaded"]
    assert stage.enclaves[-1].calls[-1] == ("chunks_collected", "scan", (), NOW)


def test_chunks_that_do_not_come_are_asked_for_again(stage: Stage) -> None:
    stage.say(need(A))
    assert stage.agent.deadline == NOW + SILENT_SECONDS
    again = stage.agent.expire(NOW + SILENT_SECONDS)
    assert notes(again) == ["chunks-silent"]
    assert Subscription(chunk(A).topic) in again
    assert stage.agent.deadline == NOW + 2 * SILENT_SECONDS


# Bounds


def test_topics_that_the_enclave_did_not_ask_for_are_dropped_and_counted(stage: Stage) -> None:
    for number in range(3):
        (dropped,) = stage.agent.receive(Delivery("sealedge/v1/clinic/agent/other/request", b"x"), NOW)
        assert dropped.detail["count"] == number + 1
    assert [call[0] for call in stage.enclaves[0].calls] == ["will", "connected"]


def test_a_payload_beyond_the_limit_is_dropped(stage: Stage) -> None:
    assert notes(stage.say(bytes(MAX_PAYLOAD + 1))) == ["dropped"]
    assert stage.agent.dropped == {"oversized": 1}
    assert not any(call[0] == "receive" for call in stage.enclaves[0].calls)


def test_wildcard_filters_are_understood_and_can_end(tmp_path: Path) -> None:
    stage = Stage(tmp_path, lambda: ScriptedEnclave(connected=(Subscription("a/+"), Subscription("b"))))
    stage.connect()
    assert list(stage.agent.receive(Delivery("a/x", b"hello"), NOW)) == [Publication("echo", b"hello")]
    stage.enclaves[0]._connected = (Subscription("a/+", wanted=False),)
    stage.agent.connected(NOW)
    assert notes(stage.agent.receive(Delivery("a/x", b"hello"), NOW)) == ["dropped"]
    assert list(stage.agent.receive(Delivery("b", b"hello"), NOW)) == [Publication("echo", b"hello")]


def test_an_enclave_that_needs_without_end_is_replaced(tmp_path: Path) -> None:
    class Insatiable(ScriptedEnclave):
        def evidence_collected(self, *arguments: object) -> Sequence[Event]:
            super().evidence_collected(*arguments)
            return [EvidenceNeeded(b"again", b"r" * 64)]

    stage = Stage(tmp_path, Insatiable)
    stage.connect()
    assert notes(stage.say(b"evidence")) == ["enclave-crashed", "enclave-restarted"]
    assert len(stage.enclaves[0].calls) < MAX_NEEDS + 5


@given(st.text(max_size=60), st.binary(max_size=60))
def test_no_delivery_makes_the_agent_raise(
    tmp_path_factory: pytest.TempPathFactory, topic: str, payload: bytes
) -> None:
    stage = Stage(tmp_path_factory.getbasetemp())
    stage.connect()
    stage.say(b"chunks:" + digest(b"the chunk of " + topic.encode()).hex().encode())
    stage.agent.receive(Delivery(topic, payload), NOW)
    stage.agent.receive(Delivery(TOPICS.chunk("scan", digest(b"the chunk of " + topic.encode())), payload), NOW)
    assert stage.agent.dropped.total() == 2


# Crashes


def test_a_crash_is_noted_and_a_new_enclave_comes_online_at_once(stage: Stage) -> None:
    events = stage.say(b"crash", NOW + 1)
    assert notes(events) == ["enclave-crashed", "enclave-restarted"]
    assert list(events)[-2:] == [Subscription(TOPIC), BIRTH]
    assert stage.enclaves[1].calls == [("will", NOW + 1), ("connected", NOW + 1)]
    assert list(stage.say(b"hello")) == [Publication("echo", b"hello")]


def test_what_crashed_one_enclave_is_not_given_to_the_next(stage: Stage) -> None:
    stage.say(b"crash")
    assert not any(call[0] == "receive" for call in stage.enclaves[1].calls)


def test_an_enclave_that_keeps_crashing_is_restarted_ever_later(stage: Stage) -> None:
    stage.say(b"crash", NOW)
    now, waits = NOW, []
    for _ in range(9):
        assert notes(stage.say(b"crash", now)) == ["enclave-crashed"]
        assert notes(stage.say(b"hello", now)) == ["dropped"]
        due = stage.agent.deadline
        assert due is not None
        assert list(stage.agent.expire(due - 0.5)) == []
        assert "enclave-restarted" in notes(stage.agent.expire(due))
        waits.append(due - now)
        now = due
    assert waits == [1, 2, 4, 8, 16, 32, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]
    assert notes(stage.say(b"crash", now + CALM_SECONDS)) == ["enclave-crashed", "enclave-restarted"]


def test_an_enclave_that_does_not_start_again_is_tried_later(stage: Stage) -> None:
    def refuse() -> ScriptedEnclave:
        raise EnclaveError("no memory")

    working, stage.make = stage.make, refuse
    assert notes(stage.say(b"crash")) == ["enclave-crashed", "enclave-not-started"]
    due = stage.agent.deadline
    assert due is not None
    assert due > NOW
    assert notes(stage.agent.expire(due)) == ["enclave-not-started"]
    stage.make = working
    assert notes(stage.agent.expire(due + LONGEST_WAIT)) == ["enclave-restarted"]


def test_a_first_start_that_fails_is_the_callers_to_handle(tmp_path: Path) -> None:
    def refuse() -> ScriptedEnclave:
        raise ConfigurationError("no such model")

    with pytest.raises(ConfigurationError):
        Stage(tmp_path, refuse)


def test_a_crash_while_asked_for_the_will_gives_the_next_enclaves_will(tmp_path: Path) -> None:
    class Frail(ScriptedEnclave):
        def will(self, now: float) -> Publication | None:
            raise EnclaveCrashedError("gone")

    stage = Stage(tmp_path, Frail)
    stage.make = lambda: ScriptedEnclave(will=WILL)
    assert stage.agent.will(NOW) == WILL
    assert notes(stage.agent.connected(NOW)) == ["enclave-crashed", "enclave-restarted"]
    assert stage.enclaves[1].calls == [("will", NOW), ("connected", NOW)]


def test_enclaves_that_crash_at_every_birth_do_not_recurse(tmp_path: Path) -> None:
    class Stillborn(ScriptedEnclave):
        def will(self, now: float) -> Publication | None:
            raise EnclaveCrashedError("gone")

        def connected(self, now: float) -> Sequence[Event]:
            raise EnclaveCrashedError("gone")

    stage = Stage(tmp_path, Stillborn)
    assert stage.agent.will(NOW) is None
    now = NOW
    for _ in range(5):
        stage.agent.connected(now)
        due = stage.agent.deadline
        assert due is not None
        assert due >= now
        now = due + 1
        stage.agent.expire(now)
    assert len(stage.enclaves) < 10


def test_a_crash_gives_the_fetches_of_the_old_enclave_up(stage: Stage) -> None:
    stage.say(need(A))
    assert Subscription(chunk(A).topic, wanted=False) in stage.say(b"crash")
    assert notes(stage.agent.receive(chunk(A), NOW)) == ["dropped"]


def test_deliveries_wait_for_nobody_while_there_is_no_enclave(stage: Stage) -> None:
    stage.say(b"crash")
    stage.say(b"crash")
    assert stage.agent.will(NOW) is None
    assert list(stage.agent.connected(NOW)) == []
    assert notes(stage.say(b"hello")) == ["dropped"]
    assert list(stage.agent.leaving(NOW)) == []


def test_the_schedule_is_calm_again_only_after_a_calm_run() -> None:
    restarts = Restarts()
    restarts.crashed(NOW)
    assert restarts.is_due(NOW)
    restarts.crashed(NOW + 1000)
    assert not restarts.is_due(NOW + 1000), "a start that failed is no calm time"
    restarts.started(NOW + 1001)
    assert restarts.due_at is None
    restarts.crashed(NOW + 1001 + CALM_SECONDS)
    assert restarts.is_due(NOW + 1001 + CALM_SECONDS)


@pytest.mark.slow
def test_an_agent_over_a_real_process_survives_its_death(tmp_path: Path) -> None:
    with EnclaveProcess(CONFIGURATION, COMMAND) as process:
        agent = Agent(process.start, FakeAttester(), ChunkFetcher(TOPICS, ChunkCache(tmp_path)))
        agent.connected(NOW)
        assert notes(agent.receive(Delivery(TOPIC, b"die"), NOW)) == ["enclave-crashed", "enclave-restarted"]
        assert list(agent.receive(Delivery(TOPIC, b"evidence"), NOW)) == [
            Publication("evidence", b"signed " + b"r" * 64)
        ]
