"""The link against real brokers: both that are embedded."""

import os
import signal
import socket
import time
from collections.abc import Sequence

import pytest

from broker.embedded import Embedded
from broker.link import Link
from protocol.errors import TransportError
from protocol.party import Delivery, Event, Publication, Subscription
from tests.support.link_parties import Recorder, background, eventually, say, settings, threaded


def save(mosquitto: Embedded) -> None:
    """Let mosquitto write its sessions now, which it does by itself every two seconds (autosave_interval)."""
    assert mosquitto.pid is not None
    assert mosquitto.directory is not None
    saved = mosquitto.directory / "mosquitto.db"
    before = saved.stat().st_mtime_ns if saved.exists() else 0
    os.kill(mosquitto.pid, signal.SIGUSR1)
    eventually(lambda: saved.exists() and saved.stat().st_mtime_ns > before)


def test_a_request_is_answered_on_its_response_topic_with_its_correlation(shared_broker: Embedded) -> None:
    asker, server = Recorder("rr-asker", "rr/replies"), Recorder("rr-server", "rr/requests/+")
    with threaded(server, shared_broker.url), threaded(asker, shared_broker.url) as link:
        link.submit(say("rr/requests/1", b"abc", response_topic="rr/replies", correlation=b"\0c1", expiry=60))
        eventually(lambda: asker.heard)
    assert asker.heard == [Delivery("rr/replies", b"cba", None, b"\0c1")]
    assert server.heard == [Delivery("rr/requests/1", b"abc", "rr/replies", b"\0c1")]


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="only Linux can be told not to delay acknowledgements")
def test_round_trips_do_not_wait_for_delayed_acknowledgements(shared_broker: Embedded) -> None:
    """40 ms each, on Linux: Nagle's algorithm at one end, delayed TCP acknowledgements at the other."""
    took: list[float] = []

    class Asker(Recorder):
        def ask(self) -> Sequence[Event]:
            self.asked = time.monotonic()
            return [Publication("tr/requests", bytes(256), response_topic="tr/replies")]

        def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
            took.append(time.monotonic() - self.asked)
            return self.ask() if len(took) < 40 else []

    asker, server = Asker("tr-asker", "tr/replies"), Recorder("tr-server", "tr/requests")
    with threaded(server, shared_broker.url), threaded(asker, shared_broker.url) as link:
        link.submit(lambda _p, _n: asker.ask())
        eventually(lambda: len(took) == 40)
    # On a busy machine some take long, but not the quickest of the later ones; a new connection delays nothing.
    assert min(took[20:]) < 0.02


@pytest.mark.slow
def test_what_is_retained_stays_for_its_time_however_many_come_for_it(shared_broker: Embedded) -> None:
    """rumqttd would take its age off its expiry for each of them: 1.2, 1.3, ... of 5 seconds."""
    with threaded(Recorder("st-mouth"), shared_broker.url) as link:
        link.submit(say("st/state", b"on", retain=True, expiry=5))
        time.sleep(1.2)
        for number in range(5):
            later = Recorder(f"st-later-{number}", "st/+")
            with threaded(later, shared_broker.url):
                eventually(lambda later=later: later.heard, seconds=2)
        link.submit(say("st/state", b"", retain=True))


def test_retained_is_flagged_for_who_comes_later_and_not_for_who_is_there(shared_broker: Embedded) -> None:
    mouth, there, later = Recorder("re-mouth"), Recorder("re-there", "re/+"), Recorder("re-later", "re/+")
    with threaded(there, shared_broker.url), threaded(mouth, shared_broker.url) as link:
        link.submit(say("re/state", b"on", retain=True))
        eventually(lambda: there.heard)
        with threaded(later, shared_broker.url):
            eventually(lambda: later.heard)
        link.submit(say("re/state", b"", retain=True))
    assert (there.heard[0].retained, later.heard[0].retained) == (False, True)


def test_a_party_that_vanishes_leaves_its_will_and_one_that_leaves_does_not(shared_broker: Embedded) -> None:
    watcher = Recorder("wi-watcher", "wi/+")
    will = Publication("wi/state", b"lost", retain=True)
    with threaded(watcher, shared_broker.url):
        leaver = Recorder("wi-leaver", will=Publication("wi/leaver", b"lost"))
        leaver.farewell = [Publication("wi/leaver", b"left")]
        with threaded(leaver, shared_broker.url):
            pass
        victim = threaded(Recorder("wi-victim", will=will), shared_broker.url, network_tries=1)
        victim.start()
        endpoint = victim.link._connection.endpoint
        assert endpoint is not None
        eventually(lambda: b"left" in watcher.payloads)
        # The network breaks in the middle of a packet: a will's delay of 0 publishes it at once.
        endpoint.shutdown(socket.SHUT_RDWR)
        eventually(lambda: b"lost" in watcher.payloads)
        victim.stop()
        time.sleep(0.1)
    assert [(d.topic, d.payload) for d in watcher.heard] == [("wi/leaver", b"left"), ("wi/state", b"lost")]


