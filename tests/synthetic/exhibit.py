"""One piece of synthetic evidence with all that is needed to appraise it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from verifier.evidence.examination import Examination
from verifier.evidence.interface import Appraiser, TeeClaims


@dataclass(frozen=True)
class Exhibit:
    """`appraiser` pins the made-up roots. `unsigned` names byte ranges of parts that no signature covers, and why."""

    appraiser: Appraiser
    parts: Mapping[str, bytes]
    now: float
    nonce: bytes
    unsigned: Mapping[str, tuple[tuple[range, str], ...]] = field(default_factory=dict)

    def appraise(self, examination: Examination | None = None) -> TeeClaims:
        return self.appraiser.appraise_untrusted(self.parts, self.now, examination or Examination())

    def with_part(self, name: str, content: bytes) -> "Exhibit":
        return replace(self, parts={**self.parts, name: content})

    def without(self, name: str) -> "Exhibit":
        return replace(self, parts={each: content for each, content in self.parts.items() if each != name})

    def at(self, now: float) -> "Exhibit":
        return replace(self, now=now)
