"""Topic filters follow MQTT 5 §4.7, example by example, and agree with paho's own matcher."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from broker.topic_filter import is_valid_filter, is_valid_topic, matches, shared


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("#", "sport", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/monitor", False),
        ("+/monitor", "$SYS/monitor", False),
        ("$SYS/#", "$SYS/monitor", True),
        ("a/b", "a/B", False),
    ],
)
def test_the_examples_of_the_standard(topic_filter: str, topic: str, expected: bool) -> None:
    assert matches(topic_filter, topic) is expected


LEVELS = st.sampled_from(["a", "b", "", "c"])


@given(
    st.lists(LEVELS | st.just("+"), min_size=1, max_size=4),
    st.booleans(),
    st.lists(LEVELS, min_size=1, max_size=5),
)
def test_agrees_with_paho(wanted: list[str], rest: bool, topic: list[str]) -> None:
    topic_filter = "/".join([*wanted, "#"] if rest else wanted)
    assert matches(topic_filter, "/".join(topic)) is topic_matches_sub(topic_filter, "/".join(topic))


@pytest.mark.parametrize("wanted", ["#", "+", "a/+/b", "a/#", "+/#", "$share/pool/a/+", "/"])
def test_legal_filters(wanted: str) -> None:
    assert is_valid_filter(wanted)


@pytest.mark.parametrize("wanted", ["", "a#", "a/#/b", "a+", "a/b+/c", "$share/pool", "$share//a", "$share/+/a", "a\0"])
def test_illegal_filters(wanted: str) -> None:
    assert not is_valid_filter(wanted)


def test_topics() -> None:
    assert is_valid_topic("a/b")
    assert is_valid_topic("a" * 65535)
    assert not is_valid_topic("ü" * 32768)
    assert not is_valid_topic("a/+")


def test_shared_subscriptions_are_split() -> None:
    assert shared("$share/pool/a/b") == ("pool", "a/b")
    assert shared("a/b") == (None, "a/b")
