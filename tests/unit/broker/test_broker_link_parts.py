"""The small parts of the link: time, waiting, sizes, notes, calls from other threads."""

import math
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from broker.client import packet_identifier_untrusted
from broker.clock import SteadyClock
from broker.connack import Refusal
from broker.notes import Note, noted
from broker.packets import fault_of, packet_size, publish_properties
from broker.retrying import SETTLED_SECONDS, Retrying
from broker.settings import ConnectionSettings
from broker.submissions import Submissions
from protocol.errors import TransportError
from protocol.party import Publication

# Time


@given(st.lists(st.tuples(st.floats(-1e5, 1e5), st.floats(0, 100)), max_size=30))
def test_time_never_goes_back_and_never_stands_still(steps: list[tuple[float, float]]) -> None:
    wall, real = 1e9, 50.0
    clock = SteadyClock(lambda: wall, lambda: real)
    last = clock()
    for jump, passed in steps:
        wall, real = wall + passed + jump, real + passed
        told = clock()
        assert told >= wall
        assert told >= last + passed - 1e-6
        last = told


def test_time_follows_a_wall_clock_that_is_set_forward() -> None:
    times = iter([100.0, 500.0])
    clock = SteadyClock(lambda: next(times), lambda: 0.0)
    assert clock() == 500.0


# Waiting


def retrying(**changed: Any) -> Retrying:
    settings = ConnectionSettings(url="mqtt://h", retry_first=1.0, retry_longest=8.0, **changed)
    return Retrying(settings, lambda: 1.0)


def test_waits_double_up_to_the_longest() -> None:
    waits = retrying()
    assert [waits.lost("x", 0) for _ in range(5)] == [1, 2, 4, 8, 8]


def test_jitter_halves_a_wait_at_most() -> None:
    settings = ConnectionSettings(url="mqtt://h", retry_first=1.0)
    assert Retrying(settings, lambda: 0.0).lost("x", 0) == 0.5
    assert Retrying(settings, lambda: 0.5).lost("x", 0) == 0.75


def test_only_a_connection_that_lasted_starts_the_waits_again() -> None:
    waits = retrying()
    assert [waits.lost("x", 0), waits.lost("x", 0)] == [1, 2]
    waits.opened(10)
    assert waits.lost("taken over", 10.1) == 4
    waits.opened(20)
    assert waits.lost("x", 20 + SETTLED_SECONDS + 1) == 1


def test_a_link_that_ran_for_years_still_waits_finitely() -> None:
    waits = retrying()
    assert all(math.isfinite(waits.lost("x", 0)) for _ in range(5000))


def test_tries_are_counted_in_a_row_and_by_kind() -> None:
    no = Refusal(TransportError("no"), is_final=True)
    busy = Refusal(TransportError("busy"), is_final=False)
    waits = retrying(network_tries=3, refusal_tries=2)
    waits.lost("x", 0)
    waits.lost("x", 0)
    waits.opened(0)
    waits.lost("x", 0)
    waits.lost("x", 0)
    waits.lost("x", 0)
    with pytest.raises(TransportError, match="gone"):
        waits.lost("gone", 0)
    waits = retrying(network_tries=None, refusal_tries=2)
    for _ in range(10):
        waits.refused(busy)
    with pytest.raises(TransportError, match="no"):
        waits.refused(no)


# Packets

publications = st.builds(
    Publication,
    topic=st.text("ab/ü", min_size=1, max_size=200),
    payload=st.binary(max_size=200) | st.integers(100, 20_000).map(bytes),
    qos=st.sampled_from([0, 1]),
    retain=st.booleans(),
    expiry=st.none() | st.integers(1, 2**32 - 1),
    response_topic=st.none() | st.text("ab/", min_size=1, max_size=100),
    correlation=st.none() | st.binary(max_size=64),
    content_type=st.none() | st.text("ab/", max_size=20),
)


class Sink:
    """A socket that keeps what paho writes."""

    def __init__(self) -> None:
        self.written = b""

    def send(self, data: bytes) -> int:
        self.written += data
        return len(data)

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        """Nothing to close."""


@given(publications)
def test_the_size_of_a_packet_is_what_paho_writes(publication: Publication) -> None:
    client = Client(CallbackAPIVersion.VERSION2, "x", protocol=MQTTProtocolVersion.MQTTv5)
    client._sock = sink = Sink()
    properties = publish_properties(publication)
    client.publish(publication.topic, publication.payload, publication.qos, publication.retain, properties)
    assert fault_of(publication) is None
    assert packet_size(publication, properties) == len(sink.written)


@pytest.mark.parametrize(
    "publication",
    [
        Publication("", b""),
        Publication("a/+", b""),
        Publication("a\0", b""),
        Publication("\ud800", b""),
        Publication("a", b"", response_topic="#"),
        Publication("a", b"", qos=2),
        Publication("a", b"", expiry=0),
        Publication("a", b"", expiry=1 << 32),
    ],
)
def test_what_mqtt_cannot_carry_has_a_reason(publication: Publication) -> None:
    assert fault_of(publication)


@given(st.binary(max_size=20))
def test_a_packet_identifier_is_found_or_not(packet: bytes) -> None:
    found = packet_identifier_untrusted(packet)
    assert found is None or 0 <= found <= 65535


def test_a_packet_identifier_stands_behind_the_topic() -> None:
    assert packet_identifier_untrusted(b"\x00\x02ab\x01\x02rest") == 0x0102
    assert packet_identifier_untrusted(b"\x00\x02ab\x01") is None


# Notes


def test_a_note_shortens_and_escapes_what_a_stranger_chose() -> None:
    note = noted(Note.PUBLICATION_REFUSED, topic="a\n\x1b[31m" + "ü" * 5000, size=3)
    shown = note.detail["topic"]
    assert isinstance(shown, str)
    assert shown.startswith(r"a\n\x1b[31m")
    assert shown.isascii()
    assert len(shown) < 1000
    assert note.detail["size"] == 3


# Calls from other threads


def test_calls_keep_their_order_and_cancelled_ones_are_skipped() -> None:
    calls = Submissions()
    futures: list[Future[None]] = [calls.add(lambda _p, _n, n=number: [n]) for number in range(3)]
    futures[1].cancel()
    taken = [calls.take(), calls.take(), calls.take()]
    assert [each and each[1] for each in taken] == [futures[0], futures[2], None]
    calls.close()


def test_calls_that_come_too_late_are_refused() -> None:
    calls = Submissions()
    waiting = calls.add(lambda _p, _n: [])
    calls.close()
    late = calls.add(lambda _p, _n: [])
    calls.wake()
    for future in (waiting, late):
        with pytest.raises(TransportError, match="has stopped"):
            future.result(0)
