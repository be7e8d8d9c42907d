"""Reference values against a TEE's claims: the policy's own list, and the documents (CoRIM) that it names.

A triple of a document holds if its environment fits and all of its measurements hold: what cannot be compared does
not hold. What a holding triple lists as digests may run in the environment that it names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy
from schemas.reference_values import Environment, ReferenceDocument, ReferenceMeasurement, ReferenceTriple
from verifier.evidence.arm_claims import measurement_of
from verifier.evidence.interface import Claim, TeeClaims
from verifier.expectations import claim_at

_SVN: Final[Mapping[Tier, str]] = {
    Tier.SGX: "isv_svn",
    Tier.SEV_SNP: "guest_svn",
    Tier.AZURE_SEV_SNP: "hardware.guest_svn",
}
"""Where a kind states the security version of what was measured."""

_INSTANCE: Final = ("instance_id", "platform.instance_id", "chip_id", "hardware.chip_id")
_IMPLEMENTATION: Final = ("implementation_id", "platform.implementation_id")


@dataclass(frozen=True, slots=True)
class Component:
    """One software component of a PSA or CCA platform token."""

    digest: bytes
    signer: bytes | None


def measurement_digest(measurement: bytes) -> bytes:
    """What stands for a measurement in results, leases and revocations: itself if it has 32 bytes, else its SHA-256."""
    return measurement if len(measurement) == 32 else sha256(measurement).digest()


def approving_line(measurement: bytes, tee: TeeClaims, policy: AppraisalPolicy, now: float) -> str | None:
    """The line of the policy by which this measurement of `tee` is known, None where there is none. Raises nothing."""
    if measurement.hex() in policy.reference_values.measurements:
        return "reference_values.measurements"
    for document in current(policy, now):
        for triple in document.triples:
            # In this order: the first is a comparison of bytes, and most triples are of something else.
            if any(_names(each, measurement, tee) for each in triple.measurements) and _triple_holds(triple, tee):
                return f"reference_values.corim {document.name} {triple.tag}"
        if measurement == components_digest(tee) and _covers_components(document, tee):
            return f"reference_values.corim {document.name}"
    return None


def platform_line(tee: TeeClaims, policy: AppraisalPolicy, now: float) -> str | None:
    """The line by which the platform's software components, all of them, are known; None where there is none."""
    if (components_digest(tee) or b"").hex() in policy.tcb.platforms:
        return "tcb.platforms"
    for document in current(policy, now):
        if _covers_components(document, tee):
            return f"reference_values.corim {document.name}"
    return None


def _names(reference: ReferenceMeasurement, measurement: bytes, tee: TeeClaims) -> bool:
    """Whether it speaks of this measurement, rather than of another claim."""
    if measurement not in reference.digests:
        return False
    named = None if reference.key is None else claim_at(tee.claims, reference.key)
    return not isinstance(named, bytes) or named == measurement


def current(policy: AppraisalPolicy, now: float) -> Iterator[ReferenceDocument]:
    """The policy's documents that are valid at `now`."""
    return (document for document in policy.documents if is_current(document, now))


def is_current(document: ReferenceDocument, now: float) -> bool:
    """Whether its reference values count at `now`: within its own window and that of its signature."""
    started = document.not_before is None or document.not_before <= now
    return started and (document.not_after is None or now <= document.not_after)


def some_of(policy: AppraisalPolicy, now: float) -> str:
    """What would have been known, in short, for a finding."""
    shown = sorted(each[:16] for each in policy.reference_values.measurements)
    words = [*shown[:4], *([f"{len(shown) - 4} others"] if len(shown) > 4 else [])]
    return " or ".join([*words, *documents_named(policy, now)]) or "none"


def documents_named(policy: AppraisalPolicy, now: float) -> list[str]:
    """The policy's documents in words, those that do not count now with the reason why."""
    return [
        f"those of {document.name}" + ("" if is_current(document, now) else " (not valid now)")
        for document in policy.documents[:4]
    ]


def components(tee: TeeClaims) -> tuple[Component, ...]:
    """The software components of a device (PSA) or platform (CCA); none of them where one cannot be compared."""
    listed = tee.claims.get("software_components", claim_at(tee.claims, "platform.software_components"))
    if not isinstance(listed, tuple):
        return ()
    found = [_component(each) for each in listed]
    known = [each for each in found if each is not None]
    return tuple(known) if len(known) == len(found) else ()


