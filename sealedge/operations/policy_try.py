"""A new policy on the evidence that a verifier has stored: `sealedge policy try`.

The newest evidence of every agent is authenticated again at the time at which it was appraised, against today's
revocations, and held against the new policy. The verifier may be running: its store is read, and copied into memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from protocol.errors import ConfigurationError, Finding, RemoteError
from protocol.party import Store
from protocol.revocation import BUCKET as REVOCATIONS
from protocol.trust import Trust
from schemas.policy import AppraisalPolicy
from schemas.reason import Reason
from sealedge.operations.parties.basis import STATE_FILE, open_trust
from sealedge.operations.parties.verifier import appraisers_of
from sealedge.operations.settings import VerifierSettings
from storage.store import MemoryStore, SqliteStore
from verifier.appraisal import appraise
from verifier.evidence import Appraisers
from verifier.evidence.examination import Examination
from verifier.presentation import authenticate_untrusted, parse_presentation_untrusted
from verifier.records import AppraisedEvidence
from verifier.verdicts import BUCKET as VERDICTS
from verifier.verdicts import Verdicts

_BUCKETS: Final = (VERDICTS, REVOCATIONS)


@dataclass(frozen=True, slots=True)
class Trial:
    """One agent: what its newest evidence came to, at `time`, and what it would come to. None stands for affirmed."""

    agent: str
    time: int
    was: Reason | None
    would_be: Reason | None
    said: str
    deciding: Finding | None

    @property
    def loses(self) -> bool:
        """Whether the new policy takes a result away. A revocation since then has done so already."""
        return self.was is None and self.would_be not in {None, Reason.REVOKED}

    @property
    def gains(self) -> bool:
        """Whether the new policy would affirm what was refused."""
        return self.was is not None and self.would_be is None

    def summary(self) -> dict[str, Any]:
        """As JSON has it."""
        found = self.deciding
        names = ("claim", "expected", "found", "policy")
        return {
            "agent": self.agent,
            "time": self.time,
            "was": "affirmed" if self.was is None else str(self.was),
            "would_be": "affirmed" if self.would_be is None else str(self.would_be),
            "said": self.said or None,
            "deciding": None if found is None else {name: getattr(found, name) for name in names},
            "loses": self.loses,
        }


def try_policy(policy: AppraisalPolicy, settings: VerifierSettings) -> list[Trial]:
    """The trial of every agent whose evidence the verifier of `settings` has stored, by name.

    Raises `ConfigurationError` where there is no store, `StoreError` where it cannot be read.
    """
    store = copy_of_store(settings.path(settings.state) / STATE_FILE)
    trust = open_trust(settings, store)
    kinds = appraisers_of(settings, policy)
    trials = (_trial(kept, policy, trust, kinds) for kept in Verdicts(store))
    return sorted(trials, key=lambda trial: trial.agent)


def copy_of_store(path: Path) -> Store:
    """What a trial needs of a verifier's store, in memory: nothing that is done to it reaches the disk."""
    if not path.is_file():
        raise ConfigurationError(f"{path}: there is no store of a verifier")
    copy = MemoryStore()
    with SqliteStore(path) as store:
        for bucket, key, value in _entries(store):
            copy.write(bucket, key, value)
    return copy


def _entries(store: Store) -> Iterator[tuple[str, bytes, bytes]]:
    for bucket in _BUCKETS:
        yield from ((bucket, key, value) for key, value in store.items(bucket))


def _trial(kept: AppraisedEvidence, policy: AppraisalPolicy, trust: Trust, kinds: Appraisers) -> Trial:
    error = _replayed(kept, policy, trust, kinds)
    return Trial(
        agent=kept.challenge.agent,
        time=kept.time,
        was=kept.reason,
        would_be=None if error is None else error.reason,
        said="" if error is None else str(error),
        deciding=None if error is None else error.finding,
    )


def _replayed(kept: AppraisedEvidence, policy: AppraisalPolicy, trust: Trust, kinds: Appraisers) -> RemoteError | None:
    """What the new policy refuses the evidence for, None where it affirms it."""
    try:
        presented = parse_presentation_untrusted(kept.evidence)
        subject = authenticate_untrusted(presented, kept.challenge, trust, kinds, kept.time, Examination())
        appraise(subject, policy, trust.revocations, kept.time).affirm()
    except RemoteError as error:
        return error
    return None
