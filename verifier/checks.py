"""One line of an appraisal's trace, and what all lines come to: an AR4SI vector and a status per submodule.

A result affirms or does not exist, so nothing in a vector may warn: what a policy only puts up with (a debugger, an
old TCB) is left out of the vector, where AR4SI has "no claim being made", instead of being affirmed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from protocol.errors import AppraisalError, Finding
from schemas.attestation import AFFIRMING, CONTRAINDICATED, WARNING, Appraisal, TrustVector
from schemas.kinds import Tier
from schemas.reason import Reason
from verifier.evidence.interface import TeeClaims

# Values of AR4SI's trustworthiness claims (draft-ietf-rats-ar4si §2.3); 2 affirms in each.
UNTRUSTWORTHY_INSTANCE, UNRECOGNIZED_INSTANCE = 96, 97
UNSUPPORTABLE_CONFIGURATION = 96
UNRECOGNIZED_RUNTIME, CONTRAINDICATED_RUNTIME = 33, 96
CONTRAINDICATED_FILES = 96
UNSAFE_HARDWARE, CONTRAINDICATED_HARDWARE, UNRECOGNIZED_HARDWARE = 32, 96, 97
VISIBLE_MEMORY = 96
UNENCRYPTED_STORAGE = 96
CONTRAINDICATED_SOURCES = 96
CRYPTO_VALIDATION_FAILED = 99

Aspect = Literal[
    "instance_identity",
    "configuration",
    "executables",
    "file_system",
    "hardware",
    "runtime_opaque",
    "storage_opaque",
    "sourced_data",
]

Submodules = tuple[str, str]
"""The names of the two parts of a TEE: the machine, and what runs in it."""

_MACHINE: Final = frozenset({"instance_identity", "hardware", "runtime_opaque", "storage_opaque"})
_PARTS: Final[Mapping[Tier, Submodules]] = {
    Tier.CCA: ("platform", "realm"),
    Tier.AZURE_SEV_SNP: ("hardware", "vtpm"),
    Tier.AZURE_TDX: ("hardware", "vtpm"),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the trace. `finding.policy` names the line of the policy that decided, where one did.

    Where the line speaks of an aspect of the vector, `value` is what it says of it: `AFFIRMING`, a value that
    warns or contraindicates, or None where it holds without affirming anything. `submodule` is whose aspect.
    """

    finding: Finding
    holds: bool
    reason: Reason
    refusal: str
    aspect: Aspect | None = None
    value: int | None = None
    submodule: str = "enclave"

    @property
    def error(self) -> AppraisalError:
        """The refusal that this line is, where it does not hold."""
        return AppraisalError(self.refusal, reason=self.reason, finding=self.finding)


def submodules(tee: TeeClaims) -> Submodules:
    """What the two submodules of this evidence are called: by its kind's own words where it has both parts."""
    names = _PARTS.get(tee.tier)
    return names if names is not None and all(tee.claims.get(name) for name in names) else ("tee", "enclave")


def submodule_of(tee: TeeClaims, aspect: Aspect | None) -> str:
    """The submodule that an aspect belongs to."""
    machine, enclave = submodules(tee)
    return machine if aspect in _MACHINE else enclave


def deciding(trace: Iterable[Check]) -> Check | None:
    """The first line that does not hold."""
    return next((check for check in trace if not check.holds), None)


def vector_of(trace: Iterable[Check]) -> TrustVector:
    """Each aspect's worst value. An aspect is affirmed only if every line that speaks of it affirms it."""
    said: dict[str, list[int | None]] = {}
    for check in trace:
        if check.aspect is not None:
            said.setdefault(check.aspect, []).append(check.value)
    return TrustVector(**{aspect: _worst(values) for aspect, values in said.items()})


def _worst(values: list[int | None]) -> int | None:
    worst = max((value for value in values if value is not None), default=None)
    return None if worst == AFFIRMING and None in values else worst


def status_of(trace: Iterable[Check]) -> int:
    """The EAR status that these lines come to: a warning only where nothing worse than warnings failed."""
    failed = [check.value for check in trace if not check.holds]
    if not failed:
        return AFFIRMING
    return WARNING if all(value is not None and value < CONTRAINDICATED for value in failed) else CONTRAINDICATED


def appraisals(trace: Iterable[Check], policy: str) -> dict[str, Appraisal]:
    """One EAR appraisal a submodule (draft-ietf-rats-ear-04 §3.2); `policy` is the policy's id."""
    lines: dict[str, list[Check]] = {}
    for check in trace:
        lines.setdefault(check.submodule, []).append(check)
    return {name: _appraisal(checks, policy) for name, checks in sorted(lines.items())}


def _appraisal(checks: list[Check], policy: str) -> Appraisal:
    vector = vector_of(checks)
    claimed = vector != TrustVector()
    return Appraisal(status=status_of(checks), vector=vector if claimed else None, policies=(policy,))
