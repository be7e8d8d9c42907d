"""Passports: what is believed of a verifier's word, for how long, and what a book of them holds (P3, P5, P8, P9)."""

from typing import Any

import pytest

from protocol.attestation import MAX_RESULT, PassportBook, open_attestation_result_untrusted, sign_attestation_result
from protocol.errors import RemoteError
from protocol.kem_keys import KemPrivateKey
from protocol.keys import SigningKey
from protocol.trust import CLOCK_SKEW, confirmation
from schemas.attestation import EAR_PROFILE, Appraisal, AttestationResult, LoadedModel, VerifierIdentity
from schemas.kinds import Role, Tier
from schemas.reason import Reason
from storage.store import MemoryStore
from tests.support.enclaves import DAY, NOW, Fleet

FLEET = Fleet()
KEY, KEM = SigningKey.generate(FLEET.randomness), KemPrivateKey.generate(FLEET.randomness)
MODEL = LoadedModel(model="scan", version=1, digest=bytes(32))


def result(**changes: Any) -> AttestationResult:
    fields: dict[str, Any] = {
        "verifier": "verifier-1", "agent": "agent-1", "fleet": FLEET.name, "issued": int(NOW),
        "expires": int(NOW) + 300, "confirmation": confirmation(KEY.public, KEM.public), "nonce": bytes(32),
        "profile": EAR_PROFILE, "submodules": {"tee": Appraisal(status=2)}, "status": 2,
        "verifier_identity": VerifierIdentity(developer="d", build="b"), "tier": Tier.SIMULATED, "sequence": 7,
        "measurement": bytes([1]) * 32, "configuration": bytes(32), "models": (MODEL,), "chip": bytes([2]) * 32,
    }  # fmt: skip
    return AttestationResult(**{**fields, **changes})


def signed(credential: bytes | None = None, key: SigningKey | None = None, **changes: Any) -> bytes:
    return sign_attestation_result(
        result(**changes), key or FLEET.verifier_key, credential or FLEET.verifier_credential
    )


def refusal(document: bytes, now: float = NOW) -> Reason:
    with pytest.raises(RemoteError) as refused:
        open_attestation_result_untrusted(document, FLEET.trust(), now)
    return refused.value.reason


def test_a_passport_names_its_enclave_and_its_models() -> None:
    passport = open_attestation_result_untrusted(signed(), FLEET.trust(), NOW)
    assert (passport.agent, passport.signing_key, passport.kem_key) == ("agent-1", KEY.public, KEM.public)
    assert (passport.model("scan"), passport.model("other")) == (MODEL, None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fleet": "other"}, Reason.MISADDRESSED),
        ({"verifier": "verifier-2"}, Reason.MISADDRESSED),
        ({"profile": "tag:other"}, Reason.MISADDRESSED),
        ({"status": 32}, Reason.EVIDENCE_INVALID),
        ({"status": 0}, Reason.EVIDENCE_INVALID),
        ({"submodules": {"tee": Appraisal(status=96)}}, Reason.EVIDENCE_INVALID),
        ({"confirmation": confirmation(KEY.public)}, Reason.BINDING_MISMATCH),
        ({"issued": int(NOW) + CLOCK_SKEW + 1}, Reason.NOT_YET_VALID),
        ({"expires": int(NOW)}, Reason.LEASE_EXPIRED),
    ],
)
def test_what_does_not_hold_is_refused(changes: dict[str, Any], reason: Reason) -> None:
    assert refusal(signed(**changes)) is reason


def test_whoever_is_no_verifier_affirms_nobody() -> None:
    publisher = FLEET.credential("verifier-1", Role.PUBLISHER, FLEET.verifier_key.public)
    assert refusal(signed(publisher)) is Reason.ROLE_NOT_ALLOWED
    stolen = signed(FLEET.verifier_credential, SigningKey.generate(FLEET.randomness))
    assert refusal(stolen) is Reason.UNKNOWN_SIGNER
    assert refusal(bytes(MAX_RESULT + 1)) is Reason.OVERSIZED


def test_no_lease_outlives_its_verifiers_credential() -> None:
    credential = FLEET.credential("verifier-1", Role.VERIFIER, FLEET.verifier_key.public, expires=int(NOW) + 100)
    passport = open_attestation_result_untrusted(signed(credential, expires=int(NOW) + DAY), FLEET.trust(), NOW)
    passport.check_live(NOW + 99)
    with pytest.raises(RemoteError) as ended:
        passport.check_live(NOW + 100)
    assert ended.value.reason is Reason.LEASE_EXPIRED


@pytest.mark.parametrize("kind", ["chip", "measurement", "key", "verifier", "verifier's key"])
def test_a_passport_is_not_live_once_any_part_of_it_is_revoked(kind: str) -> None:
    trust = FLEET.trust()
    book = PassportBook(trust, MemoryStore())
    assert book.accept_untrusted(signed(), "agent-1", NOW) is not None
    verifier = trust.identify_untrusted(FLEET.verifier_credential, NOW, Role.VERIFIER)
    named = {
        "chip": ("chip", bytes([2]) * 32),
        "measurement": ("measurement", bytes([1]) * 32),
        "key": ("key", KEY.public.thumbprint),
        "verifier": ("credential", verifier.identifier),
        "verifier's key": ("key", FLEET.verifier_key.public.thumbprint),
    }[kind]
    trust.revocations.accept_untrusted(FLEET.revocations(1, named))  # type: ignore[arg-type]  # a literal
    with pytest.raises(RemoteError) as revoked:
        book.live("agent-1", NOW)
    assert revoked.value.reason is Reason.REVOKED


def book_refusal(book: PassportBook, document: bytes, agent: str = "agent-1") -> Reason:
    with pytest.raises(RemoteError) as refused:
        book.accept_untrusted(document, agent, NOW)
    return refused.value.reason


def test_a_book_never_goes_back_also_after_a_restart() -> None:
    store, newer, older = MemoryStore(), signed(sequence=8), signed(sequence=7)
    book = PassportBook(FLEET.trust(), store)
    book.accept_untrusted(newer, "agent-1", NOW)
    assert book.accept_untrusted(newer, "agent-1", NOW) is None
    assert book_refusal(book, older) is Reason.STALE
    assert book_refusal(book, signed(sequence=8, nonce=bytes([1]) * 32)) is Reason.STALE
    assert book_refusal(PassportBook(FLEET.trust(), store), older) is Reason.STALE
    assert PassportBook(FLEET.trust(), store).accept_untrusted(newer, "agent-1", NOW) is not None
    assert book_refusal(book, newer, "agent-2") is Reason.MISADDRESSED


def test_a_full_book_makes_room_by_leases_that_ended_and_by_no_others() -> None:
    book = PassportBook(FLEET.trust(), MemoryStore(), limit=2)
    for name, seconds in (("agent-1", 10), ("agent-2", 300)):
        book.accept_untrusted(signed(agent=name, expires=int(NOW) + seconds), name, NOW)
    third = signed(agent="agent-3")
    assert book_refusal(book, third, "agent-3") is Reason.BUSY
    book.accept_untrusted(third, "agent-3", NOW + 10)
    assert {each.agent for each in book} == {"agent-2", "agent-3"}
    book.forget("agent-2")
    with pytest.raises(RemoteError) as forgotten:
        book.live("agent-2", NOW)
    assert forgotten.value.reason is Reason.NOT_ATTESTED
