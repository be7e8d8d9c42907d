"""The in-memory broker keeps MQTT 5's promises, breaks them on request, and does both from its seed."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.faults import Faults
from broker.memory import MemoryBroker
from protocol.errors import ProtocolMisuseError, TransportError
from protocol.party import Delivery, Event, Noted, Party, Publication, Subscription
from tests.support.examples import examples


class Ear:
    """Subscribes, and keeps what it hears; answers requests; ticks every `period` seconds."""

    def __init__(self, client_id: str, *filters: str, period: float | None = None, qos: int = 1) -> None:
        self.client_id = client_id
        self.filters = filters
        self.period = period
        self.qos = qos
        self.heard: list[Delivery] = []
        self.ticks: list[float] = []
        self.connects = 0
        self.deadline: float | None = None

    def will(self, now: float) -> Publication | None:
        return Publication(f"state/{self.client_id}", b"lost", retain=True)

    def connected(self, now: float) -> Sequence[Event]:
        self.connects += 1
        if self.period is not None:
            self.deadline = now + self.period
        return [Subscription(wanted, self.qos) for wanted in self.filters]

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        self.heard.append(delivery)
        if delivery.response_topic is None:
            return []
        return [Publication(delivery.response_topic, delivery.payload[::-1], correlation=delivery.correlation)]

    def expire(self, now: float) -> Sequence[Event]:
        self.ticks.append(now)
        self.deadline = now + (self.period or 1.0)
        return [Noted("tick")]

    def leaving(self, now: float) -> Sequence[Event]:
        return [Publication(f"state/{self.client_id}", b"left", retain=True)]

    @property
    def payloads(self) -> list[bytes]:
        return [delivery.payload for delivery in self.heard]


def say(topic: str, payload: bytes = b"x", **fields: Any) -> Callable[[Party, float], Sequence[Event]]:
    return lambda _party, _now: [Publication(topic, payload, **fields)]


def test_a_request_is_answered_on_its_response_topic_with_its_correlation() -> None:
    broker = MemoryBroker()
    asker, server = Ear("asker", "replies/asker"), Ear("server", "requests/+")
    broker.start(asker)
    broker.start(server)
    broker.submit(asker, say("requests/1", b"abc", response_topic="replies/asker", correlation=b"c1"))
    broker.run_until(lambda: bool(asker.heard))
    assert asker.heard == [Delivery("replies/asker", b"cba", None, b"c1")]
    assert [publication.topic for publication in broker.seen] == ["requests/1", "replies/asker"]


def test_retained_reaches_later_subscribers_flagged_and_is_deleted_by_an_empty_payload() -> None:
    broker = MemoryBroker()
    broker.publish(Publication("a/b", b"old", retain=True))
    broker.publish(Publication("a/b", b"new", retain=True))
    broker.publish(Publication("a/c", b"gone", retain=True))
    broker.publish(Publication("a/c", b"", retain=True))
    early = Ear("early", "a/#")
    broker.start(early)
    broker.run()
    assert [(d.payload, d.retained) for d in early.heard] == [(b"new", True)]
    broker.publish(Publication("a/b", b"live", retain=True))
    broker.run()
    assert (early.heard[-1].payload, early.heard[-1].retained) == (b"live", False)
    assert [p.payload for p in broker.retained.history] == [b"old", b"new", b"gone", b"", b"live"]


def test_a_crashed_party_is_survived_by_its_will_and_its_session() -> None:
    broker = MemoryBroker()
    watcher, victim = Ear("watcher", "state/+"), Ear("victim", "work")
    broker.start(watcher)
    broker.start(victim)
    broker.crash(victim)
    broker.publish(Publication("work", b"waited"))
    broker.publish(Publication("work", b"unreliable", qos=0))
    broker.run()
    assert watcher.payloads == [b"lost"]
    reborn = Ear("victim")
    broker.start(reborn)
    broker.run()
    assert (victim.heard, reborn.payloads) == ([], [b"waited"])


def test_a_party_that_leaves_has_no_will() -> None:
    broker = MemoryBroker()
    watcher, leaver = Ear("watcher", "state/+"), Ear("leaver")
    broker.start(watcher)
    broker.start(leaver)
    broker.leave(leaver)
    broker.run()
    assert watcher.payloads == [b"left"]
    with pytest.raises(ProtocolMisuseError):
        broker.leave(leaver)


@pytest.mark.parametrize(("away", "expected"), [(3.0, []), (8.0, [b"lost"])])
def test_a_will_is_not_published_for_who_returns_within_the_delay(away: float, expected: list[bytes]) -> None:
    broker = MemoryBroker(will_delay=5.0)
    watcher, roamer = Ear("watcher", "state/+"), Ear("roamer")
    broker.start(watcher)
    broker.start(roamer)
    broker.cut(roamer)
    broker.advance(away)
    broker.mend(roamer)
    broker.advance(20)
    assert watcher.payloads == expected


def test_what_a_cut_party_publishes_waits_in_order() -> None:
    broker = MemoryBroker()
    ear, mouth = Ear("ear", "t"), Ear("mouth")
    broker.start(ear)
    broker.start(mouth)
    broker.cut(mouth)
    for number in range(5):
        broker.submit(mouth, say("t", b"%d" % number))
    broker.run()
    assert ear.heard == []
    broker.mend(mouth)
    broker.run()
    assert ear.payloads == [b"0", b"1", b"2", b"3", b"4"]
    assert mouth.connects == 2


def test_a_delivery_that_was_handled_but_not_acknowledged_comes_again_and_its_answers_were_lost() -> None:
    broker = MemoryBroker()
    asker, server = Ear("asker", "replies"), Ear("server", "requests")
    broker.start(asker)
    broker.start(server)
    broker.crash(server, before_acknowledging=True)
    broker.submit(asker, say("requests", b"12", response_topic="replies"))
    broker.run()
    assert (server.payloads, asker.heard, broker.is_online(server)) == ([b"12"], [], False)
    again = Ear("server", "requests")
    broker.start(again)
    broker.run()
    assert (again.payloads, asker.payloads) == ([b"12"], [b"21"])


def test_expired_messages_are_not_delivered() -> None:
    broker = MemoryBroker()
    ear = Ear("ear", "t")
    broker.start(ear)
    broker.crash(ear)
    broker.publish(Publication("t", b"short", expiry=10))
    broker.publish(Publication("t", b"long", expiry=1000))
    broker.publish(Publication("kept", b"short", expiry=10, retain=True))
    broker.advance(11)
    late = Ear("ear", "kept")
    broker.start(late)
    broker.run()
    assert late.payloads == [b"long"]
    assert broker.retained.find("kept", broker.now) is None


def test_deadlines_happen_at_their_time() -> None:
    broker = MemoryBroker(now=1000.0)
    ticking = Ear("ticking", period=10.0)
    broker.start(ticking)
    broker.advance(35)
    assert ticking.ticks == [1010.0, 1020.0, 1030.0]
    assert broker.now == 1035.0
    assert len(broker.noted) == 3
    broker.cut(ticking)
    broker.advance(10)
    assert len(ticking.ticks) == 4


def test_a_party_that_keeps_a_past_deadline_is_named_instead_of_looping() -> None:
    class Stuck(Ear):
        def expire(self, now: float) -> Sequence[Event]:
            return []

    broker = MemoryBroker()
    broker.start(Stuck("stuck", period=1.0))
    with pytest.raises(ProtocolMisuseError, match="stuck"):
        broker.advance(5)


def test_run_until_says_when_nothing_is_left_to_happen() -> None:
    with pytest.raises(TransportError, match="not reached"):
        MemoryBroker().run_until(lambda: False)


def test_two_parties_that_never_stop_talking_are_stopped() -> None:
    broker = MemoryBroker()
    broker.start(Ear("echo", "loop"))
    broker.publish(Publication("loop", b"x", response_topic="loop"))

    class Loop(Ear):
        def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
            return [Publication("loop", b"x")]

    broker.start(Loop("looper", "loop"))
    broker.publish(Publication("loop", b"x"))
    with pytest.raises(TransportError, match="still talk"):
        broker.run(limit_steps=500)


def test_a_hostile_broker_swaps_and_invents_and_replays() -> None:
    broker = MemoryBroker()
    ear = Ear("ear", "t")
    broker.start(ear)
    broker.intercept = lambda p: [] if p.payload == b"drop" else [p, Publication(p.topic, b"forged")]
    broker.publish(Publication("t", b"drop"))
    broker.publish(Publication("t", b"real"))
    broker.run()
    assert ear.payloads == [b"real", b"forged"]
    broker.replay([Publication("t", b"yesterday")], retained=True)
    broker.deliver(ear, Delivery("never/subscribed", b"pushed"))
    broker.run()
    assert [(d.topic, d.payload, d.retained) for d in ear.heard[2:]] == [
        ("t", b"yesterday", True),
        ("never/subscribed", b"pushed", False),
    ]


def test_the_tap_sees_who_sent_what() -> None:
    seen: list[tuple[str | None, bytes]] = []
    broker = MemoryBroker(tap=lambda sender, publication: seen.append((sender, publication.payload)))
    mouth = Ear("mouth")
    broker.start(mouth)
    broker.submit(mouth, say("t", b"mine"))
    broker.publish(Publication("t", b"outside"))
    broker.crash(mouth)
    assert seen == [("mouth", b"mine"), (None, b"outside"), ("mouth", b"lost")]


def test_one_member_of_a_shared_subscription_gets_each_message() -> None:
    broker = MemoryBroker(seed=7)
    members = [Ear(f"m{number}", "$share/pool/jobs/+") for number in range(3)]
    for member in members:
        broker.start(member)
    for number in range(60):
        broker.publish(Publication("jobs/x", b"%d" % number))
    broker.run()
    assert sorted(int(p) for member in members for p in member.payloads) == list(range(60))
    assert all(member.heard for member in members)


def test_overlapping_subscriptions_deliver_once_and_unsubscribing_ends_them() -> None:
    broker = MemoryBroker()
    ear = Ear("ear", "a/+", "a/#")
    broker.start(ear)
    broker.publish(Publication("a/b", b"1"))
    broker.submit(ear, lambda _p, _n: [Subscription("a/+", wanted=False), Subscription("a/#", wanted=False)])
    broker.publish(Publication("a/b", b"2"))
    broker.run()
    assert ear.payloads == [b"1"]


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0b"])
def test_illegal_topics_are_a_bug_of_the_party(topic: str) -> None:
    broker = MemoryBroker()
    with pytest.raises(ProtocolMisuseError):
        broker.publish(Publication(topic, b""))


def test_an_exception_of_a_party_is_loud() -> None:
    class Broken(Ear):
        def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
            raise ZeroDivisionError

    broker = MemoryBroker()
    broker.start(Broken("broken", "t"))
    broker.publish(Publication("t", b""))
    with pytest.raises(ZeroDivisionError):
        broker.run()


def scenario(seed: int, faults: Faults) -> list[tuple[str, list[bytes]]]:
    broker = MemoryBroker(seed=seed, faults=faults)
    ears = [Ear(f"ear{number}", "t/#") for number in range(3)]
    for ear in ears:
        broker.start(ear)
    for number in range(30):
        broker.publish(Publication(f"t/{number % 3}", b"%d" % number))
        if number % 4 == 0:
            broker.step()
    broker.advance(100)
    return [(ear.client_id, ear.payloads) for ear in ears]


@given(seed=st.integers(0, 2**32), chance=st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=examples(30), deadline=None)
def test_a_seed_repeats_itself(seed: int, chance: float) -> None:
    faults = Faults(drop=chance / 2, duplicate=chance, reorder=chance, delay=chance)
    assert scenario(seed, faults) == scenario(seed, faults)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=examples(20), deadline=None)
def test_each_fault_does_what_it_says_and_no_more(seed: int) -> None:
    whole = [b"%d" % number for number in range(30)]
    assert scenario(seed, Faults()) == [(f"ear{number}", whole) for number in range(3)]
    for _, payloads in scenario(seed, Faults(drop=1.0)):
        assert payloads == []
    for _, payloads in scenario(seed, Faults(duplicate=1.0)):
        assert payloads == [payload for payload in whole for _ in range(2)]
    for faults in (Faults(reorder=0.9), Faults(delay=0.9)):
        for _, payloads in scenario(seed, faults):
            assert sorted(payloads) == sorted(whole)
    assert any(payloads != whole for _, payloads in scenario(seed, Faults(delay=0.9)))


def test_a_broker_that_forgets_has_neither_sessions_nor_retained_messages() -> None:
    broker = MemoryBroker()
    ear = Ear("ear", "a")
    broker.start(ear)
    broker.publish(Publication("a", b"kept", retain=True))
    assert broker.subscriptions("ear") == {"a": 1}
    broker.forget()
    assert broker.runs("ear")
    assert not broker.is_online(ear)
    assert broker.subscriptions("ear") == {}
    assert len(broker.retained) == 0
    broker.publish(Publication("a", b"lost"))
    broker.mend(ear)
    broker.publish(Publication("a", b"new"))
    broker.run()
    assert ear.payloads == [b"new"]
    broker.crash(ear)
    assert not broker.runs("ear")
    assert not broker.runs("nobody")
