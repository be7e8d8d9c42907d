"""Every scenario, in the order in which they are played: what ruins something comes last."""

from collections.abc import Sequence
from typing import Final

from protocol.errors import ConfigurationError, Finding
from sealedge.operations.attacks.families import (
    attestation,
    delivery,
    eavesdropping,
    exhaustion,
    hostile_modules,
    key_release,
    passports,
    recipients,
    replaying,
    results,
    sessions,
    standing,
    tenants,
    theft,
)
from sealedge.operations.attacks.scenario import Scenario

CATALOGUE: Final[Sequence[Scenario]] = (
    *eavesdropping.SCENARIOS,
    *results.SCENARIOS,
    *recipients.SCENARIOS,
    *theft.SCENARIOS,
    *attestation.SCENARIOS,
    *passports.SCENARIOS,
    *replaying.SCENARIOS,
    *sessions.SCENARIOS,
    *exhaustion.SCENARIOS,
    *tenants.SCENARIOS,
    *hostile_modules.SCENARIOS,
    *delivery.SCENARIOS,
    *key_release.SCENARIOS,
    *standing.SCENARIOS,
)


def chosen(words: Sequence[str]) -> list[Scenario]:
    """The scenarios of these names or families; all without a word. Raises `ConfigurationError` for another word."""
    known = {each.name for each in CATALOGUE} | {each.family for each in CATALOGUE}
    for word in words:
        if word not in known:
            finding = Finding("--only", "a name or family of `sealedge attack --list`", repr(word)[:60])
            raise ConfigurationError("there is no such attack", finding=finding)
    return [each for each in CATALOGUE if not words or each.name in words or each.family in words]
