"""The claims of a PSA attestation token: RFC 9783, its draft profile `http://arm.com/psa/2.0.0`, and the older one.

    profile claim 265      tag:psacertified.org,2023:psa#tfm    RFC 9783
                           http://arm.com/psa/2.0.0             draft-tschofenig-rats-psa-token-08 to -11
    no claim 265           labels from -75000 downwards         draft -07 and before, PSA Attestation API 1.0

The older profile has a name as well, `PSA_IOT_PROFILE_1`, but tokens leave it out or put a URL there: its labels
tell it, and the name is a claim.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from protocol.errors import AppraisalError, Finding, UnsupportedError
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
from verifier.evidence.interface import Claim

PROFILE_LABEL: Final = 265
_INSTANCE_ID, _OLDER_INSTANCE_ID = 256, -75009

RFC9783: Final = "tag:psacertified.org,2023:psa#tfm"
DRAFT: Final = "http://arm.com/psa/2.0.0"

_EAN13_5: Final = re.compile(r"[0-9]{13}-[0-9]{5}")
_HARDWARE_VERSION: Final = re.compile(r"[0-9]{13}(-?[0-9]{5})?")
_NO_MEASUREMENTS: Final = -75007
_OLDER_COMPONENTS: Final = -75006

_CLIENT_ID: Final = Rule(
    "client_id",
    "a 32-bit number, and not 0",
    lambda value: type(value) is int and value != 0 and -(1 << 31) <= value < 1 << 31,
)


def _matching(name: str, expected: str, pattern: re.Pattern[str]) -> Rule:
    return Rule(name, expected, lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None, True)


_CURRENT: Final[Mapping[int, Rule]] = {
    PROFILE_LABEL: one_of("profile", RFC9783, DRAFT),
    10: octets("nonce", *HASH_BYTES),
    _INSTANCE_ID: INSTANCE_ID,
    2394: _CLIENT_ID,
    2395: LIFECYCLE,
    2396: octets("implementation_id", 32),
    2397: octets_between("boot_seed", 8, 32, optional=True),
    2398: _matching("certification_reference", "EAN-13 and five digits", _EAN13_5),
    2399: COMPONENTS,
    2400: text("verification_service", optional=True),
}
"""RFC 9783 §4."""

_OLDER: Final[Mapping[int, Rule]] = {
    -75000: text("profile", optional=True),
    -75001: _CLIENT_ID,
    -75002: LIFECYCLE,
    -75003: octets("implementation_id", 32),
    -75004: octets("boot_seed", 32),
    -75005: _matching("certification_reference", "EAN-13, or that and five digits", _HARDWARE_VERSION),
    _OLDER_COMPONENTS: COMPONENTS,
    -75008: octets("nonce", *HASH_BYTES),
    _OLDER_INSTANCE_ID: INSTANCE_ID,
    -75010: text("verification_service", optional=True),
}
"""draft-tschofenig-rats-psa-token-07 §3; PSA Attestation API 1.0, appendix C."""

_OLDER_UNMEASURED: Final[Mapping[int, Rule]] = {
    **{label: rule for label, rule in _OLDER.items() if label != _OLDER_COMPONENTS},
    _NO_MEASUREMENTS: Rule("no_software_measurements", "1", lambda value: type(value) is int and value == 1),
}
"""The older profile lets a device say that it measures nothing."""


@dataclass(frozen=True, slots=True)
class PsaClaims:
    """A complete claims set. `components` is empty only where the device says that it measures nothing."""

    instance_id: bytes
    nonce: bytes
    lifecycle_state: str
    components: tuple[Mapping[str, Claim], ...]
    claims: Mapping[str, Claim]


def psa_claims(claims: Mapping[Any, Any], examination: Examination) -> PsaClaims:
    """Read the claims that a device signed.

    Raises `AppraisalError` where they are incomplete, `UnsupportedError` for another profile.
    """
    values = read_claims(claims, _rules(claims, examination), examination, "token")
    components = read_components(values.pop("software_components", None) or (), examination, "token")
    state = lifecycle_state(values["lifecycle"])
    examination.note("token.lifecycle-state", "secured, or it counts as debug", state)
    shown = {name: value for name, value in values.items() if value is not None}
    return PsaClaims(
        instance_id=values["instance_id"],
        nonce=values["nonce"],
        lifecycle_state=state,
        components=components,
        claims={**shown, "lifecycle_state": state, "software_components": components},
    )


def instance_id_untrusted(claims: Mapping[Any, Any]) -> bytes | None:
    """Whose key to look for: the claim that `psa_claims` would read."""
    found = claims.get(_INSTANCE_ID if PROFILE_LABEL in claims else _OLDER_INSTANCE_ID)
    return found if isinstance(found, bytes) else None


def _rules(claims: Mapping[Any, Any], examination: Examination) -> Mapping[int, Rule]:
    if PROFILE_LABEL in claims:
        return _current(claims[PROFILE_LABEL], examination)
    examination.note("token.profile", "claim 265", "none: the profile before RFC 9783")
    if _NO_MEASUREMENTS not in claims:
        return _OLDER
    holds = _OLDER_COMPONENTS not in claims
    examination.demand(
        holds,
        "token.no_software_measurements",
        "no software components beside it",
        "none" if holds else "some",
        "the device measures software, and says that it does not",
        error=AppraisalError,
    )
    return _OLDER_UNMEASURED


def _current(profile: object, examination: Examination) -> Mapping[int, Rule]:
    if profile not in (RFC9783, DRAFT):
        found = ascii(profile)[:128]
        examination.note("token.profile", f"{RFC9783} or {DRAFT}", found, holds=False)
        finding = Finding("token.profile", f"{RFC9783} or {DRAFT}", found)
        raise UnsupportedError("a token of another profile", finding=finding)
    return _CURRENT
