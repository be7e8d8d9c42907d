"""Random damage to valid evidence of every kind (P5, P14): refused by name, or nothing that was said has changed.

A false accept is damaged evidence that is accepted as saying something else. What is accepted as saying the same, or
less, is outside of what anybody signed: filler behind a quote, blanks in JSON and PEM, a TPM log's descriptions of
events, without which a claim that they would bear out is null.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest

from protocol.errors import RemoteError
from tests.support.mutations import Mutation, mutate
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.exhibits import EXHIBITS
from verifier.evidence.interface import Claim

TOTAL = 100_000
each_kind = pytest.mark.parametrize("make", EXHIBITS.values(), ids=EXHIBITS)


def damaged(exhibit: Exhibit, count: int, seed: int) -> Iterator[tuple[str, Mutation]]:
    """Only what evidences: an endorsement that is damaged is another one, and has tests of its own."""
    rng = random.Random(seed)
    names = [part.name for part in exhibit.appraiser.form.parts if not part.endorses and part.name in exhibit.parts]
    for _ in range(count):
        name = rng.choice(names)
        yield name, mutate(exhibit.parts[name], rng)


def says_no_more(found: Claim, genuine: Claim) -> bool:
    """Whether these are the genuine claims, or some are null, or the log bears out fewer of the PCRs."""
    if isinstance(found, Mapping) and isinstance(genuine, Mapping):
        return found.keys() == genuine.keys() and all(
            bears_out_no_more(found[name], genuine[name])
            if name == "eventlog"
            else says_no_more(found[name], genuine[name])
            for name in found
        )
    return found is None or found == genuine


def bears_out_no_more(found: Claim, genuine: Claim) -> bool:
    """An event that was moved to a PCR that is not quoted leaves its own without what made it."""
    if not isinstance(found, Mapping) or not isinstance(genuine, Mapping):
        return says_no_more(found, genuine)
    fewer = {*sequence(found["pcrs"])} <= {*sequence(genuine["pcrs"])}
    return fewer and says_no_more({**found, "pcrs": None}, {**genuine, "pcrs": None})


def sequence(claim: Claim) -> tuple[Claim, ...]:
    assert isinstance(claim, tuple)
    return claim


def false_accepts(exhibit: Exhibit, count: int, seed: int) -> list[str]:
    """Raises whatever is raised that is no `RemoteError`."""
    genuine = exhibit.appraise()
    found = []
    for name, mutation in damaged(exhibit, count, seed):
        try:
            claims = exhibit.with_part(name, mutation.data).appraise()
        except RemoteError:
            continue
        if replace(claims, claims=genuine.claims) != genuine or not says_no_more(claims.claims, genuine.claims):
            found.append(f"{name}: {mutation.how} at {sorted(mutation.touched)[:4]}, seed {seed}")
    return found


@each_kind
def test_damaged_evidence_is_never_accepted_as_saying_something_else(make: Callable[[], Exhibit]) -> None:
    assert false_accepts(make(), 200, seed=random.SystemRandom().randrange(2**32)) == []


@pytest.mark.slow
@each_kind
def test_a_hundred_thousand_times(make: Callable[[], Exhibit]) -> None:
    assert false_accepts(make(), -(-TOTAL // len(EXHIBITS)), seed=9334) == []
