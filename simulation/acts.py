"""What may befall a fleet besides attacks: readings, faults of network, machines, disks and clocks, and its operators.

Each act takes the world and its own record, and sees to it that what it began ends.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

from broker.faults import FAULTLESS, Faults
from protocol.messages import digest
from protocol.party import Event, Publication, Subscription
from schemas.attestation import Credential
from schemas.kinds import Role
from schemas.status import RevocationKind
from simulation.fleet import MEASUREMENT
from simulation.plan import Act
from simulation.wire import said

if TYPE_CHECKING:
    from simulation.hosts import Host
    from simulation.world import World

LONGEST_LAPSE: Final = 80.0
"""Seconds: leases that last longer do not end in a run."""

Doing = Callable[["World", Act], None]

ECHOED: Final = 6
"""So many of the last deliveries of a party are delivered again after its restart."""


def reading(world: "World", act: Act) -> None:
    """A sensor is asked for a result; one reading in six makes the module trap."""
    world.ask(act.who, trap=act.number % 6 == 0)


def weather(world: "World", act: Act) -> None:
    """The broker drops, doubles, reorders and delays."""
    random = Random(act.number)
    drop, duplicate, reorder, delay = (random.choice((0.0, 0.1, 0.3)) for _ in range(4))
    world.broker.faults = Faults(drop, duplicate, reorder, delay, random.choice((1.0, 10.0, 40.0)))
    world.after(act.seconds, lambda: setattr(world.broker, "faults", FAULTLESS))


def crash(world: "World", act: Act) -> None:
    """A party ends at once, before it can acknowledge, or in the middle of its writes; and starts again later."""
    host = world.running(act.who)
    how = act.number % 3
    echoed = [] if host is None else host.received[-ECHOED:]
    if host is not None and how == 1:
        world.broker.crash(host, before_acknowledging=True)
        world.doomed.add(act.who)
    elif host is not None and how == 2 and act.who.split("-")[0] != "agent":
        world.holder(act.who).disk.dies_after(act.number // 3 % 12)
    else:
        world.crash(act.who)

    def restart() -> None:
        world.start(act.who)
        again = world.running(act.who)
        if again is not None and act.number // 3 % 2:
            for delivery in echoed:
                world.broker.deliver(again, delivery)

    world.after(act.seconds, restart)


def enclave_crash(world: "World", act: Act) -> None:
    """The process of an enclave is gone; its host notices at the next call."""
    host = world.running(act.who)
    if host is not None and host.party._enclave is not None:
        host.party._enclave.dies = True


def cut(world: "World", act: Act) -> None:
    """The network of a party is cut: it goes on running, and everybody waits for it."""
    host = world.running(act.who)
    if host is None:
        return
    world.broker.cut(host)
    world.after(act.seconds, partial(_mend, world, act.who))


def _mend(world: "World", name: str) -> None:
    host = world.running(name)
    if host is not None:
        world.broker.mend(host)


def deaf(world: "World", act: Act) -> None:
    """The broker shows a party nothing of one kind, and others all of it. `who` is PARTY TOPIC-LEVEL."""
    name, level = act.who.split()
    host = world.hosts.get(name)
    if host is not None:
        host.deaf_to.append(level)
        world.after(act.seconds, host.deaf_to.clear)


def broker_lost(world: "World", act: Act) -> None:
    """The broker starts anew and has forgotten everything; parties connect and subscribe again."""
    wanted = {name: world.broker.subscriptions(host.client_id) for name, host in world.hosts.items()}
    world.broker.forget()

    def back(name: str) -> None:
        host = world.running(name)
        if host is None or world.broker.is_online(host):
            return
        world.broker.mend(host)
        events: list[Event] = [Subscription(each, qos) for each, qos in wanted.get(name, {}).items()]
        world.broker.submit(host, lambda _party, _now: events)

    for name in wanted:
        world.after(act.seconds, partial(back, name))
    world.after(act.seconds, partial(_republish_list, world))


def _republish_list(world: "World") -> None:
    """The operator does what `sealedge revoke` did once."""
    world.broker.publish(Publication(world.fleet.topics.revocations, world.fleet.lists[-1], retain=True))


def disk_full(world: "World", act: Act) -> None:
    """Nothing more can be written for a while."""
    disk = world.holder(act.who).disk
    disk.full = True
    world.after(act.seconds, lambda: setattr(disk, "full", False))


def skew(world: "World", act: Act) -> None:
    """An honest clock is off by up to 25 seconds, from now on or from the next start."""
    offset = Random(act.number).randint(-25, 25)
    world.clocks[act.who] = offset
    if act.who in world.hosts:
        world.hosts[act.who].set_clock(offset)


def lying_clock(world: "World", act: Act) -> None:
    """The host of an enclave says that it is much earlier or later than it is."""
    world.clocks[act.who] = Random(act.number).choice((-3600, -300, -90, 90, 300, 3600))
    world.start(act.who)
    world.after(act.seconds, partial(_tell_truth, world, act.who))


def _tell_truth(world: "World", name: str) -> None:
    world.clocks[name] = 0
    world.start(name)


def leave(world: "World", act: Act) -> None:
    """A party leaves in order, and comes back."""
    host = world.running(act.who)
    if host is not None:
        world.broker.leave(host)
        world.hosts.pop(act.who)
    world.after(act.seconds, partial(world.start_if_down, act.who))


def join(world: "World", act: Act) -> None:
    """A party starts that was not there before."""
    world.start_if_down(act.who)


def version(world: "World", act: Act) -> None:  # noqa: ARG001 - every version is the next one
    """The model's owner publishes a new version."""
    world.publish_version()


