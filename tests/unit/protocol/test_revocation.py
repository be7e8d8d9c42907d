"""The revocation list: only ever newer, only the authority's, and an end that is noticed (P8, P9)."""

import pytest

from protocol.errors import RemoteError
from protocol.keys import SigningKey
from protocol.revocation import Revocations
from protocol.trust import Trust
from schemas.reason import Reason
from storage.store import MemoryStore
from tests.support.enclaves import DAY, NOW, Fleet

FLEET = Fleet()
CHIP = bytes([3]) * 32


def refusal(trust: Trust, document: bytes) -> Reason:
    with pytest.raises(RemoteError) as refused:
        trust.revocations.accept_untrusted(document)
    return refused.value.reason


def test_a_list_takes_the_place_of_the_one_before_and_is_remembered() -> None:
    store = MemoryStore()
    revocations = FLEET.trust(store).revocations
    assert revocations.sequence == -1
    first, second = FLEET.revocations(1), FLEET.revocations(2, ("chip", CHIP))
    assert revocations.accept_untrusted(first)
    assert not revocations.accept_untrusted(first)
    assert revocations.accept_untrusted(second)
    again = FLEET.trust(store).revocations
    assert (again.sequence, again.document) == (2, second)
    with pytest.raises(RemoteError) as revoked:
        again.check("chip", CHIP)
    assert revoked.value.reason is Reason.REVOKED
    again.check("measurement", CHIP)
    assert "sequence=2" in repr(again)


def test_what_is_not_newer_and_the_authoritys_changes_nothing() -> None:
    trust = FLEET.trust()
    held = FLEET.revocations(5, ("chip", CHIP))
    trust.revocations.accept_untrusted(held)
    assert refusal(trust, FLEET.revocations(4)) is Reason.STALE
    assert refusal(trust, FLEET.revocations(5)) is Reason.STALE
    assert refusal(trust, Fleet(seed=2).revocations(9)) is Reason.UNKNOWN_SIGNER
    assert refusal(trust, FLEET.revocations(9)[:-1]) is Reason.MALFORMED
    assert refusal(trust, b"") is Reason.MALFORMED
    assert trust.revocations.document == held


def test_a_list_of_another_fleet_under_the_same_authority_is_refused() -> None:
    other = Fleet("rivals")
    assert other.authority.public == FLEET.authority.public
    assert refusal(FLEET.trust(), other.revocations(9)) is Reason.MISADDRESSED


def test_no_list_and_a_list_that_has_ended_open_nothing_new() -> None:
    revocations = FLEET.trust().revocations
    for accept, now, live in ((False, NOW, False), (True, NOW + DAY - 1, True), (False, NOW + DAY, False)):
        if accept:
            revocations.accept_untrusted(FLEET.revocations(1))
        if live:
            revocations.check_live(now)
            continue
        with pytest.raises(RemoteError) as refused:
            revocations.check_live(now)
        assert refused.value.reason is Reason.STALE


def test_a_store_of_another_authority_is_noticed_at_the_start() -> None:
    store = MemoryStore()
    FLEET.trust(store).revocations.accept_untrusted(FLEET.revocations(1))
    with pytest.raises(RemoteError):
        Revocations(FLEET.name, SigningKey.generate(FLEET.randomness).public, store)
