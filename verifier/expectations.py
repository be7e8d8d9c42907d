"""The policy's [[expect]] lines: what evidence of a tier must claim, by dotted path."""

from collections.abc import Iterator, Mapping
from typing import Final

from protocol.errors import Finding
from schemas.attestation import AFFIRMING
from schemas.policy import AppraisalPolicy, ExpectableAspect, Expectation
from schemas.reason import Reason
from verifier.checks import (
    CONTRAINDICATED_FILES,
    CONTRAINDICATED_SOURCES,
    UNENCRYPTED_STORAGE,
    UNRECOGNIZED_RUNTIME,
    UNSUPPORTABLE_CONFIGURATION,
    Check,
)
from verifier.evidence.interface import Claim, TeeClaims

_REFUSED: Final[Mapping[ExpectableAspect, int]] = {
    "configuration": UNSUPPORTABLE_CONFIGURATION,
    "executables": UNRECOGNIZED_RUNTIME,
    "file_system": CONTRAINDICATED_FILES,
    "storage_opaque": UNENCRYPTED_STORAGE,
    "sourced_data": CONTRAINDICATED_SOURCES,
}

_MAX_INDEX_DIGITS: Final = 4


def expectations(tee: TeeClaims, policy: AppraisalPolicy, line: str) -> Iterator[Check]:
    """One line for each expectation of this tier. A claim that is missing meets none."""
    for index, each in enumerate(policy.expect):
        if each.tier == tee.tier:
            yield _expected(each, tee, f"{line} expect.{index}")


def _expected(expectation: Expectation, tee: TeeClaims, line: str) -> Check:
    found = claim_at(tee.claims, expectation.claim)
    holds = any(_same(found, value) for value in expectation.any_of)
    return Check(
        Finding(f"tee.claims.{expectation.claim}", _words(expectation.any_of), shown(found), line),
        holds,
        Reason.EVIDENCE_INVALID,
        "the evidence does not claim what the policy expects",
        expectation.aspect,
        AFFIRMING if holds else _REFUSED[expectation.aspect],
    )


def claim_at(claims: Mapping[str, Claim], path: str) -> Claim:
    """The claim at a dotted path: names of entries, and numbers of list items. None where there is none."""
    found: Claim = claims
    for name in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(name)
        elif isinstance(found, tuple) and _is_index(name) and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) <= _MAX_INDEX_DIGITS


def shown(claim: Claim) -> str:
    """A claim in a finding, in short."""
    if claim is None:
        return "none"
    if isinstance(claim, bytes):
        return claim.hex()[:64]
    if isinstance(claim, bool):
        return "true" if claim else "false"
    return str(claim)[:64] if isinstance(claim, int | str) else "several"


def _same(found: Claim, value: bool | int | str) -> bool:
    """Equal and of one type: true is not 1, and 1 is not "1"."""
    comparable = found.hex() if isinstance(found, bytes) else found
    return type(comparable) is type(value) and comparable == value


def _words(values: tuple[bool | int | str, ...]) -> str:
    words = [shown(each)[:32] for each in values[:4]]
    return " or ".join(words) + (f" or {len(values) - 4} others" if len(values) > 4 else "")
