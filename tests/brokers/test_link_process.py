"""A link as a process, and as a thread of another program."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from broker.embedded import Embedded
from broker.link import Link
from broker.process import run
from broker.threaded import ThreadedLink
from protocol.errors import ProtocolMisuseError, TransportError
from protocol.party import Delivery, Event, Noted, Publication
from tests.support.fake_broker import PUBLISH, SUBACK, SUBSCRIBE, FakeBroker, Peer, connack, packet
from tests.support.link_parties import Recorder, eventually, say, settings, threaded

ROOT = Path(__file__).parents[2]

PROGRAM = """
import sys
from broker.link import Link
from broker.process import run
from protocol.party import Publication
from tests.support.link_parties import Recorder, settings
party = Recorder("prog", "prog/in")
party.last_will = Publication("prog/out", b"lost")
party.farewell = [Publication("prog/out", b"left")]
link = Link(party, settings(sys.argv[1]), listener=lambda event: print(event.what, flush=True))
sys.exit(run(link))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_process_in_order(shared_broker: Embedded, number: signal.Signals) -> None:
    ear = Recorder("prog-ear", "prog/out")
    command = [sys.executable, "-c", PROGRAM, shared_broker.url]
    with (
        threaded(ear, shared_broker.url),
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "connected\n"
        process.send_signal(number)
        out, errors = process.communicate(timeout=60)
        eventually(lambda: ear.heard)
        time.sleep(0.05)
    assert (process.returncode, out, errors) == (0, "", "")
    assert ear.payloads == [b"left"]


def test_a_refused_link_is_one_logged_line_and_status_one(caplog: pytest.LogCaptureFixture) -> None:
    def script(peer: Peer) -> None:
        peer.next(1)
        peer.send(connack(0x86))
        peer.hold()

    before = signal.getsignal(signal.SIGTERM)
    with FakeBroker(script) as broker:
        status = run(Link(Recorder("p"), settings(broker.url)))
    assert status == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"transport-failed: the broker {broker.url} refuses the connection: Bad user name or password"
    ]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_signal_does_not_wait_for_the_flush() -> None:
    def script(peer: Peer) -> None:
        peer.accept()
        asked = peer.next(SUBSCRIBE)
        peer.send(packet(SUBACK, asked.body[:2] + b"\0\x01"))
        os.kill(os.getpid(), signal.SIGTERM)
        peer.next(PUBLISH)
        os.kill(os.getpid(), signal.SIGTERM)
        peer.hold()

    party = Recorder("p", "q")
    party.farewell = [Publication("t", b"never acknowledged")]
    began = time.monotonic()
    with FakeBroker(script) as broker:
        assert run(Link(party, settings(broker.url, flush_timeout=60))) == 0
    assert time.monotonic() - began < 30


def test_a_thread_learns_what_its_call_raised(shared_broker: Embedded) -> None:
    def wrong(_party: object, _now: float) -> Sequence[Event]:
        raise ProtocolMisuseError("not yet")

    party = Recorder("th-party")
    with threaded(party, shared_broker.url) as link:
        with pytest.raises(ProtocolMisuseError, match="not yet"):
            link.submit(wrong)
        link.submit(lambda _p, _n: [])
        assert link.link.failures == 0
    with pytest.raises(TransportError, match="has stopped"):
        link.submit(lambda _p, _n: [])


def test_a_thread_that_cannot_connect_says_why_in_time() -> None:
    party = Recorder("th-late")
    began = time.monotonic()
    # Bound and not listening, a port refuses, and no other process gets it.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"mqtt://127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(TransportError, match="cannot reach"),
            ThreadedLink(party, settings(url), start_timeout=0.3),
        ):
            pytest.fail("it cannot have connected")
    assert time.monotonic() - began < 30
    assert not any(thread.name == "link th-late" for thread in threading.enumerate())


def test_an_exception_of_a_strict_party_reaches_who_stops_it(shared_broker: Embedded) -> None:
    class Broken(Recorder):
        def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
            raise ZeroDivisionError

    mouth = Recorder("br-mouth")
    link = threaded(Broken("br-broken", "br/t"), shared_broker.url)
    link.start()
    with threaded(mouth, shared_broker.url) as mouths:
        mouths.submit(say("br/t"))
        eventually(lambda: not link._thread.is_alive())
    with pytest.raises(ZeroDivisionError):
        link.stop()


@pytest.mark.slow
def test_deadlines_are_kept_to_the_hundredth(shared_broker: Embedded) -> None:
    party = Recorder("de-party")
    with threaded(party, shared_broker.url) as link:

        def begin(recorder: Recorder, now: float) -> Sequence[Event]:
            recorder.deadline = now + 0.2
            return []

        began = time.time()
        link.submit(begin)
        eventually(lambda: party.expired)
    assert began + 0.2 <= party.expired[0] < began + 0.4


def test_a_listener_that_raises_is_counted_and_heard_again(shared_broker: Embedded) -> None:
    heard: list[str] = []

    def listener(event: Event) -> None:
        assert isinstance(event, Noted)
        heard.append(event.what)
        raise RuntimeError("a bug of the program")

    with ThreadedLink(Recorder("li-party"), settings(shared_broker.url), listener=listener) as link:
        link.submit(lambda _p, _n: [Noted("one"), Noted("two")])
        assert link.link.failures == 3
    assert heard == ["connected", "one", "two"]