def test_stopping_flushes_everything_that_was_submitted(shared_broker: Embedded) -> None:
    ear, mouth = Recorder("st-ear", "st/#"), Recorder("st-mouth")
    mouth.farewell = [Publication("st/farewell", b"last")]
    with threaded(ear, shared_broker.url):
        link = threaded(mouth, shared_broker.url)
        link.start()
        link.submit(lambda _p, _n: [Publication("st/many", b"%d" % number) for number in range(500)])
        link.stop()
        eventually(lambda: len(ear.heard) == 501)
    assert ear.payloads == [*(b"%d" % number for number in range(500)), b"last"]


def test_an_oversized_delivery_is_noted_and_acknowledged_but_never_handed_in(shared_broker: Embedded) -> None:
    ear, mouth = Recorder("ov-ear", "ov/#"), Recorder("ov-mouth")
    with threaded(ear, shared_broker.url, max_payload=1000), threaded(mouth, shared_broker.url) as link:
        link.submit(say("ov/1", bytes(1001)))
        link.submit(say("ov/1", bytes(1000)))
        eventually(lambda: ear.heard)
    assert [len(payload) for payload in ear.payloads] == [1000]
    assert ear.notes("delivery-oversized") == [{"size": 1001, "limit": 1000}]
    again = Recorder("ov-ear", "ov/#")
    with threaded(again, shared_broker.url):
        time.sleep(0.1)
    assert again.heard == []


def test_a_publication_larger_than_the_broker_takes_is_noted_and_others_pass(mosquitto: Embedded) -> None:
    ear, mouth = Recorder("ear", "t"), Recorder("mouth")
    with threaded(ear, mosquitto.url), threaded(mouth, mosquitto.url) as link:
        link.submit(say("t", bytes(3 << 20)))
        link.submit(say("t", b"small"))
        eventually(lambda: ear.heard)
    assert ear.payloads == [b"small"]
    (note,) = mouth.notes("publication-oversized")
    assert note["topic"] == "t"
    assert note["size"] > note["limit"] == 2 << 20


def test_a_megabyte_passes(shared_broker: Embedded) -> None:
    ear, mouth = Recorder("mb-ear", "mb/t"), Recorder("mb-mouth")
    with threaded(ear, shared_broker.url), threaded(mouth, shared_broker.url) as link:
        link.submit(say("mb/t", bytes(1 << 20)))
        eventually(lambda: ear.heard)
    assert len(ear.payloads[0]) == 1 << 20


def test_what_is_published_while_the_broker_is_dead_arrives_in_order(mosquitto: Embedded) -> None:
    ear, mouth = Recorder("ear", "t"), Recorder("mouth")
    with threaded(ear, mosquitto.url), threaded(mouth, mosquitto.url) as link:
        link.submit(say("t", b"before"))
        eventually(lambda: ear.heard)
        save(mosquitto)
        mosquitto.kill()
        eventually(lambda: mouth.notes("disconnected") and ear.notes("disconnected"))
        link.submit(lambda _p, _n: [Publication("t", b"%d" % number) for number in range(100)])
        mosquitto.start()
        eventually(lambda: mouth.notes("connected")[1:])
        link.submit(say("t", b"after"))
        eventually(lambda: b"after" in ear.payloads)
    assert ear.payloads == [b"before", *(b"%d" % number for number in range(100)), b"after"]


def test_a_broker_that_forgot_everything_is_told_again(own_broker: Embedded) -> None:
    ear, mouth = Recorder("ear", "t"), Recorder("mouth")
    with threaded(ear, own_broker.url) as ears, threaded(mouth, own_broker.url) as mouths:
        ears.submit(lambda _p, _n: [Subscription("u")])
        own_broker.kill()
        eventually(lambda: ear.notes("disconnected"))
        own_broker.start()
        eventually(lambda: ear.notes("connected")[1:] and mouth.notes("connected")[1:])
        ears.submit(lambda _p, _n: [])
        mouths.submit(lambda _p, _n: [Publication("t", b"1"), Publication("u", b"2")])
        eventually(lambda: ear.heard[1:])
    assert ear.payloads == [b"1", b"2"]


def test_what_the_broker_keeps_for_an_absent_party_survives_its_kill(mosquitto: Embedded) -> None:
    ear, mouth = Recorder("ear", "t"), Recorder("mouth")
    with threaded(ear, mosquitto.url):
        pass
    with threaded(mouth, mosquitto.url) as link:
        link.submit(lambda _p, _n: [Publication("t", b"%d" % number, retain=True) for number in range(50)])
    save(mosquitto)
    mosquitto.kill()
    mosquitto.start()
    again = Recorder("ear")
    with threaded(again, mosquitto.url):
        eventually(lambda: len(again.heard) == 50)
    assert again.notes("connected")[0]["session_present"] is True
    assert again.payloads == [b"%d" % number for number in range(50)]


