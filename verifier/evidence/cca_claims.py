"""The claims of Arm CCA's platform token and realm token (draft-ffm-rats-cca-token-03; RMM specification A7.2).

Profiles: `http://arm.com/CCA-SSD/1.0.0` of both tokens at once, and those of 2023 and 2024 of each. The profile of
2026 binds the tokens by another claim (2408), and is refused until it is appraised by its own rules.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from protocol.algorithms import KeyParameter, KeyType
from protocol.errors import Finding, MalformedError, UnsupportedError
from verifier.evidence.arm_claims import (
    COMPONENTS,
    HASH_BYTES,
    INSTANCE_ID,
    LIFECYCLE,
    Rule,
    lifecycle_state,
    octets,
    octets_between,
    one_of,
    read_claims,
    read_components,
    text,
)
from verifier.evidence.examination import Examination
from verifier.evidence.foreign_cbor import decode_foreign_untrusted
from verifier.evidence.foreign_cose import ES384, ESP384
from verifier.evidence.interface import Claim

CHALLENGE: Final = 10
INSTANCE: Final = 256
REALM_KEY: Final = 44237
REALM_KEY_HASH: Final = 44240
_PROFILE: Final = 265

SHARED_PROFILE: Final = "http://arm.com/CCA-SSD/1.0.0"
PLATFORM_PROFILES: Final = (
    SHARED_PROFILE,
    "tag:arm.com,2023:cca_platform#1.0.0",
    "tag:arm.com,2024:cca_platform#2.0.0",
)
REALM_PROFILES: Final = (SHARED_PROFILE, "tag:arm.com,2023:realm#1.0.0", "tag:arm.com,2024:realm#2.0.0")

HASHES: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "sha-256": hashlib.sha256,
    "sha-384": hashlib.sha384,
    "sha-512": hashlib.sha512,
}
"""By the names of the IANA registry "Named Information Hash Algorithm" that RMM uses."""

_P384: Final = 2
_POINT_BYTES: Final = 97
_MAX_KEY: Final = 256
_MAX_CONFIG: Final = 4096
_REGISTERS: Final = 4


def _is_registers(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != _REGISTERS:
        return False
    return all(isinstance(each, bytes) and len(each) in HASH_BYTES for each in value)


_PLATFORM: Final[Mapping[int, Rule]] = {
    _PROFILE: one_of("profile", *PLATFORM_PROFILES),
    CHALLENGE: octets("challenge", *HASH_BYTES),
    INSTANCE: INSTANCE_ID,
    2395: LIFECYCLE,
    2396: octets("implementation_id", 32),
    2399: COMPONENTS,
    2400: text("verification_service", optional=True),
    2401: octets_between("config", 1, _MAX_CONFIG),
    2402: one_of("hash_algorithm", *HASHES),
}

_REALM: Final[Mapping[int, Rule]] = {
    _PROFILE: one_of("profile", *REALM_PROFILES, optional=True),
    CHALLENGE: octets("challenge", 64),
    INSTANCE: Rule("instance_id", INSTANCE_ID.expected, INSTANCE_ID.holds, True),
    44235: octets("personalization_value", 64),
    44236: one_of("hash_algorithm", *HASHES),
    REALM_KEY: octets_between("public_key", 1, _MAX_KEY),
    44238: octets("initial_measurement", *HASH_BYTES),
    44239: Rule("extensible_measurements", f"{_REGISTERS} of 32, 48 or 64 bytes", _is_registers),
    REALM_KEY_HASH: one_of("public_key_hash_algorithm", *HASHES),
    # Samples number what the later drafts name.
    44243: Rule("mec_policy", "text or a number", lambda value: type(value) in (int, str), True),
}


def platform_claims(claims: Mapping[Any, Any], examination: Examination) -> dict[str, Claim]:
    """Read the claims that a platform signed, complete, with `lifecycle_state` and components as maps.

    Raises `AppraisalError`, and `UnsupportedError` for another profile.
    """
    _check_profile(claims, PLATFORM_PROFILES, examination, "platform")
    values = _present(read_claims(claims, _PLATFORM, examination, "platform"))
    state = lifecycle_state(values["lifecycle"])
    examination.note("platform.lifecycle-state", "secured, or it counts as debug", state)
    components = read_components(values["software_components"], examination, "platform")
    return {**values, "lifecycle_state": state, "software_components": components}


def realm_claims(claims: Mapping[Any, Any], examination: Examination) -> dict[str, Claim]:
    """Read the claims that RMM signed for a realm, complete. Raises as `platform_claims`."""
    if _PROFILE in claims:
        _check_profile(claims, REALM_PROFILES, examination, "realm")
    values = _present(read_claims(claims, _REALM, examination, "realm"))
    return {**values, "extensible_measurements": tuple(values["extensible_measurements"])}


def realm_key_untrusted(encoded: object) -> ec.EllipticCurvePublicKey:
    """The Realm Attestation Key as the realm token has it: a raw P-384 point, or a COSE_Key.

    Raises `MalformedError`, and `UnsupportedError` for a key of another kind.
    """
    if not isinstance(encoded, bytes) or not 0 < len(encoded) <= _MAX_KEY:
        finding = Finding("realm.public_key", f"1 to {_MAX_KEY} bytes", type(encoded).__name__)
        raise MalformedError("the realm token has no key", finding=finding)
    point = encoded if len(encoded) == _POINT_BYTES else _point_untrusted(encoded)
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), point)
    except ValueError:
        finding = Finding("realm.public_key", "a point of P-384", f"{len(encoded)} bytes")
        raise MalformedError("the realm token's key is no point", finding=finding) from None


def _point_untrusted(encoded: bytes) -> bytes:
    """The point of a COSE_Key (RFC 9052 §7, RFC 9053 §7.1.1), uncompressed."""
    key = decode_foreign_untrusted(encoded, max_bytes=_MAX_KEY, max_depth=2)
    if not isinstance(key, dict):
        raise MalformedError("the realm token's key is neither a point nor a COSE_Key")
    if key.get(KeyParameter.KTY) != KeyType.EC2 or key.get(KeyParameter.CRV) != _P384:
        raise UnsupportedError("a realm signs with P-384", finding=Finding("realm.public_key", "P-384", "another"))
    if key.get(KeyParameter.ALG, ES384) not in (ES384, ESP384):
        raise UnsupportedError("the realm token's key is for another algorithm")
    x, y = key.get(KeyParameter.X), key.get(KeyParameter.Y)
    if not (isinstance(x, bytes) and isinstance(y, bytes) and len(x) == len(y) == _POINT_BYTES // 2):
        raise MalformedError("the coordinates of the realm token's key are 48 bytes each")
    return b"\x04" + x + y


def _check_profile(claims: Mapping[Any, Any], profiles: tuple[str, ...], examination: Examination, name: str) -> None:
    found = claims.get(_PROFILE)
    if isinstance(found, str) and found in profiles:
        return
    shown = "none" if found is None else ascii(found)[:128]
    examination.note(f"{name}.profile", " or ".join(profiles), shown, holds=False)
    finding = Finding(f"{name}.profile", " or ".join(profiles), shown)
    raise UnsupportedError(f"a {name} token of another profile", finding=finding)


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
