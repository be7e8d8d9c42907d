"""One piece of evidence against a policy, or against none, offline: what `sealedge evidence verify` does.

    parts ─appraiser of the kind─> claims ─nonce─> ─judge─> accept, refuse or malformed, and every line that was checked

Nothing is fetched: what the arguments and the endorsement folder do not have is not there. Without a policy only
what makes any evidence worthless is refused: see `verifier.judgement.judge_alone`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Literal

from protocol.errors import AppraisalError, Finding, MalformedError, RemoteError
from schemas.evidence import FORMATS, SNP
from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy
from schemas.reason import Reason
from sealedge.operations.evidence_cmw import open_cmw_untrusted
from sealedge.operations.evidence_files import CMW
from verifier.endorsements import NO_ENDORSEMENTS
from verifier.evidence import appraiser_untrusted, appraisers
from verifier.evidence.examination import Examination, Line, Signature
from verifier.evidence.interface import Claim, Endorsements, Parts, TeeClaims
from verifier.evidence.roots import PINNED_ROOTS
from verifier.evidence.snp import SnpAppraiser
from verifier.judgement import judge, judge_alone
from verifier.policy import roots_of

Verdict = Literal["accept", "refuse", "malformed"]


@dataclass(frozen=True, slots=True)
class Question:
    """Evidence of a kind, and what it is held against. `at` is seconds since 1970; without `policy` see above."""

    kind: str
    parts: Parts
    at: float
    nonce: bytes | None = None
    policy: AppraisalPolicy | None = None
    endorsements: Endorsements = NO_ENDORSEMENTS


@dataclass(slots=True)
class Answer:
    """What came of it: `error` is the first thing that did not hold, None where all did.

    `claims` are authentic where `signature` is "valid". A certificate without a report gives claims and no `tee`.
    """

    kind: str
    at: float
    examination: Examination = field(default_factory=Examination)
    tee: TeeClaims | None = None
    claims: Mapping[str, Claim] = field(default_factory=dict)
    error: RemoteError | None = None

    @property
    def verdict(self) -> Verdict:
        """`accept`, unless something did not hold."""
        if self.error is None:
            return "accept"
        return "malformed" if isinstance(self.error, MalformedError) else "refuse"

    @property
    def signature(self) -> Signature:
        """Of the evidence and of the chain over its key."""
        return self.examination.signature

    @property
    def trace(self) -> list[Line]:
        """Every check in its order."""
        return self.examination.lines

    @property
    def tier(self) -> Tier | None:
        """What stands behind the evidence; None where nobody knows."""
        return None if self.tee is None else self.tee.tier


def verify_untrusted(question: Question) -> Answer:
    """Appraise, compare the nonce, judge. Raises nothing for the evidence: what is wrong with it is in the answer."""
    answer = Answer(question.kind, question.at)
    try:
        _examine(question, answer)
    except RemoteError as error:
        answer.error = error
        _keep(error.finding, answer.trace)
    return answer


def _examine(question: Question, answer: Answer) -> None:
    roots = PINNED_ROOTS if question.policy is None else roots_of(question.policy)
    kind, parts = _unwrapped(question)
    answer.kind = kind
    if kind == SNP.name and "report" not in parts and {"vcek", "vlek"} & parts.keys():
        chain = SnpAppraiser(question.endorsements, roots)
        answer.claims = chain.check_chain_only_untrusted(parts, question.at, answer.examination)
        _refuse_without_report(question)
        return
    registry = appraisers(question.endorsements, roots)
    appraiser = appraiser_untrusted(registry, FORMATS[kind].media_type)
    tee = appraiser.appraise_untrusted(parts, question.at, answer.examination)
    answer.tee, answer.claims = tee, tee.claims
    if question.nonce is None:
        answer.examination.note("nonce", "the one that was sent", "not given, not compared")
    else:
        _check_nonce(question.nonce, tee.report_data, answer.examination)
    _judge(tee, question, answer)


def _unwrapped(question: Question) -> tuple[str, Parts]:
    """The parts of a CMW, and what else the caller gave for its kind."""
    if question.kind != CMW:
        return question.kind, question.parts
    form, parts = open_cmw_untrusted(question.parts.get("evidence", b""))
    return form.name, {**parts, **{name: each for name, each in question.parts.items() if name != "evidence"}}


def _refuse_without_report(question: Question) -> None:
    """A certificate alone has no nonce and fits no policy: only its own chain can be asked about."""
    if question.nonce is not None or question.policy is not None:
        finding = Finding("report", "a report, for a nonce or a policy", "not given")
        raise AppraisalError("a certificate without a report attests nothing", finding=finding)


def _check_nonce(nonce: bytes, found: bytes, examination: Examination) -> None:
    """The whole report data, or its beginning with zeros behind: TEEs that sign 64 bytes pad shorter nonces so."""
    holds = compare_digest(nonce.ljust(len(found), b"\0"), found)
    message = "the evidence answers another nonce"
    examination.demand(
        holds, "nonce", nonce, found or "none", message, error=AppraisalError, reason=Reason.NONCE_UNKNOWN
    )


def _judge(tee: TeeClaims, question: Question, answer: Answer) -> None:
    policy = question.policy
    checks = list(judge_alone(tee) if policy is None else judge(tee, policy, question.at))
    answer.trace.extend(Line(check.finding, check.holds) for check in checks)
    answer.error = next((check.error for check in checks if not check.holds), None)


def _keep(finding: Finding | None, trace: list[Line]) -> None:
    """What ended the examination stands in its trace, also where only the exception said so."""
    if finding is not None and not any(line.finding.claim == finding.claim and not line.holds for line in trace):
        trace.append(Line(finding, holds=False))
