"""Mallory's openings that are wrong in one point each: no request in such a session may ever be computed."""

from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any, Final

from schemas.kinds import Role
from simulation.acts import Doing
from simulation.attacks.sensing import NAME, Session, session_with
from simulation.fleet import MODEL, STRICT
from simulation.plan import Act

if TYPE_CHECKING:
    from simulation.world import World


def bent_terms(world: "World", act: Act) -> None:
    """Sessions whose openings are wrong in one point each, and a request in them; or the same in one-shots."""
    random = Random(act.number)
    for bend in random.sample(_BENT, 3):
        session = session_with(world, random)
        if session is None:
            return
        why, bent = bend(session)
        if random.random() < 0.5:
            session.open(**bent)
            session.say(session.reading(why))
        else:
            session.open(**bent, request=session.reading(why))


Bent = tuple[str, dict[str, Any]]


def _with(why: str, **bent: Any) -> Callable[[Session], Bent]:
    return lambda _session: (why, bent)


def _inbox_of_a_victim(session: Session) -> Bent:
    inbox = session.world.fleet.topics.inbox(Role.SENSOR, "sensor-1")
    return "its answer would go to another sensor", {"reply_to": inbox}


def _delivered_to_a_victim(session: Session) -> Bent:
    fleet = session.world.fleet
    trudy = fleet.holder(Role.CONSUMER, "consumer-trudy").credential
    inbox = fleet.topics.inbox(Role.CONSUMER, "consumer-1")
    return "its result would go to a consumer that it is not for", {"recipients": (trudy,), "deliver_to": inbox}


def _recipient_of_nobody(session: Session) -> Bent:
    fleet = session.world.fleet
    stranger = fleet.holder(Role.CONSUMER, "consumer-trudy", impostor=True).credential
    return "nobody vouches for its recipient", {"recipients": (stranger,), "deliver_to": fleet.topics.results(MODEL)}


def _recipient_in_another_role(session: Session) -> Bent:
    fleet = session.world.fleet
    sensor = fleet.holder(Role.SENSOR, NAME).credential
    return "its recipient is no consumer", {"recipients": (sensor,), "deliver_to": fleet.topics.results(MODEL)}


def _times(why: str, start: int, end: int) -> Callable[[Session], Bent]:
    def bent(session: Session) -> Bent:
        now = session.terms["issued"]
        return why, {"issued": now + start, "expires": now + end}

    return bent


def _other_correlation(session: Session) -> Bent:
    session.correlation = session.random.randbytes(16)
    return "the opening's correlation data was not its id", {}


def _by_a_consumer(session: Session) -> Bent:
    session.signer = Role.CONSUMER, "consumer-trudy", False
    inbox = session.world.fleet.topics.inbox(Role.SENSOR, "consumer-trudy")
    return "a consumer opened the session", {"reply_to": inbox}


def _by_a_stranger(session: Session) -> Bent:
    session.signer = Role.SENSOR, NAME, True
    return "nobody vouches for its sensor", {}


def _under_a_borrowed_credential(session: Session) -> Bent:
    session.credential = session.world.fleet.holder(Role.SENSOR, "sensor-1").credential
    inbox = session.world.fleet.topics.inbox(Role.SENSOR, "sensor-1")
    return "its sensor's credential is another's", {"reply_to": inbox}


_BENT: Final[tuple[Callable[[Session], Bent], ...]] = (
    _inbox_of_a_victim,
    _delivered_to_a_victim,
    _recipient_of_nobody,
    _recipient_in_another_role,
    _other_correlation,
    _by_a_consumer,
    _by_a_stranger,
    _under_a_borrowed_credential,
    _times("the session was over", -900, -600),
    _times("the session was from the future", 9000, 9100),
    _times("the session lasts more than a day", 0, 100_000),
    _with("its sensor does not accept the tier", tiers=STRICT),
    _with("it relies on another attestation result", attestation_result=bytes(32)),
    _with("it is for another fleet", fleet="other"),
    _with("it is for another agent", agent="agent-9"),
    _with("it is for another model", model="other"),
    _with("it wants a later version", minimum_version=99),
)

ATTACKS: Final[Mapping[str, Doing]] = {"bent-terms": bent_terms}
