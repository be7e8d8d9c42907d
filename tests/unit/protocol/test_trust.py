"""Credentials: who vouches, for whom, for how long; and what a forger or a hoarder tries (P2, P9, P14)."""

import tracemalloc
from collections.abc import Callable

import pytest

from protocol.cbor import encode
from protocol.cose import parse_sign1_untrusted
from protocol.envelope import sign_document
from protocol.errors import AppraisalError, AuthenticationError, FreshnessError, RemoteError
from protocol.kem_keys import KemPrivateKey
from protocol.keys import SigningKey
from protocol.trust import CLOCK_SKEW, MAX_CREDENTIAL, check_times
from schemas.kinds import Kind, Role
from schemas.reason import Reason
from tests.support.enclaves import DAY, NOW, Fleet

FLEET = Fleet()
KEY = SigningKey.generate(FLEET.randomness)
KEM = KemPrivateKey.generate(FLEET.randomness)
SENSOR = FLEET.credential("gate-3", Role.SENSOR, KEY.public)


def refusal(credential: bytes, *roles: Role, now: float = NOW, fleet: Fleet = FLEET) -> Reason:
    with pytest.raises(RemoteError) as refused:
        fleet.trust().identify_untrusted(credential, now, *(roles or (Role.SENSOR,)))
    return refused.value.reason


def carrying(credential: bytes, more: bytes) -> bytes:
    """The same credential with something in its unprotected header, which no signature covers."""
    from cbor2 import CBORTag  # noqa: PLC0415

    from protocol.algorithms import Header  # noqa: PLC0415

    parsed = parse_sign1_untrusted(credential)
    return encode(CBORTag(18, [parsed.protected, {Header.CREDENTIAL: more}, parsed.payload, parsed.signature]))


def test_a_credential_says_who_holds_it() -> None:
    credential = FLEET.credential("desk", Role.CONSUMER, KEY.public, KEM.public)
    identity = FLEET.trust().identify_untrusted(credential, NOW, Role.SENSOR, Role.CONSUMER)
    assert (identity.name, identity.role, identity.expires) == ("desk", Role.CONSUMER, int(NOW) + DAY)
    assert (identity.key, identity.sealing_key) == (KEY.public, KEM.public)
    assert FLEET.trust().authority == FLEET.authority.public


def test_keys_that_a_credential_lacks_are_refused_by_name() -> None:
    trust = FLEET.trust()
    sensor = trust.identify_untrusted(SENSOR, NOW, Role.SENSOR)
    agent = trust.identify_untrusted(FLEET.enrol("agent-1", bytes(32)), NOW, Role.AGENT)
    for take in (lambda: sensor.sealing_key, lambda: agent.key):
        with pytest.raises(AuthenticationError) as refused:
            take()
        assert refused.value.reason is Reason.CREDENTIAL_INVALID


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (lambda: FLEET.credential("gate-3", Role.CONSUMER, KEY.public), Reason.ROLE_NOT_ALLOWED),
        (lambda: Fleet(seed=2).credential("gate-3", Role.SENSOR, KEY.public), Reason.UNKNOWN_SIGNER),
        (lambda: FLEET.credential("gate-3", Role.SENSOR, KEY.public, fleet="other"), Reason.MISADDRESSED),
        (lambda: SENSOR[:-1] + bytes([SENSOR[-1] ^ 1]), Reason.SIGNATURE_INVALID),
        (lambda: SENSOR[:-1], Reason.MALFORMED),
        (lambda: b"", Reason.MALFORMED),
        (lambda: bytes(MAX_CREDENTIAL + 1), Reason.OVERSIZED),
        (lambda: carrying(SENSOR, b"x"), Reason.UNSUPPORTED),
        (lambda: sign_document(Kind.RECEIPT, _claims(), FLEET.authority), Reason.UNEXPECTED),
    ],
)
def test_what_the_authority_did_not_sign_for_this_is_refused(forge: Callable[[], bytes], reason: Reason) -> None:
    assert refusal(forge()) is reason


def _claims():  # type: ignore[no-untyped-def]  # of a credential, whatever its class
    from protocol.messages import decode_message_untrusted  # noqa: PLC0415
    from schemas.attestation import Credential  # noqa: PLC0415

    return decode_message_untrusted(Credential, parse_sign1_untrusted(SENSOR).payload)


def test_a_credential_holds_within_its_time() -> None:
    start, end = int(NOW) - 3600, int(NOW) + DAY
    trust = FLEET.trust()
    for now in (start - CLOCK_SKEW, NOW, end - 0.001):
        trust.identify_untrusted(SENSOR, now, Role.SENSOR)
    assert refusal(SENSOR, now=end) is Reason.EXPIRED
    assert refusal(SENSOR, now=start - CLOCK_SKEW - 0.001) is Reason.NOT_YET_VALID


@pytest.mark.parametrize("kind", ["credential", "key"])
def test_a_revocation_counts_also_for_a_credential_that_was_seen_before(kind: str) -> None:
    trust = FLEET.trust()
    identity = trust.identify_untrusted(SENSOR, NOW, Role.SENSOR)
    named = identity.identifier if kind == "credential" else KEY.public.thumbprint
    trust.revocations.accept_untrusted(FLEET.revocations(1, (kind, named)))  # type: ignore[arg-type]  # a literal
    with pytest.raises(AppraisalError):
        trust.identify_untrusted(SENSOR, NOW, Role.SENSOR)
    with pytest.raises(AppraisalError):
        trust.check_standing(identity, NOW)


def test_one_credential_fills_no_memory_whatever_is_attached_to_it() -> None:
    """Many copies of a good credential, each with other bytes where no signature reaches."""
    trust = FLEET.trust()
    trust.identify_untrusted(SENSOR, NOW, Role.SENSOR)
    tracemalloc.start()
    try:
        for number in range(200):
            with pytest.raises(RemoteError):
                trust.identify_untrusted(carrying(SENSOR, bytes([number]) * 60_000), NOW, Role.SENSOR)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1_000_000


def test_the_memory_of_credentials_is_bounded_and_forgets_none_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocol.trust._CACHE_SIZE", 3)
    trust = FLEET.trust()
    credentials = [FLEET.credential(f"gate-{number}", Role.SENSOR, KEY.public) for number in range(5)]
    for _ in range(2):
        names = [trust.identify_untrusted(each, NOW, Role.SENSOR).name for each in credentials]
        assert names == [f"gate-{number}" for number in range(5)]
        assert len(trust._known) == 3


def test_times_have_a_skew_at_the_start_and_none_at_the_end() -> None:
    check_times("x", 100, 200, 100 - CLOCK_SKEW)
    check_times("x", 100, 200, 199.99)
    for now, reason in ((200, Reason.EXPIRED), (99.99 - CLOCK_SKEW, Reason.NOT_YET_VALID)):
        with pytest.raises(FreshnessError) as refused:
            check_times("x", 100, 200, now)
        assert refused.value.reason is reason
        assert refused.value.finding is not None
