"""Trials with accounts of two fleets on one broker: does either reach the other?

The messages protect themselves. What leaks here are sizes and times, and the freedom to fill another fleet's topics.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from broker.identifier import client_identifier
from broker.settings import ConnectionSettings
from protocol.errors import RemoteError, TransportError
from protocol.party import Randomness
from schemas.topics import FleetTopics
from sealedge.operations.broker_conformance.client import Client
from sealedge.operations.broker_conformance.messages import may_talk
from sealedge.operations.broker_conformance.opening import Asked, Will
from sealedge.operations.broker_conformance.sessions import KEPT
from sealedge.operations.broker_conformance.trial import SILENCE_SECONDS, Trial, Verdict, is_silent, judged
from sealedge.operations.doctor import Check, Level

_ACL: Final = "give the broker an ACL for every fleet: see broker/ in the fleet's folder, and docs/brokers.md"
_OWN: Final = "bind client identifiers to accounts, or give each fleet a broker of its own"
_ENDED: Final = (
    "another fleet can end connections, and what waited is sent again by who sent it; to keep it out, give parties "
    "accounts: their client identifiers then hold a secret; or " + _OWN
)


def check_fleets(
    ours: tuple[ConnectionSettings, str], theirs: tuple[ConnectionSettings, str], randomness: Randomness
) -> Iterator[Check]:
    """Try with an account and its fleet's name, and another of each, to reach one fleet from the other, both ways."""
    if ours[1] == theirs[1]:
        yield Check("fleets", "fail", f"both accounts are of the fleet {ours[1]}", "name the settings of another fleet")
        return
    with Trial.open(*ours, randomness) as here, Trial.open(*theirs, randomness) as there:
        silent = [trial.fleet for trial in (here, there) if not judged(may_talk, trial).holds]
        if silent:
            mend = "use the operator's operator.toml of each fleet"
            yield Check("fleets", "fail", f"the account of {' and '.join(silent)} may not say anything itself", mend)
            return
        with ThreadPoolExecutor() as threads:
            for checks in threads.map(_one_way, (here, there), (there, here)):
                yield from checks


def _one_way(victim: Trial, stranger: Trial) -> list[Check]:
    return [_line(attempt, victim, stranger) for attempt in _ATTEMPTS]


def _line(attempt: "_Attempt", victim: Trial, stranger: Trial) -> Check:
    verdict = judged(lambda trial: attempt.trial(trial, stranger), victim)
    name = f"fleets-{attempt.name} {stranger.fleet} to {victim.fleet}"
    if verdict.holds:
        return Check(name, "ok", verdict.found)
    return Check(name, attempt.level, verdict.found, attempt.mend)


def nothing_is_read(victim: Trial, stranger: Trial) -> Verdict:
    """By any subscription that would match, shared or not, before and after a retained message."""
    topic = victim.topic("secret")
    own = victim.listener("secret", topic)
    wanted = _matching(topic, FleetTopics(victim.fleet).everything)
    ears = {each: _strange_ear(stranger, f"early-{number}", each) for number, each in enumerate(wanted)}
    victim.say(topic, b"secret", retain=True)
    if own.hear() is None:
        return Verdict(False, "the fleet does not hear itself")
    late = {f"{each}, retained": _strange_ear(stranger, f"late-{number}", each) for number, each in enumerate(wanted)}
    ears |= late
    leaks = [name for name, ear in ears.items() if ear is not None and _hears(ear, topic)]
    victim.say(topic, b"", retain=True)
    return Verdict(not leaks, f"reads {', '.join(leaks)}" if leaks else "reads nothing, shared or retained")


def _matching(topic: str, everything: str) -> tuple[str, ...]:
    """Filters that match a topic of the other fleet: named, by wildcards at each end and within, and shared."""
    within = "/".join("+" if number == 2 else level for number, level in enumerate(topic.split("/")))
    plain = (topic, within, everything, "sealedge/#", "+/#", "#")
    return (*plain, *(f"$share/stranger/{each}" for each in (topic, within, "#")))


def nothing_is_written(victim: Trial, stranger: Trial) -> Verdict:
    """Neither for who listens nor for who comes later."""
    topic = victim.topic("forged")
    own = victim.listener("forged", topic)
    with suppress(TransportError, RemoteError):
        stranger.client("forger").publish(topic, b"forged", retain=True)
    later = victim.listener("forged-later", topic)
    holds = is_silent(own) and is_silent(later)
    return Verdict(holds, "writes nothing, retained or not" if holds else f"writes to {topic}")


def nothing_is_willed(victim: Trial, stranger: Trial) -> Verdict:
    """By a client that vanishes."""
    topic = victim.topic("willed")
    own = victim.listener("willed", topic)
    with suppress(TransportError, RemoteError):
        stranger.client("testator", Asked(will=Will(topic, b"forged"))).vanish()
    holds = is_silent(own)
    return Verdict(holds, "leaves no will there" if holds else f"leaves a will on {topic}")


def no_session_is_read(victim: Trial, stranger: Trial) -> Verdict:
    """By a client with another's identifier: what waits there is not for it."""
    taken = _taken_over(victim, stranger, "queue")
    leaks = taken is not None and _hears(taken, victim.topic("queue"))
    return Verdict(not leaks, "gets what waits for a client" if leaks else "gets nothing that waits for a client")


def no_session_is_taken(victim: Trial, stranger: Trial) -> Verdict:
    """Whether what waited is still there for its owner after such an attempt."""
    thief = _taken_over(victim, stranger, "taken")
    if thief is not None:
        _hears(thief, victim.topic("taken"))
    if victim.client("taken", KEPT).hear(1.0) is not None:
        return Verdict(True, "takes over no session")
    if client_identifier("taken", victim.settings) != "taken":
        return Verdict(True, "ends a session whose client identifier it is told; those of parties hold a secret")
    return Verdict(False, "ends a session by its client identifier")


def _taken_over(victim: Trial, stranger: Trial, name: str) -> Client | None:
    """A stranger under the identifier of a client for which a message waits; None where it is not let in."""
    victim.listener(name, victim.topic(name), KEPT).leave()
    victim.say(victim.topic(name), b"waiting")
    with suppress(TransportError, RemoteError):
        return Trial(stranger.settings, stranger.fleet, victim.tag, stranger.clients).client(name, KEPT)
    return None


def _strange_ear(stranger: Trial, name: str, topic_filter: str) -> Client | None:
    """A subscriber, also where the broker refuses what it asks for; None where it hangs up."""
    with suppress(TransportError, RemoteError):
        ear = stranger.client(name)
        ear.subscribe(topic_filter)
        return ear
    return None


def _hears(ear: Client, topic: str) -> bool:
    """Whether the message came, among what else the stranger may hear."""
    with suppress(TransportError, RemoteError):
        while (heard := ear.hear(SILENCE_SECONDS)) is not None:
            if heard.topic == topic:
                return True
    return False


@dataclass(frozen=True, slots=True)
class _Attempt:
    name: str
    trial: Callable[[Trial, Trial], Verdict]
    level: Level
    mend: str


_ATTEMPTS: Final = (
    _Attempt("read", nothing_is_read, "fail", _ACL),
    _Attempt("write", nothing_is_written, "fail", _ACL),
    _Attempt("will", nothing_is_willed, "fail", _ACL),
    _Attempt("queue", no_session_is_read, "fail", _OWN),
    _Attempt("session", no_session_is_taken, "warn", _ENDED),
)