def revoke(world: "World", act: Act) -> None:
    """The authority revokes something. `who` says what: KIND, and a party's name where the kind needs one."""
    kind, _, name = act.who.partition(" ")
    known: RevocationKind | None = None
    identifier = b""
    fleet = world.fleet
    if kind == "chip":
        known, identifier = "chip", fleet.holder(Role.AGENT, name).signing.public.thumbprint
    elif kind == "key":
        known, identifier = "key", world.holder(name).signing.public.thumbprint
    elif kind == "credential":
        vouched = said(Credential, world.holder(name).credential)
        known, identifier = "credential", b"" if vouched is None else vouched.identifier
    elif kind == "model":
        known, identifier = "model", digest(fleet.modules[max(fleet.modules)])
    elif kind == "measurement":
        known, identifier = "measurement", MEASUREMENT
    named = [] if known is None else [(known, identifier)]
    following = fleet.revoke(world.broker.now, *named)
    world.broker.publish(Publication(fleet.topics.revocations, following, retain=True))


def rekey(world: "World", act: Act) -> None:
    """A party is given a new key, and the one that it had is revoked; a publisher then signs a new version."""
    world.crash(act.who)
    fleet = world.fleet
    following = fleet.rekey(world.holder(act.who).role, act.who, world.broker.now)
    world.broker.publish(Publication(fleet.topics.revocations, following, retain=True))

    def restart() -> None:
        world.start(act.who)
        if act.who == "publisher":
            world.publish_version()

    world.after(act.seconds, restart)


def slow(world: "World", act: Act) -> None:
    """A party takes its time: whatever it says to others is said so much later."""
    host = world.running(act.who)
    if host is None:
        return
    host.said_later = lambda said: world.after(act.seconds, partial(_say, world, host, said))
    world.after(2 * act.seconds, host.hurry)


def _say(world: "World", host: "Host", said: Sequence[Publication]) -> None:
    if world.running(host.name) is host:
        world.broker.submit(host, lambda _party, _now: said)


def lapse(world: "World", act: Act) -> None:
    """Nobody renews leases until all of them have ended, in the middle of whatever is going on."""
    shape = world.shape
    seconds = (shape.lease_seconds if act.who == "verifier" else shape.key_lease_seconds) + 10.0
    cut(world, replace(act, seconds=min(seconds, LONGEST_LAPSE)))


ACTS: Final[Mapping[str, Doing]] = {
    "reading": reading,
    "weather": weather,
    "crash": crash,
    "enclave-crash": enclave_crash,
    "cut": cut,
    "deaf": deaf,
    "broker-lost": broker_lost,
    "disk-full": disk_full,
    "skew": skew,
    "lying-clock": lying_clock,
    "leave": leave,
    "join": join,
    "version": version,
    "revoke": revoke,
    "rekey": rekey,
    "slow": slow,
    "lapse": lapse,
}
