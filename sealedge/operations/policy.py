"""A policy file with all that it names, and what it comes to: `sealedge policy show`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from protocol.errors import ConfigurationError
from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy
from schemas.reference_values import ReferenceDocument, ReferenceMeasurement, ReferenceTriple
from storage.files import read_bytes, read_text
from verifier.corim import MAX_CORIM
from verifier.policy import load_policy, named_files, policy_id
from verifier.reference_values import is_current

_BOOTED: Final = {
    Tier.TDX: ("rtmr", "the measurement is the firmware's; no [[expect]] names rtmr0 to rtmr3: any system may run"),
    Tier.AZURE_TDX: ("vtpm.pcrs", "no [[expect]] names vtpm.pcrs: any system may run in the virtual machine"),
    Tier.AZURE_SEV_SNP: ("vtpm.pcrs", "no [[expect]] names vtpm.pcrs: any system may run in the virtual machine"),
    Tier.TPM: ("pcrs", "no [[expect]] names pcrs: any system may have booted, and have said what it measured"),
}
"""Tiers whose measurement does not cover the operating system, and the claims that do."""


def read_policy(path: Path) -> AppraisalPolicy:
    """The policy of a file, with the files that it names, relative to it.

    Raises `ConfigurationError`, one line that names the policy's file, and the other one where that is at fault.
    """
    text = read_text(path)
    try:
        files = {name: read_bytes(path.parent / name, max_bytes=MAX_CORIM) for name in named_files(text)}
        return load_policy(text, files)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}", finding=error.finding) from None


def describe(policy: AppraisalPolicy, now: float) -> dict[str, Any]:
    """All that a policy says, as JSON has it, `documents` being the reference values of each CoRIM."""
    said = policy.model_dump(mode="json", by_alias=True, exclude={"documents"})
    return {
        "policy": policy_id(policy),
        **said,
        "documents": [_document(each, now) for each in policy.documents],
        "cautions": list(cautions(policy, now)),
    }


def cautions(policy: AppraisalPolicy, now: float) -> Iterator[str]:
    """What an operator may not have meant: lines that accept much, and tiers that are named in vain."""
    accepted = policy.tiers.accept
    if not accepted:
        yield "no tier is accepted: every agent is refused"
    if not policy.reference_values.measurements and not any(is_current(each, now) for each in policy.documents):
        yield "no reference value counts: every agent is refused"
    if policy.allow_debug:
        yield "debugged enclaves are accepted: the host may look into them"
    if policy.allow_migration:
        yield "guests that may be migrated are accepted: a migration agent may look into them"
    for tier in accepted:
        yield from (f"{tier}: {line}" for line in _of_tier(tier, policy))


def _of_tier(tier: Tier, policy: AppraisalPolicy) -> Iterator[str]:
    minimum = {Tier.SEV_SNP: policy.tcb.minimum.sev_snp, Tier.AZURE_SEV_SNP: policy.tcb.minimum.azure_sev_snp}
    if tier is Tier.SIMULATED:
        yield "proves nothing about hardware"
    if tier in minimum and minimum[tier] is None:
        yield f'every agent is refused: there is no [tcb.minimum."{tier}"]'
    if tier is Tier.CCA and not policy.tcb.platforms and not policy.documents:
        yield "every realm is refused: neither tcb.platforms nor a CoRIM names its platform's firmware"
    if tier in policy.chips.unnamed:
        yield "may name no chip: any machine of that vendor fits the enrolment"
    if tier in _BOOTED:
        prefix, line = _BOOTED[tier]
        named = any(each.tier == tier and each.claim.startswith(prefix) for each in policy.expect)
        yield from () if named else (line,)


def _document(document: ReferenceDocument, now: float) -> dict[str, Any]:
    return {
        "file": document.name,
        "sha256": document.digest.hex(),
        "id": document.identifier,
        "signer": None if document.signer is None else document.signer.hex(),
        "not_before": document.not_before,
        "not_after": document.not_after,
        "valid": is_current(document, now),
        "triples": [_triple(each) for each in document.triples],
        "skipped": list(document.skipped),
    }


def _triple(triple: ReferenceTriple) -> dict[str, Any]:
    found = triple.environment
    identifiers = {"implementation": found.implementation, "instance": found.instance}
    return {
        "tag": triple.tag,
        "environment": {"named": found.named, **{name: each.hex() for name, each in identifiers.items() if each}},
        "measurements": [_measurement(each) for each in triple.measurements],
    }


def _measurement(measurement: ReferenceMeasurement) -> dict[str, Any]:
    return {name: _plain(value) for name, value in measurement if value not in (None, ())}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
