"""The newest evidence of each agent and what was made of it, durable.

Only evidence that answered a nonce comes here, so that an outsider cannot overwrite it at will. It serves two
ends: the same message delivered again is answered the same way (P7), and a changed policy can be tried on it.
"""

from collections.abc import Iterator

from protocol.errors import AppraisalError, Finding, RemoteError
from protocol.messages import encode_message
from protocol.party import Store
from schemas.attestation import Challenge
from verifier.appraisal import Verdict
from verifier.evidence.examination import Examination
from verifier.records import MAX_TRACE, AppraisedEvidence, TraceLine, read_record, trace_line

BUCKET = "verifier-verdicts"


class Verdicts:
    """One `AppraisedEvidence` an agent."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def keep(
        self,
        challenge: Challenge,
        evidence: bytes,
        examination: Examination,
        verdict: Verdict | None,
        error: RemoteError | None,
        now: float,
    ) -> None:
        """Remember what was made of this evidence, in place of the agent's last: first the TEE's own, then the rest.

        `verdict` is None where the evidence was not authentic and nothing was appraised; `error` is None where the
        verdict affirms.
        """
        lines = [trace_line(line.finding, holds=line.holds) for line in examination.lines]
        if verdict is not None:
            lines += [trace_line(check.finding, holds=check.holds) for check in verdict.trace]
        record = AppraisedEvidence(
            challenge=challenge,
            evidence=evidence,
            time=int(now),
            trace=tuple(lines[:MAX_TRACE]),
            reason=None if error is None else error.reason,
            deciding=None if error is None or error.finding is None else trace_line(error.finding, holds=False),
        )
        self._store.write(BUCKET, challenge.agent.encode(), encode_message(record))

    def newest(self, agent: str) -> AppraisedEvidence | None:
        """The agent's newest evidence that answered a nonce, or None."""
        value = self._store.read(BUCKET, agent.encode())
        return None if value is None else read_record(AppraisedEvidence, value, BUCKET)

    def __iter__(self) -> Iterator[AppraisedEvidence]:
        for _, value in self._store.items(BUCKET):
            yield read_record(AppraisedEvidence, value, BUCKET)


def refusal_again(kept: AppraisedEvidence) -> AppraisalError | None:
    """The refusal that this evidence met, to be given again; None where it was affirmed."""
    if kept.reason is None:
        return None
    finding = None if kept.deciding is None else _finding(kept.deciding)
    return AppraisalError("this evidence was refused before", reason=kept.reason, finding=finding)


def _finding(line: TraceLine) -> Finding:
    return Finding(line.claim, line.expected, line.found, line.policy)
