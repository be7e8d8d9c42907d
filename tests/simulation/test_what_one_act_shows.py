"""A planted bug that bursts, slowness, lapses or new keys show, and that nobody would notice without them."""

from dataclasses import replace
from typing import NamedTuple

import pytest

from simulation.mutations.catalogue import MUTATIONS
from simulation.mutations.rewriting import mutation, planted
from simulation.plan import Act, Plan, Shape
from simulation.running import run

_GRANT = "edge_agent.enclave.models:ModelShelf.accept_grant_untrusted"

# Too rarely shown by what seeds draw to stand among the others: this plan shows it.
FROM_ARRIVAL = mutation(
    "count-a-model-s-lease-from-its-arrival",
    "P3",
    (_GRANT, 'check_times("key-release", grant.issued, grant.expires, now)', "length = grant.expires - grant.issued"),
    (
        _GRANT,
        "running.expires, running.renew_at = grant.expires, renew_at",
        "running.expires, running.renew_at = int(now) + length, now + length / 2",
    ),
    (_GRANT, "index, grant.expires, renew_at", "index, int(now) + length, now + length / 2"),
)
BUGS = {**MUTATIONS, FROM_ARRIVAL.name: FROM_ARRIVAL}

AT_ONCE = Act(15, "flurry", number=3)


class Showing(NamedTuple):
    """`kind` is the act without which nothing is noticed; "" where it is that deliveries come in bursts."""

    mutation: str
    invariant: str
    kind: str
    plan: Plan


def readings(first: float, count: int) -> tuple[Act, ...]:
    return tuple(Act(first + 2 * each, "reading", "sensor-1", number=1 + 6 * each) for each in range(count))


SHOWING = (
    Showing("compute-a-copy-in-the-same-turn", "once", "", Plan(1, Shape(burst=16), (AT_ONCE,))),
    Showing("start-two-requests-from-one-state", "state", "", Plan(1, Shape(burst=16, stateful=True), (AT_ONCE,))),
    Showing(
        "count-a-model-s-lease-from-its-arrival",
        "computed-in-standing",
        "slow",
        Plan(
            1,
            Shape(lease_seconds=300, key_lease_seconds=30, session_seconds=3600),
            (Act(14, "slow", "publisher", 4.0), Act(35, "cut", "publisher", 40.0), *readings(36, 15)),
        ),
    ),
    Showing(
        "compute-beyond-the-passport-s-lease",
        "recovers",
        "lapse",
        Plan(
            1,
            Shape(lease_seconds=30, key_lease_seconds=300),
            (Act(10, "lapse", "verifier"), *readings(8, 30)),
        ),
    ),
    *(
        Showing(
            "believe-the-first-key-of-a-name-alone",
            "recovers",
            "rekey",
            Plan(1, Shape(), (*readings(10, 2), Act(20, "rekey", who, 5.0), *readings(30, 2))),
        )
        for who in ("verifier", "publisher", "sensor-1")
    ),
)


IN_TURN = [SHOWING[0], *(pytest.param(each, marks=pytest.mark.slow) for each in SHOWING[1:])]
"""Each takes three histories: the full run has them all."""


@pytest.mark.parametrize("showing", IN_TURN, ids=lambda each: f"{each.mutation}-{each.kind or 'burst'}")
def test_a_planted_bug_is_noticed_by_what_the_act_brings_and_not_without_it(showing: Showing) -> None:
    plan = showing.plan
    without = replace(
        plan,
        shape=plan.shape if showing.kind else replace(plan.shape, burst=1),
        acts=tuple(act for act in plan.acts if act.kind != showing.kind),
    )
    assert run(plan).broken == {}
    with planted(BUGS[showing.mutation]):
        assert showing.invariant in run(plan).broken
        assert run(without).broken == {}


def test_bursts_and_rekeyed_parties_are_counted() -> None:
    injected = run(SHOWING[0].plan).injected + run(SHOWING[-1].plan).injected
    assert injected["burst"] > 0
    assert (injected["flurry"], injected["rekey"]) == (1, 1)


def test_a_retired_key_computes_nothing_once_its_list_is_held() -> None:
    """What a retired key asks for is refused; without revocation it would be computed, and that is noticed."""
    acts = (*readings(10, 2), Act(20, "rekey", "sensor-1", 2.0), Act(30, "retired-key", number=1))
    plan = Plan(1, Shape(), acts)
    assert run(plan).broken == {}
    with planted(MUTATIONS["skip-revocation"]):
        assert "an enclave computed for a key that was retired" in run(plan).broken["computed-in-standing"]
