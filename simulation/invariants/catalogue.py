"""Every invariant by name, and what a run breaks of them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from simulation.invariants import liveness, order, results, secrecy, standing
from simulation.invariants.case import Case

Invariant = Callable[[Case], Iterable[str]]

INVARIANTS: Final[Mapping[str, Invariant]] = {
    "nothing-escapes": liveness.nothing_escapes,
    "authentic": results.authentic,
    "delivered-where-meant": results.delivered_where_meant,
    "once": results.once,
    "never-allowed": results.never_allowed,
    "bound": results.bound,
    "secret": secrecy.secret,
    "sealed-to-holders": secrecy.sealed_to_holders,
    "nonce-once": secrecy.nonce_once,
    "attested": standing.attested,
    "key-lent": standing.key_lent,
    "opened": standing.opened,
    "computed-in-standing": standing.computed_in_standing,
    "never-back": order.never_back,
    "state": order.state,
    "not-lost": liveness.not_lost,
    "recovers": liveness.recovers,
}
"""By name: what a failing seed is reported under."""


def violations(case: Case) -> dict[str, list[str]]:
    """What does not hold, by the name of the invariant."""
    found = {name: list(dict.fromkeys(invariant(case))) for name, invariant in INVARIANTS.items()}
    return {name: each for name, each in found.items() if each}