def components_digest(tee: TeeClaims) -> bytes | None:
    """One name for all software components (`arm_claims.measurement_of`), None where there are none."""
    listed = [{"measurement_value": part.digest, "signer_id": part.signer} for part in components(tee)]
    return measurement_of(listed) if listed else None


def _component(claims: Claim) -> Component | None:
    if not isinstance(claims, Mapping):
        return None
    digest, signer = claims.get("measurement_value"), claims.get("signer_id")
    if isinstance(digest, bytes) and (signer is None or isinstance(signer, bytes)):
        return Component(digest, signer)
    return None


def _covers_components(document: ReferenceDocument, tee: TeeClaims) -> bool:
    """Whether every component is listed: one that is not would run unseen behind those that are."""
    listed = [each for triple in document.triples if _triple_holds(triple, tee) for each in triple.measurements]
    parts = components(tee)
    return bool(parts) and all(any(_is_component(part, each) for each in listed) for part in parts)


def _triple_holds(triple: ReferenceTriple, tee: TeeClaims) -> bool:
    return _is_environment(triple.environment, tee) and all(_holds(each, tee) for each in triple.measurements)


def _is_environment(environment: Environment, tee: TeeClaims) -> bool:
    """Identifiers that evidence carries must be found in it. Vendors and models are the supplier's words."""
    for expected, paths in ((environment.implementation, _IMPLEMENTATION), (environment.instance, _INSTANCE)):
        if expected is not None and expected not in [claim_at(tee.claims, path) for path in paths]:
            return False
    return True


def _holds(reference: ReferenceMeasurement, tee: TeeClaims) -> bool:
    """Whether all that this measurement says is found in the evidence."""
    named = None if reference.key is None else claim_at(tee.claims, reference.key)
    return all(
        (
            not reference.digests or _has_digest(reference, named, tee),
            _has_svn(reference, named, tee),
            reference.raw is None or _has_bits(reference, named),
            all(_has_register(name, digests, tee) for name, digests in reference.registers),
            reference.debug is None or reference.debug is tee.debug,
        )
    )


def _has_digest(reference: ReferenceMeasurement, named: Claim, tee: TeeClaims) -> bool:
    """In the claim that the measurement names; where it names none, among all that was measured."""
    if isinstance(named, bytes):
        return named in reference.digests
    if any(_is_component(part, reference) for part in components(tee)):
        return True
    return reference.signer is None and any(each in reference.digests for each in (tee.measurement, *tee.earlier))


def _is_component(part: Component, reference: ReferenceMeasurement) -> bool:
    return part.digest in reference.digests and reference.signer in {None, part.signer}


def _has_svn(reference: ReferenceMeasurement, named: Claim, tee: TeeClaims) -> bool:
    if reference.svn is None and reference.least_svn is None:
        return True
    found = claim_at(tee.claims, _SVN[tee.tier]) if tee.tier in _SVN and not _is_number(named) else named
    if not isinstance(found, int) or isinstance(found, bool):
        return False
    return reference.svn in {None, found} and (reference.least_svn is None or found >= reference.least_svn)


def _is_number(claim: Claim) -> bool:
    return isinstance(claim, int) and not isinstance(claim, bool)


def _has_bits(reference: ReferenceMeasurement, named: Claim) -> bool:
    expected = reference.raw or b""
    mask = reference.mask if reference.mask is not None else b"\xff" * len(expected)
    if not isinstance(named, bytes) or not len(named) == len(expected) == len(mask):
        return False
    return all(found & bits == wanted & bits for found, wanted, bits in zip(named, expected, mask, strict=True))


def _has_register(name: str, digests: tuple[bytes, ...], tee: TeeClaims) -> bool:
    """A register by its claim's path, or by its number: PCRs of a TPM's banks or of Nitro, RTMRs, a realm's REMs."""
    paths = (name, f"rtmr{name}", f"hardware.rtmr{name}", f"realm.extensible_measurements.{name}", f"pcrs.{name}")
    for digest in digests:
        bank = f"sha{len(digest) * 8}"
        for path in (*paths, f"pcrs.{bank}.{name}", f"vtpm.pcrs.{bank}.{name}"):
            if claim_at(tee.claims, path) == digest:
                return True
    return False
