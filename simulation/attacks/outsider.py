"""What a broker, or anyone on it, can do without a key: repeat, move, bend, hold back and invent."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Final

from protocol.party import Publication
from schemas.kinds import Kind, Role
from simulation.acts import Doing
from simulation.fleet import MODEL
from simulation.plan import Act
from simulation.wire import BOUND, typ_of

if TYPE_CHECKING:
    from simulation.world import World


SELF_CONTAINED: Final = frozenset({Kind.KEY_REQUEST, Kind.EVIDENCE})
"""Messages that say inside which exchange they belong to: MQTT's correlation data is a hint there."""


def recorded(world: "World") -> list[Publication]:
    """All that was ever published by anybody, with a payload."""
    return [each for _, _, each in world.ledger.said if each.payload]


def _bound(world: "World") -> list[Publication]:
    return [each for each in recorded(world) if typ_of(each.payload) in BOUND]


def replay(world: "World", act: Act) -> None:
    """Something that was said, on topics of the level `who` if there is one, is said again: late, or as if retained."""
    random = Random(act.number)
    found = [each for each in recorded(world) if not act.who or act.who in each.topic.split("/")[3:]]
    if not found:
        return
    for old in random.choices(found[-60:] if random.random() < 0.5 else found, k=3):
        if random.random() < 0.5:
            world.broker.publish(replace(old, expiry=None, retain=False))
        else:
            world.broker.replay([replace(old, expiry=None)], retained=random.random() < 0.5)


def resurrect(world: "World", act: Act) -> None:
    """A retained message that was replaced stands on its topic again; of the kind `who`, if there is one."""
    random = Random(act.number)
    retained = [each for each in recorded(world) if each.retain]
    newest = {each.topic: each.payload for each in retained}
    stale = [each for each in retained if each.payload != newest[each.topic]]
    levels = sorted({each.topic.rsplit("/", 1)[-1] for each in stale})
    if levels:
        level = act.who if act.who in levels else random.choice(levels)
        world.broker.publish(
            replace(random.choice([each for each in stale if each.topic.endswith(level)]), expiry=None)
        )


def clear(world: "World", act: Act) -> None:
    """A retained message is gone."""
    topics = sorted({each.topic for each in recorded(world) if each.retain})
    if topics:
        world.broker.publish(Publication(Random(act.number).choice(topics), b"", retain=True))


def splice(world: "World", act: Act) -> None:
    """An authentic message appears on another topic: another party's, or one for something else."""
    random = Random(act.number)
    found = _bound(world)
    if not found:
        return
    old = random.choice(found)
    topics = sorted({each.topic for each in recorded(world)} - {old.topic})
    alike = [each for each in topics if each.rsplit("/", 1)[-1] == old.topic.rsplit("/", 1)[-1]]
    alike = alike or [each for each in topics if each.endswith(("results", "inbox"))]
    topic = random.choice(alike if alike and random.random() < 0.7 else topics)
    moved = replace(old, topic=topic, expiry=None, retain=False)
    world.ledger.moves(moved, f"moved from {old.topic}")
    world.broker.publish(moved)


def recorrelate(world: "World", act: Act) -> None:
    """An authentic message claims to belong to another exchange on the same topic."""
    random = Random(act.number)
    found = [each for each in _bound(world) if each.correlation and typ_of(each.payload) not in SELF_CONTAINED]
    pairs = [(a, b.correlation) for a in found[-40:] for b in found[-40:] if _same_place(a, b)]
    if not pairs:
        return
    old, correlation = random.choice(pairs)
    moved = replace(old, correlation=correlation, expiry=None)
    world.ledger.moves(moved, "moved to another exchange")
    world.broker.publish(moved)


def _same_place(one: Publication, other: Publication) -> bool:
    return one.topic == other.topic and one.correlation != other.correlation


