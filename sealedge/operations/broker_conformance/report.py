"""Which of sealedge's features hold on a broker, one line each."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from broker.settings import ConnectionSettings
from protocol.party import Randomness
from sealedge.operations.broker_conformance import messages, sessions
from sealedge.operations.broker_conformance.trial import Trial, Verdict, judged
from sealedge.operations.doctor import Check


@dataclass(frozen=True, slots=True)
class Feature:
    """`promise` is what sealedge does by it; `without` is what then happens, or what to do.

    A broker that lacks what is `needed` fails; one that lacks what is `used` is warned of.
    """

    name: str
    trial: Callable[[Trial], Verdict]
    kind: str
    promise: str
    without: str


NEEDED, USED, UNUSED = "needed", "used", "unused"
AT_ONCE: Final = 6
"""Trials mostly wait."""

_LARGE: Final = "raise the broker's packet limit to 2 MiB"

FEATURES: Final = (
    Feature(
        "properties",
        messages.properties_arrive,
        NEEDED,
        "replies find their requests",
        "sealedge does not work here: use another broker",
    ),
    Feature(
        "wildcard-filters",
        messages.wildcards_match,
        NEEDED,
        "one verifier and publisher for all agents",
        "allow wildcards, or use another broker",
    ),
    Feature(
        "retained",
        messages.retained_is_kept,
        NEEDED,
        "who comes later finds passports, models and revocations",
        "allow retained messages, or use another broker",
    ),
    Feature(
        "retained-wildcard",
        messages.retained_matches_wildcards,
        USED,
        "sensors find agents whose names they do not know",
        'name the agent in each sensor.toml: agent = "NAME"',
    ),
    Feature(
        "payload-128k",
        messages.payload_of(messages.SIZES[0]),
        NEEDED,
        "models travel in chunks",
        _LARGE,
    ),
    *(
        Feature(f"payload-{size >> 10}k", messages.payload_of(size), USED, "readings and results of this size", _LARGE)
        for size in messages.SIZES[1:]
    ),
    Feature(
        "retained-again",
        messages.retained_comes_again,
        USED,
        "a session that comes back is told what is retained",
        "the link notices rumqttd and begins a new session there; elsewhere a party must be restarted to hear it again",
    ),
    Feature(
        "retained-expiry",
        messages.retained_keeps_its_time,
        USED,
        "passports stay for their lease, however many read them",
        "the link notices rumqttd and names no expiry there; elsewhere sensors may have to wait for the next passport",
    ),
    Feature(
        "session",
        sessions.session_is_resumed,
        USED,
        "messages wait for a party that is away",
        "senders repeat what nobody answered, or say that it was not answered in time",
    ),
    Feature(
        "redelivery",
        sessions.unacknowledged_comes_again,
        USED,
        "what a party held when it crashed comes again",
        "senders repeat what nobody answered, or say that it was not answered in time",
    ),
    Feature(
        "receive-maximum",
        sessions.receive_maximum_is_kept,
        USED,
        "the broker waits for a party that is slow",
        "a slow party is flooded: it answers that it is busy",
    ),
    Feature(
        "maximum-packet",
        sessions.maximum_packet_is_kept,
        USED,
        "nobody fills a party with large packets",
        "a party ends its connection when such a packet comes, and comes back",
    ),
    Feature(
        "message-expiry",
        messages.expired_is_dropped,
        USED,
        "stale requests are not delivered",
        "parties look at the time under protection themselves, and refuse what is stale",
    ),
    Feature(
        "session-expiry",
        sessions.session_expires,
        USED,
        "the broker forgets parties that are gone for good",
        "delete old sessions at the broker",
    ),
    Feature(
        "will",
        sessions.will_is_published,
        USED,
        "the status of a party that vanished says `lost`",
        "a party that vanished seems to be there until its lease ends",
    ),
    Feature(
        "will-delay",
        sessions.will_is_delayed,
        USED,
        "a short break is not taken for a death",
        "the status says `lost` at each break; the next birth corrects it",
    ),
    Feature("shared", sessions.shared_is_divided, UNUSED, "nothing of sealedge", "sealedge does not use $share"),
    Feature(
        "user-properties",
        messages.user_properties_arrive,
        UNUSED,
        "nothing of sealedge",
        "sealedge does not use user properties",
    ),
)
"""Subscription identifiers and topic aliases are not tried: sealedge uses neither."""


def check_conformance(settings: ConnectionSettings, fleet: str, randomness: Randomness = os.urandom) -> Iterator[Check]:
    """Try everything out with one account, in the topics that the ACL gives the operator for it; some five seconds."""
    with Trial.open(settings, fleet, randomness) as trial:
        talk = judged(messages.may_talk, trial)
        if not talk.holds:
            mend = "use --fleet DIR or the operator's operator.toml: its account may use these topics"
            yield Check("broker-talk", "fail", f"nothing can be tried out: {talk.found}", mend)
            return
        with ThreadPoolExecutor(AT_ONCE) as threads:
            verdicts = threads.map(lambda feature: judged(feature.trial, trial), FEATURES)
            yield from map(_line, FEATURES, verdicts)


def _line(feature: Feature, verdict: Verdict) -> Check:
    name = f"broker-{feature.name}"
    if verdict.holds:
        return Check(name, "ok", f"{feature.promise}: {verdict.found}")
    if feature.kind == UNUSED:
        return Check(name, "ok", f"not here, and not needed: {verdict.found}")
    lost = f"not here: {feature.promise}: {verdict.found}"
    return Check(name, "fail" if feature.kind == NEEDED else "warn", lost, feature.without)