def test_a_stream_goes_on_in_order_over_a_kill(mosquitto: Embedded) -> None:
    """With 1,500 waiting: mosquitto ends a connection that resends more than its Receive Maximum."""
    ear, mouth = Recorder("ear", "t"), Recorder("mouth")
    with threaded(ear, mosquitto.url), threaded(mouth, mosquitto.url) as link:
        save(mosquitto)
        link.submit(lambda _p, _n: [Publication("t", b"%d" % number) for number in range(1500)])
        eventually(lambda: ear.heard)
        mosquitto.kill()
        eventually(lambda: mouth.notes("disconnected"))
        mosquitto.start()
        eventually(lambda: ear.payloads[-1] == b"1499")
    first_heard = list(dict.fromkeys(int(payload) for payload in ear.payloads))
    assert first_heard == sorted(first_heard)
    assert len(mouth.notes("connected")) == 2


def test_an_unacknowledged_delivery_comes_again_after_the_party_died(mosquitto: Embedded) -> None:
    class Dies(Recorder):
        def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
            super().receive(delivery, now)
            raise SystemExit

    victim, mouth = Dies("ear", "t"), Recorder("mouth")
    link = Link(victim, settings(mosquitto.url), strict=True)

    with threaded(mouth, mosquitto.url) as sender:
        with threaded(Recorder("ear", "t"), mosquitto.url):
            pass
        sender.submit(say("t", b"precious"))
        with pytest.raises(SystemExit):
            link.run()
        again = Recorder("ear", "t")
        with threaded(again, mosquitto.url):
            eventually(lambda: again.heard)
    assert (victim.payloads, again.payloads) == ([b"precious"], [b"precious"])


def test_a_response_topic_that_is_no_topic_name_harms_nobody(shared_broker: Embedded) -> None:
    class Careless(Recorder):
        def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
            super().receive(delivery, now)
            return [Publication("ca/#", b"answer"), Subscription("ca/#/b"), Publication("ca/ok", b"next")]

    careless, ear, mouth = Careless("ca-less", "ca/requests"), Recorder("ca-ear", "ca/ok"), Recorder("ca-mouth")
    with (
        threaded(careless, shared_broker.url),
        threaded(ear, shared_broker.url),
        threaded(mouth, shared_broker.url) as link,
    ):
        link.submit(say("ca/requests"))
        eventually(lambda: ear.heard)
    assert careless.notes("publication-refused") == [{"topic": "ca/#", "why": "its topic is no topic name"}]
    assert careless.notes("subscription-refused")


def test_ending_a_subscription_lasts_over_a_reconnect(shared_broker: Embedded) -> None:
    ear, mouth = Recorder("un-ear"), Recorder("un-mouth")
    with threaded(ear, shared_broker.url) as ears, threaded(mouth, shared_broker.url) as mouths:
        ears.submit(lambda _p, _n: [Subscription("un/a"), Subscription("un/b")])
        ears.submit(lambda _p, _n: [Subscription("un/a", wanted=False), Publication("un/b", b"first")])
        # The broker reads in order: where it has this message, it has ended the subscription.
        eventually(lambda: ear.heard)
        endpoint = ears.link._connection.endpoint
        assert endpoint is not None
        endpoint.shutdown(socket.SHUT_RDWR)
        eventually(lambda: len(ear.notes("connected")) == 2)
        ears.submit(lambda _p, _n: [])
        mouths.submit(say("un/a", b"unwanted"))
        mouths.submit(say("un/b", b"wanted"))
        eventually(lambda: b"wanted" in ear.payloads)
    assert b"unwanted" not in ear.payloads


def test_a_broker_that_is_not_there_is_named_after_the_last_try() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"mqtt://127.0.0.1:{taken.getsockname()[1]}"
        party = Recorder("lonely")
        link = Link(party, settings(url, network_tries=3), listener=party.note)
        with pytest.raises(TransportError, match=r"cannot reach mqtt://127\.0\.0\.1") as caught:
            link.run()
    assert "\n" not in caught.value.diagnostics
    assert len(party.notes("disconnected")) == 2


@pytest.mark.slow
def test_a_network_fault_is_retried_for_ever_by_default(shared_broker: Embedded) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        party = Recorder("patient")
        link = Link(party, settings(f"mqtt://127.0.0.1:{taken.getsockname()[1]}"), listener=party.note)
        with background(link) as ended:
            eventually(lambda: len(party.notes("disconnected")) > 5)
            assert not ended