def swap_answers(world: "World", act: Act) -> None:
    """For a while every answer to a sensor comes under the correlation data of the answer before it."""
    last: dict[str, Publication] = {}

    def swap(said: Publication) -> Iterable[Publication]:
        if not said.topic.endswith("/inbox") or not said.correlation:
            return [said]
        before, last[said.topic] = last.get(said.topic), said
        if before is None or before.correlation == said.correlation:
            return []
        one, other = replace(said, correlation=before.correlation), replace(before, correlation=said.correlation)
        for each in (one, other):
            world.ledger.moves(each, "answers swapped")
        return [one, other]

    _for_a_while(world, act, swap)


def misplace(world: "World", act: Act) -> None:
    """For a while results come on another topic of theirs than the one that they were sealed for."""
    topics = world.fleet.topics
    other = {topics.inbox(Role.CONSUMER, "consumer-1"): topics.results(MODEL)}
    other |= {to: back for back, to in other.items()}

    def move(said: Publication) -> Iterable[Publication]:
        if typ_of(said.payload) != Kind.RESULT or said.topic not in other:
            return [said]
        moved = replace(said, topic=other[said.topic])
        world.ledger.moves(moved, "a result on another topic")
        return [moved]

    _for_a_while(world, act, move)


def redirect(world: "World", act: Act) -> None:
    """A message is sent again with another response topic: answers shall go to somebody else."""
    random = Random(act.number)
    asking = [each for each in recorded(world) if each.response_topic]
    topics = sorted({each.topic for each in recorded(world) if each.topic.endswith("inbox")})
    if asking and topics:
        world.broker.publish(replace(random.choice(asking[-20:]), response_topic=random.choice(topics), expiry=None))


def tamper(world: "World", act: Act) -> None:
    """For a while some payloads are damaged on their way."""
    random = Random(act.number)

    def bend(said: Publication) -> Iterable[Publication]:
        if not said.payload or random.random() < 0.7:
            return [said]
        data, place = bytearray(said.payload), random.randrange(len(said.payload))
        how = random.randrange(4)
        if how == 0:
            data[place] ^= 1 << random.randrange(8)
        elif how == 1:
            del data[place:]
        elif how == 2:
            data += bytes(1)
        else:
            data = bytearray(random.randbytes(len(data)))
        return [replace(said, payload=bytes(data))]

    _for_a_while(world, act, bend)


def hold(world: "World", act: Act) -> None:
    """The next message on a kind of topic (`who`) is held back, and comes later as if no time had passed."""
    held: list[Publication] = []

    def swallow(said: Publication) -> Iterable[Publication]:
        if held or not said.payload or act.who not in said.topic.split("/")[3:]:
            return [said]
        held.append(said)
        world.after(act.seconds, lambda: world.broker.replay([replace(said, expiry=None)]))
        return []

    world.interceptors.append(swallow)


def withhold(world: "World", act: Act) -> None:
    """For a while nothing of one kind reaches anybody."""
    _for_a_while(world, act, lambda said: [] if act.who in said.topic.split("/")[3:] else [said])


def garbage(world: "World", act: Act) -> None:
    """Bytes that mean nothing, and authentic bytes where they mean nothing."""
    random = Random(act.number)
    found = recorded(world)
    for _ in range(3 if found else 0):
        payload = random.choice((random.randbytes(40), b"", b"\xd2\x84", random.choice(found).payload[:-1]))
        correlation = random.choice((None, b"", random.randbytes(16), bytes(300)))
        topic = random.choice(found).topic
        world.broker.publish(Publication(topic, payload or b"\0", correlation=correlation, response_topic="a/b"))


def _for_a_while(world: "World", act: Act, interceptor: Callable[[Publication], Iterable[Publication]]) -> None:
    def end() -> None:
        if interceptor in world.interceptors:
            world.interceptors.remove(interceptor)

    world.interceptors.append(interceptor)
    world.after(act.seconds, end)


ATTACKS: Final[Mapping[str, Doing]] = {
    "replay": replay,
    "resurrect": resurrect,
    "clear": clear,
    "splice": splice,
    "recorrelate": recorrelate,
    "swap-answers": swap_answers,
    "redirect": redirect,
    "misplace": misplace,
    "tamper": tamper,
    "hold": hold,
    "withhold": withhold,
    "garbage": garbage,
}
