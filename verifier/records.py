"""What the verifier remembers across restarts, as messages with integer keys in its own store.

They never travel. A record that cannot be read is a fault of the store: the verifier stops rather than forgets.
"""

from typing import Annotated, TypeVar

from pydantic import Field

from protocol.errors import Finding, MalformedError, StoreError
from protocol.messages import decode_message_untrusted
from schemas.attestation import Challenge
from schemas.base import Counter, Digest, Document, Identifier, Message, Name, Text, Time, at
from schemas.status import ReasonCode

MAX_EVIDENCE_MESSAGE = 262_144
"""Bytes of an evidence message: three documents of `schemas.base.Document`'s size, and their envelope."""

MAX_OPEN_CHALLENGES = 4

MAX_TRACE = 320
"""Lines of a trace that are kept."""

M = TypeVar("M", bound=Message)


class OpenChallenges(Message):
    """The challenges of one agent that were not answered yet, oldest first."""

    challenges: tuple[Challenge, ...] = at(1, max_length=MAX_OPEN_CHALLENGES)


class Lease(Message):
    """An attestation result that was issued, and all that would end it early.

    `signing_key` is the thumbprint of the enclave's key, `enrolment` the identifier of the agent's credential,
    `evidence` the digest of the message that earned it, `document` the signed result.
    """

    agent: Name = at(1)
    issued: Time = at(2)
    expires: Time = at(3)
    measurement: Digest = at(4)
    chip: Digest | None = at(5, None)
    signing_key: Digest = at(6)
    enrolment: Identifier = at(7)
    evidence: Digest = at(8)
    document: Document = at(9)


class LastSequence(Message):
    """The highest sequence number that an agent's attestation results have had (P8)."""

    sequence: Counter = at(1)


class TraceLine(Message):
    """One line of an appraisal's trace."""

    claim: Text = at(1)
    expected: Text = at(2)
    found: Text = at(3)
    policy: Text = at(4)
    holds: bool = at(5)


class AppraisedEvidence(Message):
    """An agent's newest evidence that answered a challenge, with the verdict: for `policy try` and for duplicates.

    `evidence` is the whole message, `challenge` what it answered. `reason` is absent where the verdict affirms.
    """

    challenge: Challenge = at(1)
    evidence: Annotated[bytes, Field(min_length=1, max_length=MAX_EVIDENCE_MESSAGE)] = at(2)
    time: Time = at(3)
    trace: tuple[TraceLine, ...] = at(4, max_length=MAX_TRACE)
    reason: ReasonCode | None = at(5, None)
    deciding: TraceLine | None = at(6, None)


def read_record(model: type[M], data: bytes, bucket: str) -> M:
    """A record of this store. Raises `StoreError` where it is damaged."""
    try:
        return decode_message_untrusted(model, data)
    except MalformedError as error:
        finding = Finding(bucket, model.__name__, str(error))
        raise StoreError("a record of the verifier's store is damaged", finding=finding) from error


def trace_line(finding: Finding, *, holds: bool) -> TraceLine:
    """A finding as a record, its texts cut to what a record allows."""
    return TraceLine(
        claim=finding.claim[:256],
        expected=finding.expected[:256],
        found=finding.found[:256],
        policy=finding.policy[:256],
        holds=holds,
    )
