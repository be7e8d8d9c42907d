"""Evidence of an Arm CCA realm: a platform token by the CPU's key, and a realm token by a key that it vouches for.

    platform token ─signed by─> CPAK, enrolled           challenge of the platform token == H(RAK)
    realm token ────signed by─> RAK, in its own claims   challenge of the realm token == report data

Source: draft-ffm-rats-cca-token-03, RMM specification A7.2. The pair stands under tag 399, or in a CMW collection
under tag 907. A platform token alone (tag 18) is evidence of a platform, and says nothing of a realm.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, Final

from protocol.cbor import CBORTag
from protocol.errors import Finding, MalformedError, UnsupportedError
from schemas.evidence import CCA
from schemas.kinds import Tier
from schemas.reason import Reason
from verifier.evidence.arm_claims import MAX_TOKEN, SECURED, claims_untrusted, measurement_of
from verifier.evidence.cca_claims import (
    CHALLENGE,
    HASHES,
    INSTANCE,
    REALM_KEY,
    REALM_KEY_HASH,
    platform_claims,
    realm_claims,
    realm_key_untrusted,
)
from verifier.evidence.examination import Examination
from verifier.evidence.foreign_cbor import decode_foreign_untrusted
from verifier.evidence.foreign_cose import SIGN1_TAG, ForeignSign1, parse_foreign_sign1_untrusted
from verifier.evidence.interface import Endorsements, Parts, TeeClaims, required
from verifier.evidence.psa import enrolled_key_untrusted
from verifier.evidence.public_keys import PublicKey, public_key_untrusted

TOKEN_TAG: Final = 399
COLLECTION_TAG: Final = 907
PLATFORM, REALM = 44234, 44241

_EAT_CWT: Final = (263, "application/eat+cwt")
"""What a CMW record says of each token: the CoAP content format, or the media type (RFC 9782)."""

_TAGS: Final = frozenset({SIGN1_TAG, TOKEN_TAG, COLLECTION_TAG})


@dataclass(frozen=True, slots=True)
class _Token:
    """A COSE_Sign1 with the claims that it signs; nothing in it is trusted."""

    signed: ForeignSign1
    claims: Mapping[Any, Any]


class CcaAppraiser:
    """Appraises CCA tokens by the platform keys of `endorsements`, or by a part `key`, which its giver vouches for."""

    form = CCA

    def __init__(self, endorsements: Endorsements) -> None:
        self._endorsements = endorsements

    def appraise_untrusted(self, parts: Parts, now: float, examination: Examination) -> TeeClaims:  # noqa: ARG002 - tokens have no time
        """Returns what RMM said of the realm, with the realm's challenge as `report_data`, or of a platform alone.

        Raises `MalformedError`, `UnsupportedError`, `AuthenticationError` (unknown-signer where there is no key,
        binding-mismatch), `AppraisalError` for genuine tokens whose claims are incomplete.
        """
        platform, realm = _tokens_untrusted(required(parts, "token"))
        realm_key = None if realm is None else realm_key_untrusted(realm.claims.get(REALM_KEY))
        key = self._key_untrusted(parts, platform)
        platform.signed.verify(key, examination, "platform", "the platform's attestation key")
        if realm is None or realm_key is None:
            examination.signature = "valid"
            examination.note("realm", "a realm token", "none: this is evidence of a platform alone")
            return _of_platform(platform_claims(platform.claims, examination))
        _check_binding(platform, realm, examination)
        realm.signed.verify(realm_key, examination, "realm", "the key that the platform vouches for")
        examination.signature = "valid"
        return _of_realm(platform_claims(platform.claims, examination), realm_claims(realm.claims, examination))

    def _key_untrusted(self, parts: Parts, platform: _Token) -> PublicKey:
        if "key" in parts:
            return public_key_untrusted(parts["key"], "key")
        found = platform.claims.get(INSTANCE)
        return enrolled_key_untrusted(self._endorsements, "cca", found if isinstance(found, bytes) else None)


def _tokens_untrusted(data: bytes) -> tuple[_Token, _Token | None]:
    message = decode_foreign_untrusted(data, max_bytes=MAX_TOKEN, max_depth=8, tags=_TAGS)
    if not isinstance(message, CBORTag):
        raise MalformedError("a CCA token is tagged", finding=Finding("token", "tag 907, 399 or 18", "none"))
    if message.tag == SIGN1_TAG:
        return _token_untrusted(data, "platform"), None
    entries = message.value
    if not isinstance(entries, dict) or entries.keys() != {PLATFORM, REALM}:
        finding = Finding("token", f"entries {PLATFORM} and {REALM}", "others")
        raise MalformedError("a CCA token is a platform token and a realm token", finding=finding)
    read = _record_untrusted if message.tag == COLLECTION_TAG else _bytes_untrusted
    return _token_untrusted(read(entries[PLATFORM]), "platform"), _token_untrusted(read(entries[REALM]), "realm")


def _record_untrusted(record: object) -> bytes:
    """The content of a CMW record (RFC 9999 §3.1): type and value."""
    if not isinstance(record, list) or len(record) != 2:
        raise MalformedError("not a CMW record", finding=Finding("token", "[type, bytes]", type(record).__name__))
    if record[0] not in _EAT_CWT:
        finding = Finding("token.type", " or ".join(map(str, _EAT_CWT)), ascii(record[0])[:64])
        raise UnsupportedError("a CMW record of another type", finding=finding)
    return _bytes_untrusted(record[1])


def _bytes_untrusted(content: object) -> bytes:
    if not isinstance(content, bytes):
        raise MalformedError("a token is a byte string", finding=Finding("token", "bytes", type(content).__name__))
    return content


def _token_untrusted(data: bytes, name: str) -> _Token:
    signed = parse_foreign_sign1_untrusted(data, max_bytes=MAX_TOKEN, tagged=True)
    return _Token(signed, claims_untrusted(signed.payload, name))


def _check_binding(platform: _Token, realm: _Token, examination: Examination) -> None:
    """The platform signed the hash of the realm key, over the very bytes of the claim."""
    name = realm.claims.get(REALM_KEY_HASH)
    algorithm = HASHES.get(name) if isinstance(name, str) else None
    if algorithm is None:
        finding = Finding("realm.public_key_hash_algorithm", " or ".join(HASHES), ascii(name)[:64])
        raise UnsupportedError("a realm key under an unknown hash", finding=finding)
    expected, found = algorithm(realm.claims[REALM_KEY]).digest(), platform.claims.get(CHALLENGE)
    holds = isinstance(found, bytes) and compare_digest(expected, found)
    if not holds:
        examination.signature = "invalid"
    examination.demand(
        holds,
        "platform.challenge",
        expected.hex()[:16],
        found.hex()[:16] if isinstance(found, bytes) else "none",
        "the platform does not vouch for the realm's key",
        reason=Reason.BINDING_MISMATCH,
    )


def _of_platform(platform: Mapping[str, Any]) -> TeeClaims:
    return TeeClaims(
        tier=Tier.CCA,
        chip=hashlib.sha256(platform["instance_id"]).digest(),
        measurement=measurement_of(platform["software_components"]),
        report_data=platform["challenge"],
        debug=platform["lifecycle_state"] != SECURED,
        claims={"platform": platform, "realm": None},
    )


def _of_realm(platform: Mapping[str, Any], realm: Mapping[str, Any]) -> TeeClaims:
    return TeeClaims(
        tier=Tier.CCA,
        chip=hashlib.sha256(platform["instance_id"]).digest(),
        measurement=realm["initial_measurement"],
        report_data=realm["challenge"],
        debug=platform["lifecycle_state"] != SECURED,
        claims={"platform": platform, "realm": realm},
    )
