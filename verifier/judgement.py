"""What a policy says of a TEE's claims alone: the part of an appraisal that needs no agent, enrolment or message.

The message path (`verifier.appraisal`) and `sealedge evidence verify --policy` both end here. Pure: the same
claims, policy and time give the same lines.
"""

from collections.abc import Iterator
from dataclasses import replace

from protocol.errors import Finding
from schemas.attestation import AFFIRMING
from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy
from schemas.reason import Reason
from verifier.checks import (
    UNRECOGNIZED_HARDWARE,
    UNRECOGNIZED_INSTANCE,
    UNRECOGNIZED_RUNTIME,
    VISIBLE_MEMORY,
    Check,
    submodule_of,
)
from verifier.evidence.interface import TcbStatus, TeeClaims
from verifier.expectations import claim_at, expectations, shown
from verifier.firmware import firmware
from verifier.policy import policy_id
from verifier.reference_values import approving_line, some_of

UNPROVEN_HARDWARE = frozenset({Tier.SIMULATED, Tier.TPM, Tier.EAR})
"""Tiers of whose hardware nothing is affirmed: files, TPMs of software that quote alike, another verifier's word."""

MIGRATION = {Tier.SEV_SNP: "policy.migrate_ma", Tier.AZURE_SEV_SNP: "hardware.policy.migrate_ma"}
"""Where a kind says whether a migration agent may be associated with the guest."""


def judge(tee: TeeClaims, policy: AppraisalPolicy, now: float) -> Iterator[Check]:
    """Every line of the policy that speaks of a TEE's claims, in the order in which they decide. Raises nothing.

    `now` is for reference values that end. The machine's place in an enrolment, revocations and the enclave's own
    claims are for `verifier.appraisal`.
    """
    line = policy_id(policy)
    for check in _lines(tee, policy, line, now):
        yield replace(check, submodule=submodule_of(tee, check.aspect))


def judge_alone(tee: TeeClaims) -> Iterator[Check]:
    """What is asked of evidence where there is no policy: no debugger, and a TCB that its vendor knows. Raises nothing.

    Whether firmware is up to date, which chip it was and what was measured are reported then, not judged.
    """
    lines = [_debug(tee, "any policy", allowed=False)]
    if tee.tcb_status is not None:
        lines.append(_known_tcb(tee))
    for check in lines:
        yield replace(check, submodule=submodule_of(tee, check.aspect))


def _lines(tee: TeeClaims, policy: AppraisalPolicy, line: str, now: float) -> Iterator[Check]:
    if tee.tier is Tier.CCA:
        yield _realm(tee)
    yield _measurement(tee, policy, line, now)
    if tee.earlier:
        yield _earlier(tee, policy, line, now)
    yield _debug(tee, f"{line} allow_debug", allowed=policy.allow_debug)
    yield from _migration(tee, policy, line)
    yield _tier(tee, policy, line)
    yield from firmware(tee, policy, line, now)
    if policy.reference_values.chips:
        yield _chip(tee, policy, line)
    yield from expectations(tee, policy, line)


def _realm(tee: TeeClaims) -> Check:
    """A platform token alone is genuine, and says nothing of what the agent runs in."""
    holds = bool(tee.claims.get("realm"))
    return Check(
        Finding("tee.claims.realm", "a realm", "a realm" if holds else "none", "any policy"),
        holds,
        Reason.EVIDENCE_INVALID,
        "the evidence is of a platform alone, and of no realm",
        "executables",
        AFFIRMING if holds else UNRECOGNIZED_RUNTIME,
    )


def _measurement(tee: TeeClaims, policy: AppraisalPolicy, line: str, now: float) -> Check:
    approved = approving_line(tee.measurement, tee, policy, now)
    return Check(
        Finding(
            "tee.measurement",
            some_of(policy, now),
            tee.measurement.hex()[:16],
            f"{line} {approved or 'reference_values.measurements'}",
        ),
        approved is not None,
        Reason.MEASUREMENT_UNKNOWN,
        "no reference value for this measurement",
        "executables",
        UNRECOGNIZED_RUNTIME if approved is None else AFFIRMING,
    )


