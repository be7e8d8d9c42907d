"""EAR of another verifier (draft-ietf-rats-ear): an attestation result in place of evidence.

It is as good as the verifier whose key signed it, and that key is pinned: given by the caller, or kept in the
endorsement folder as `ear/key/{key id or issuer}`. Only results that affirm, in every submodule, pass.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Final, cast

from protocol.errors import AppraisalError, FreshnessError
from protocol.trust import CLOCK_SKEW
from schemas.attestation import AFFIRMING, EAR_PROFILE
from schemas.evidence import EAR
from schemas.kinds import Tier
from schemas.reason import Reason
from verifier.endorsements import name_of
from verifier.evidence.ear_claims import (
    TIERS,
    Plain,
    chip_of,
    measurement_of,
    nonce_of,
    plain_untrusted,
    submodules,
    tier_of,
    tier_of_claim,
)
from verifier.evidence.ear_token import EarToken, parse_ear_untrusted
from verifier.evidence.examination import Examination
from verifier.evidence.interface import Claim, Endorsements, Parts, TeeClaims, required
from verifier.evidence.public_keys import PublicKey, public_key_untrusted, spki

PROFILES: Final = (
    EAR_PROFILE,
    "tag:github.com,2023:veraison/ear",
    "tag:github.com,2024:confidential-containers/Trustee",
)
MAX_SUBMODULES: Final = 32

_DEBUG_DISABLED: Final = (
    *("disabled", "disabled-since-boot", "disabled-permanently", "disabled-fully-and-permanently"),
    *(1, 2, 3, 4),
)
"""Of `dbgstat` (RFC 9711 §4.2.9); all else that may stand there counts as enabled."""


class EarAppraiser:
    """Appraises attestation results of verifiers whose keys are in `endorsements`."""

    form = EAR

    def __init__(self, endorsements: Endorsements) -> None:
        self._endorsements = endorsements

    def appraise_untrusted(self, parts: Parts, now: float, examination: Examination) -> TeeClaims:
        """Returns what the other verifier affirmed: the one whose key has the SHA-256 (SPKI) in `claims.signer`.

        It may name any issuer and any `verifier_id`: where several verifiers' keys are kept, only the key tells them
        apart.

        `report_data` is `eat_nonce`; `opaque` where every submodule that speaks of it affirms runtime-opaque.
        Raises as `Appraiser.appraise_untrusted` says; a result that does not affirm raises `AppraisalError`
        (evidence-invalid) after `examination.signature` became valid.
        """
        token = parse_ear_untrusted(required(parts, "token"))
        # Before the signature: claims that are no claims are malformed, whoever signed them.
        claims = plain_untrusted(token.claims)
        key = self._key(parts, token, examination)
        token.verify(key, examination)
        examination.signature = "valid"
        _check_profile(claims, examination)
        _check_times(claims, now, examination)
        _check_verifier(claims, examination)
        _check_submodules(claims, examination)
        return TeeClaims(
            tier=Tier.EAR,
            chip=chip_of(claims),
            measurement=measurement_of(claims),
            report_data=nonce_of(claims),
            debug=any(_is_debug(each) for each in (claims, *submodules(claims))),
            opaque=_is_opaque(claims),
            claims={**claims, "form": token.form, "signer": sha256(spki(key)).digest()},
        )

    def _key(self, parts: Parts, token: EarToken, examination: Examination) -> PublicKey:
        """The pinned key. Raises `AuthenticationError` (unknown-signer) where nothing pins one."""
        given = parts.get("key")
        filed = [f"ear/key/{name_of(name)}" for name in token.names]
        found = given if given is not None else next(filter(None, map(self._endorsements.find, filed)), None)
        examination.demand(
            found is not None,
            "ear.key",
            " or ".join(["key", *filed]),
            "none" if found is None else "given" if given is not None else "of the folder",
            "no key is pinned for this verifier",
            reason=Reason.UNKNOWN_SIGNER,
        )
        return public_key_untrusted(found or b"", "key")


def _check_profile(claims: Plain, examination: Examination) -> None:
    found = claims.get("profile")
    _demand(found in PROFILES, "ear.profile", " or ".join(PROFILES), found, "not an EAR that is known", examination)


def _check_times(claims: Plain, now: float, examination: Examination) -> None:
    """`iat` must be there. A token without `exp` lasts for ever; then the nonce alone makes it fresh."""
    latest = int(now) + CLOCK_SKEW
    issued = _time(claims, "iat", examination)
    _demand_time(issued <= latest, "iat", f"at most {latest}", issued, Reason.NOT_YET_VALID, examination)
    if "nbf" in claims:
        begins = _time(claims, "nbf", examination)
        _demand_time(begins <= latest, "nbf", f"at most {latest}", begins, Reason.NOT_YET_VALID, examination)
    if "exp" in claims:
        ends = _time(claims, "exp", examination)
        _demand_time(now < ends, "exp", f"more than {int(now)}", ends, Reason.EXPIRED, examination)
    else:
        examination.note("ear.exp", "a time", "not given")


def _time(claims: Plain, name: str, examination: Examination) -> int:
    found = claims.get(name)
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    _demand(False, f"ear.{name}", "seconds since 1970", found, "an EAR without this time", examination)
    return 0


def _check_verifier(claims: Plain, examination: Examination) -> None:
    found = claims.get("verifier_id")
    holds = isinstance(found, Mapping) and all(isinstance(found.get(each), str) for each in ("developer", "build"))
    _demand(holds, "ear.verifier-id", "developer and build", found, "an EAR that names no verifier", examination)


def _check_submodules(claims: Plain, examination: Examination) -> None:
    submods = claims.get("submods")
    count = len(submods) if isinstance(submods, Mapping) else 0
    _demand(1 <= count <= MAX_SUBMODULES, "ear.submods", f"1 to {MAX_SUBMODULES}", count, "no appraisal", examination)
    if "status" in claims:
        _check_status("ear", claims, examination)
    for name, each in cast(Plain, submods).items():
        claim = f"ear.submods.{name[:64]}"
        _check_status(claim, each if isinstance(each, Mapping) else {}, examination)


def _check_status(claim: str, appraisal: Plain, examination: Examination) -> None:
    """The status, and that no claim of the vector is worse than it (draft-ietf-rats-ear §3.2)."""
    status = tier_of(appraisal.get("status"))
    found = appraisal.get("status") if status is None else TIERS[status]
    _demand(status == AFFIRMING, f"{claim}.status", "affirming", found, "the verifier does not affirm", examination)
    if "vector" in appraisal:
        worst = _worst(appraisal["vector"])
        found = "no vector" if worst is None else TIERS[worst]
        holds = worst is not None and worst <= AFFIRMING
        message = "the verifier affirms what its own vector does not"
        _demand(holds, f"{claim}.vector", "at worst affirming", found, message, examination)


def _worst(vector: Claim) -> int | None:
    """The tier of its worst claim; None where it is no vector."""
    values = list(vector.values()) if isinstance(vector, Mapping) else []
    numbers = [each for each in values if isinstance(each, int) and not isinstance(each, bool) and -128 <= each <= 127]
    return max(map(tier_of_claim, numbers)) if numbers and len(numbers) == len(values) else None


def _is_debug(claims: Plain) -> bool:
    if "dbgstat" not in claims:
        return False
    found = claims["dbgstat"]
    return isinstance(found, bool) or found not in _DEBUG_DISABLED


def _is_opaque(claims: Plain) -> bool:
    vectors = [each.get("vector") for each in submodules(claims)]
    found = [each["runtime_opaque"] for each in vectors if isinstance(each, Mapping) and "runtime_opaque" in each]
    return bool(found) and all(isinstance(each, int) and tier_of_claim(each) == AFFIRMING for each in found)


def _demand(holds: bool, claim: str, expected: object, found: object, message: str, examination: Examination) -> None:
    examination.demand(holds, claim, expected, found, message, error=AppraisalError, reason=Reason.EVIDENCE_INVALID)


def _demand_time(holds: bool, name: str, expected: str, found: int, reason: Reason, examination: Examination) -> None:
    message = f"the EAR's {name} does not fit this time"
    examination.demand(holds, f"ear.{name}", expected, found, message, error=FreshnessError, reason=reason)
