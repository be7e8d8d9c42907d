"""What the claims sets of Arm's tokens have in common, PSA (RFC 9783) and CCA (draft-ffm-rats-cca-token).

A profile is a table: label to name, form, and whether the claim must be there. Claims are read only after the
token's signature holds, so what does not fit is not a matter of bytes but of evidence that says too little.
Claims that a profile does not name are ignored, as RFC 9711 §4 has it, and counted in the trace.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocol.cbor import encode
from protocol.errors import AppraisalError, Finding, MalformedError
from verifier.evidence.examination import Examination
from verifier.evidence.foreign_cbor import decode_foreign_untrusted
from verifier.evidence.interface import Claim

MAX_TOKEN: Final = 65_536
MAX_COMPONENTS: Final = 64
MAX_TEXT: Final = 1024

HASH_BYTES: Final = frozenset({32, 48, 64})
"""psa-hash-type (RFC 9783 §4.1.1)."""

SECURED: Final = "secured"
_LIFECYCLES: Final = {
    0x00: "unknown",
    0x10: "assembly-and-test",
    0x20: "rot-provisioning",
    0x30: SECURED,
    0x40: "non-rot-debug",
    0x50: "recoverable-rot-debug",
    0x60: "decommissioned",
}
"""By the high byte of the claim (RFC 9783 §4.3.1; CCA platforms have the same states)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One claim of a profile; `expected` is `holds` for people."""

    name: str
    expected: str
    holds: Callable[[Any], bool]
    optional: bool = False


def octets(name: str, *lengths: int, optional: bool = False) -> Rule:
    """A byte string of one of these lengths."""
    expected = " or ".join(map(str, sorted(lengths))) + " bytes"
    return Rule(name, expected, lambda value: isinstance(value, bytes) and len(value) in lengths, optional)


def octets_between(name: str, least: int, most: int, *, optional: bool = False) -> Rule:
    """A byte string of `least` to `most` bytes."""
    expected = f"{least} to {most} bytes"
    return Rule(name, expected, lambda value: isinstance(value, bytes) and least <= len(value) <= most, optional)


def text(name: str, *, optional: bool = False) -> Rule:
    """Text that is not empty."""
    return Rule(name, "text", lambda value: isinstance(value, str) and 0 < len(value) <= MAX_TEXT, optional)


def one_of(name: str, *values: str, optional: bool = False) -> Rule:
    """One of these texts."""
    return Rule(name, " or ".join(values), lambda value: isinstance(value, str) and value in values, optional)


INSTANCE_ID: Final = Rule(
    "instance_id",
    "33 bytes, of which the first is 01",
    lambda value: isinstance(value, bytes) and len(value) == 33 and value[0] == 1,
)
"""RFC 9783 §4.2.1: a UEID of type RAND."""

LIFECYCLE: Final = Rule(
    "lifecycle",
    "a lifecycle state",
    lambda value: type(value) is int and value >> 8 in _LIFECYCLES,
)

COMPONENTS: Final = Rule(
    "software_components",
    f"1 to {MAX_COMPONENTS} components",
    lambda value: isinstance(value, list) and 0 < len(value) <= MAX_COMPONENTS,
)

_COMPONENT: Final[Mapping[int, Rule]] = {
    1: text("measurement_type", optional=True),
    2: octets("measurement_value", *HASH_BYTES),
    4: text("version", optional=True),
    5: octets("signer_id", *HASH_BYTES),
    6: text("measurement_description", optional=True),
}
"""RFC 9783 §4.4.1."""


def claims_untrusted(payload: bytes, name: str) -> dict[Any, Any]:
    """The claims of a token, by label. Raises `MalformedError`. Nothing in them is trusted by this."""
    claims = decode_foreign_untrusted(payload, max_bytes=MAX_TOKEN, max_depth=8)
    if not isinstance(claims, dict):
        raise MalformedError(f"{name} has no map of claims", finding=Finding(name, "a map", type(claims).__name__))
    return claims


def signed_claims(payload: bytes, name: str, examination: Examination) -> dict[Any, Any]:
    """What `claims_untrusted` gives, for a payload whose signature holds: its faults are its signer's.

    Raises `AppraisalError`.
    """
    try:
        return claims_untrusted(payload, name)
    except MalformedError as error:
        examination.note(name, "a map of claims", str(error), holds=False)
        raise AppraisalError(f"{name}: what was signed is no claims set: {error}", finding=error.finding) from None


def read_claims(
    claims: Mapping[Any, Any], rules: Mapping[int, Rule], examination: Examination, name: str
) -> dict[str, Any]:
    """The claims that `rules` name, by name; None for optional ones that are missing.

    Raises `AppraisalError` for one that is missing or has another form.
    """
    values = {rule.name: _claim(claims, label, rule, examination, name) for label, rule in rules.items()}
    others = [label for label in claims if label not in rules]
    if others:
        examination.note(f"{name}.other-claims", "ignored", f"{len(others)}: {ascii(others)[:64]}")
    return values


def _claim(claims: Mapping[Any, Any], label: int, rule: Rule, examination: Examination, name: str) -> Any:
    if label not in claims:
        if not rule.optional:
            _refuse(examination, f"{name}.{rule.name}", rule.expected, "missing", "a mandatory claim is missing")
        return None
    value = claims[label]
    if not rule.holds(value):
        _refuse(examination, f"{name}.{rule.name}", rule.expected, _shown(value), "a claim is not what it must be")
    examination.note(f"{name}.{rule.name}", rule.expected, _shown(value))
    return value


def read_components(found: Sequence[Any], examination: Examination, name: str) -> tuple[Mapping[str, Claim], ...]:
    """The software components, in the order of the boot. Raises `AppraisalError`."""
    return tuple(_component(each, examination, f"{name}.software_components.{at}") for at, each in enumerate(found))


def _component(found: Any, examination: Examination, name: str) -> Mapping[str, Claim]:
    if not isinstance(found, dict):
        _refuse(examination, name, "a map", _shown(found), "a software component is a map")
    try:
        # Thirteen components of five claims each would bury the rest of the trace.
        values = read_claims(found, _COMPONENT, Examination(), name)
    except AppraisalError as error:
        if error.finding is not None:
            examination.note(error.finding.claim, error.finding.expected, error.finding.found, holds=False)
        raise
    return {key: value for key, value in values.items() if value is not None}


def measurement_of(components: Sequence[Mapping[str, Claim]]) -> bytes:
    """SHA-256 over the deterministic encoding of `[[measurement value, signer id], ...]`: one name for all of them."""
    return hashlib.sha256(encode([[each["measurement_value"], each["signer_id"]] for each in components])).digest()


def lifecycle_state(lifecycle: int) -> str:
    """The name of the state of a claim that `LIFECYCLE` let pass."""
    return _LIFECYCLES[lifecycle >> 8]


def _refuse(examination: Examination, claim: str, expected: str, found: str, message: str) -> None:
    examination.demand(False, claim, expected, found, f"{claim}: {message}", error=AppraisalError)


def _shown(value: Any) -> str:
    """A claim, for people: nothing that a terminal would obey."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes {value.hex()[:32]}"
    if isinstance(value, list | dict):
        return f"{len(value)} entries"
    return ascii(value)[:64] if not isinstance(value, str) else ascii(value)[1:-1][:64]