def _earlier(tee: TeeClaims, policy: AppraisalPolicy, line: str, now: float) -> Check:
    """What was measured before into the same register still runs, or chose what runs: all of it must please."""
    unknown = [each for each in tee.earlier if approving_line(each, tee, policy, now) is None]
    found = unknown[0].hex()[:16] if unknown else f"all {len(tee.earlier)} known"
    return Check(
        Finding("tee.earlier", some_of(policy, now), found, f"{line} reference_values.measurements"),
        not unknown,
        Reason.MEASUREMENT_UNKNOWN,
        "no reference value for what was measured earlier in this boot",
        "executables",
        UNRECOGNIZED_RUNTIME if unknown else AFFIRMING,
    )


def _debug(tee: TeeClaims, line: str, *, allowed: bool) -> Check:
    """Memory is called opaque only for a TEE that hides it and that nobody debugs."""
    holds = allowed or not tee.debug
    affirmed = AFFIRMING if tee.opaque and not tee.debug and tee.tier != Tier.SIMULATED else None
    return Check(
        Finding("tee.debug", "any" if allowed else "off", "on" if tee.debug else "off", line),
        holds,
        Reason.DEBUG_ENABLED,
        "the host may look into this enclave",
        "runtime_opaque",
        affirmed if holds else VISIBLE_MEMORY,
    )


def _migration(tee: TeeClaims, policy: AppraisalPolicy, line: str) -> Iterator[Check]:
    """A migration agent may read an SNP guest's memory to move it: the guest's policy must forbid one."""
    path = MIGRATION.get(tee.tier)
    if path is None:
        return
    found = claim_at(tee.claims, path)
    forbidden = found is False
    holds = policy.allow_migration or forbidden
    expected = "any" if policy.allow_migration else "false"
    yield Check(
        Finding(f"tee.claims.{path}", expected, shown(found), f"{line} allow_migration"),
        holds,
        Reason.DEBUG_ENABLED,
        "a migration agent may look into this guest",
        "runtime_opaque",
        AFFIRMING if forbidden else None if holds else VISIBLE_MEMORY,
    )


def _tier(tee: TeeClaims, policy: AppraisalPolicy, line: str) -> Check:
    """P6. Of tiers that prove nothing about hardware nothing is claimed about it, even where they are accepted."""
    accepted = policy.tiers.accept
    holds = tee.tier in accepted
    affirmed = None if tee.tier in UNPROVEN_HARDWARE else AFFIRMING
    return Check(
        Finding("tee.tier", " or ".join(accepted) or "none", str(tee.tier), f"{line} tiers.accept"),
        holds,
        Reason.TIER_NOT_ACCEPTED,
        "the policy does not accept this tier",
        "hardware",
        affirmed if holds else UNRECOGNIZED_HARDWARE,
    )


def _known_tcb(tee: TeeClaims) -> Check:
    holds = tee.tcb_status is not TcbStatus.NONE_MATCHES
    return Check(
        Finding("tee.tcb", "a level that the vendor knows", str(tee.tcb_status), "any policy"),
        holds,
        Reason.EVIDENCE_INVALID,
        "the firmware matches no TCB level",
        "hardware",
        None if holds else UNRECOGNIZED_HARDWARE,
    )


def _chip(tee: TeeClaims, policy: AppraisalPolicy, line: str) -> Check:
    """The policy's own allow-list. A tier that may name no chip passes without one, and affirms no machine."""
    unnamed = tee.chip is None and tee.tier in policy.chips.unnamed
    listed = tee.chip is not None and tee.chip.hex() in policy.reference_values.chips
    said = "chips.unnamed" if unnamed else "reference_values.chips"
    return Check(
        Finding(
            "tee.chip",
            f"one of {len(policy.reference_values.chips)}",
            "none" if tee.chip is None else tee.chip.hex()[:16],
            f"{line} {said}",
        ),
        unnamed or listed,
        Reason.CHIP_NOT_ALLOWED,
        "the policy does not name this chip",
        "instance_identity",
        AFFIRMING if listed else None if unnamed else UNRECOGNIZED_INSTANCE,
    )
