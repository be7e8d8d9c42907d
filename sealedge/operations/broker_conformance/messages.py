"""Trials of single messages: their properties, sizes and expiry, and what is retained of them."""

from collections.abc import Callable
from typing import Final

from sealedge.operations.broker_conformance.client import Heard
from sealedge.operations.broker_conformance.opening import Asked
from sealedge.operations.broker_conformance.properties import (
    CONTENT_TYPE,
    CORRELATION,
    MESSAGE_EXPIRY,
    RESPONSE_TOPIC,
    USER,
    Properties,
)
from sealedge.operations.broker_conformance.trial import SILENCE_SECONDS, Trial, Verdict, is_silent, wait

KIBIBYTE: Final = 1 << 10
SIZES: Final = (128 * KIBIBYTE, 256 * KIBIBYTE, 512 * KIBIBYTE, 1024 * KIBIBYTE)
EXPIRY: Final = 60

_NAMES: Final = {RESPONSE_TOPIC: "response topic", CORRELATION: "correlation data", CONTENT_TYPE: "content type"}


def sent_and_heard(trial: Trial, name: str, payload: bytes, properties: Properties = ()) -> Heard | None:
    """A message from one client to another."""
    listener = trial.listener(f"{name}-ear", trial.topic(name))
    trial.client(f"{name}-mouth").publish(trial.topic(name), payload, properties)
    return listener.hear()


def may_talk(trial: Trial) -> Verdict:
    """Whether this account may use the topics of the trials at all: nothing else can be told without."""
    heard = sent_and_heard(trial, "talk", b"hello")
    return Verdict(heard is not None, "QoS 1 both ways" if heard else f"nothing comes on {trial.topic('talk')}")


def properties_arrive(trial: Trial) -> Verdict:
    """Response Topic, Correlation Data, Content Type and Message Expiry Interval (§3.3.2.3)."""
    sent: Properties = (
        (RESPONSE_TOPIC, trial.topic("reply").encode()),
        (CORRELATION, bytes(range(32))),
        (CONTENT_TYPE, b"application/cose"),
    )
    heard = sent_and_heard(trial, "properties", b"x", (*sent, (MESSAGE_EXPIRY, EXPIRY)))
    if heard is None:
        return Verdict(False, "a message with properties is not delivered")
    lost = [_NAMES[identifier] for identifier, value in sent if (identifier, value) not in heard.properties]
    left = dict(heard.properties).get(MESSAGE_EXPIRY, 0)
    if not isinstance(left, int) or not 0 < left <= EXPIRY:
        lost.append("message expiry")
    kept = "response topic, correlation data, content type and expiry arrive"
    return Verdict(not lost, f"lost: {', '.join(lost)}" if lost else kept)


def user_properties_arrive(trial: Trial) -> Verdict:
    """All of them, in their order (§3.3.2.3.7)."""
    sent = ((USER, (b"b", b"2")), (USER, (b"a", "\N{GREEK SMALL LETTER MU}".encode())), (USER, (b"b", b"1")))
    heard = sent_and_heard(trial, "user", b"x", sent)
    found = () if heard is None else tuple(each for each in heard.properties if each[0] == USER)
    return Verdict(found == sent, "all, in order" if found == sent else f"{len(found)} of {len(sent)} as they were")


def payload_of(size: int) -> Callable[[Trial], Verdict]:
    """A trial of one size in bytes."""

    def payload_arrives(trial: Trial) -> Verdict:
        payload = bytes(range(256)) * (size // 256)
        heard = sent_and_heard(trial, f"size-{size}", payload)
        holds = heard is not None and heard.payload == payload
        return Verdict(holds, f"{size} bytes arrive" if holds else f"{size} bytes do not arrive as they were")

    return payload_arrives


def expired_is_dropped(trial: Trial) -> Verdict:
    """What waited for longer than its expiry is not delivered, and what has none is (§3.3.2.3.3)."""
    asked = Asked(clean=False, session_expiry=EXPIRY)
    trial.listener("expiry", trial.topic("expiry"), asked).leave()
    mouth = trial.client("expiry-mouth")
    mouth.publish(trial.topic("expiry"), b"stale", ((MESSAGE_EXPIRY, 1),))
    mouth.publish(trial.topic("expiry"), b"fresh")
    wait(2.2)
    heard = [each.payload for each in trial.client("expiry", asked).hear_all(2, 1.5)]
    if heard == [b"fresh"]:
        return Verdict(True, "what is too old is not delivered")
    return Verdict(False, "what expired is delivered" if b"stale" in heard else "what had not expired is lost")


def retained_is_kept(trial: Trial) -> Verdict:
    """Flagged for who comes later, not for who is there, and gone with an empty payload (§3.3.1.3)."""
    topic = trial.topic("retained")
    there = trial.listener("retained-there", topic)
    trial.say(topic, b"kept", retain=True)
    early, late = there.hear(), trial.listener("retained-late", topic).hear()
    trial.say(topic, b"", retain=True)
    rest = trial.listener("retained-after", topic)
    if late is None or late.payload != b"kept" or not late.retained:
        return Verdict(False, "who subscribes later does not get it as retained")
    if early is None or early.retained:
        return Verdict(False, "who is there does not get it as a new message")
    holds = is_silent(rest)
    return Verdict(holds, "for who comes later, until deleted" if holds else "an empty payload does not delete it")


def retained_keeps_its_time(trial: Trial) -> Verdict:
    """What is retained stays until it expires, however many come for it (§3.3.2.3.3)."""
    topic, late = trial.topic("lasting"), 5
    mouth = trial.client("lasting-mouth")
    mouth.publish(topic, b"kept", ((MESSAGE_EXPIRY, late),), retain=True)
    wait(1.2)
    came = [trial.listener(f"lasting-{number}", topic).hear(SILENCE_SECONDS) is not None for number in range(late)]
    mouth.publish(topic, b"", retain=True)
    return Verdict(all(came), f"{sum(came)} of {late} who come later get it")


def retained_matches_wildcards(trial: Trial) -> Verdict:
    """What is retained for a topic is sent to who subscribes with a wildcard later (§3.3.1.3)."""
    topic = trial.topic("rw/a/state")
    trial.say(topic, b"kept", retain=True)
    heard = trial.listener("rw-late", trial.topic("rw/+/state")).hear()
    trial.say(topic, b"", retain=True)
    holds = heard is not None and heard.payload == b"kept"
    return Verdict(holds, "wildcards find it" if holds else "a wildcard subscription gets nothing that is retained")


def retained_comes_again(trial: Trial) -> Verdict:
    """To a session that subscribes once more, and as its Retain Handling says (§3.8.3.1)."""
    topic = trial.topic("handling")
    trial.say(topic, b"kept", retain=True)
    ear = trial.client("handling")
    came = []
    for handling in (2, 1, 0):
        ear.subscribe(topic, retain_handling=handling)
        came.append(not is_silent(ear))
    trial.say(topic, b"", retain=True)
    words = {True: "sent", False: "not sent"}
    found = "; ".join(f"handling {number}: {words[each]}" for number, each in zip((2, 1, 0), came, strict=True))
    return Verdict(came == [False, False, True], f"to a session that subscribes again: {found}")


def wildcards_match(trial: Trial) -> Verdict:
    """`+` and `#` (§4.7.1)."""
    one, all_below = trial.listener("plus", trial.topic("w/+/z")), trial.listener("hash", trial.topic("w/#"))
    trial.say(trial.topic("w/a/z"), b"x")
    holds = one.hear() is not None and all_below.hear() is not None
    return Verdict(holds, "+ and # match" if holds else "a wildcard subscription gets nothing")
