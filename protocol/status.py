"""What a party says of itself, for eyes: JSON on its retained status topic, never a secret.

The JSON carries `proof`, a signed status (base64url COSE_Sign1) with the state and sequence number, so that a
machine can tell a true death from a broker's invention. Counters and refusals are for people and unsigned.
"""

import base64
import json
from collections import Counter
from collections.abc import Callable, Mapping

from protocol.envelope import open_document_untrusted, sign_document
from protocol.errors import AuthenticationError, Finding, MalformedError, SealedgeError
from protocol.keys import SigningKey, VerifyingKey
from protocol.party import Publication
from schemas.kinds import Kind, Role, State
from schemas.reason import Reason
from schemas.status import Refusal, Status
from schemas.topics import FleetTopics

MIN_INTERVAL = 1.0
"""Seconds between two status publications at most: a flood of bad messages is counted, not echoed."""

MAX_STATUS = 16_384

Prove = Callable[[Status], bytes]
"""Signs a status; for an agent the enclave does."""


def prove_with(key: SigningKey) -> Prove:
    """A prover for a party that holds its own signing key."""
    return lambda status: sign_document(Kind.STATUS, status, key)


def refusal_of(error: SealedgeError, now: float, retry_after: int | None = None) -> Refusal:
    """The refusal that an error becomes on the wire. Texts are cut to what the wire allows."""
    finding = error.finding or Finding(claim="")
    return Refusal(
        reason=error.reason,
        time=int(now),
        claim=finding.claim[:256] or None,
        expected=finding.expected[:256] or None,
        found=finding.found[:256] or None,
        policy=finding.policy[:256] or None,
        retry_after=retry_after,
    )


class StatusBoard:
    """Counts what a party receives, answers and refuses, and publishes it, at most once a second."""

    def __init__(self, topics: FleetTopics, role: Role, party: str) -> None:
        self._topics, self._role, self._party = topics, role, party
        self.sequence = 0
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.details: dict[str, str | int | float | bool | None] = {}
        self._last_refusal: dict[str, str | int] | None = None
        self._changed, self._published_at = False, -MIN_INTERVAL

    def begin(self, now: float) -> None:
        """A new connection: birth and death share a new number, greater than any before, also across restarts."""
        self.sequence = max(self.sequence + 1, int(now * 1000))

    def count(self, what: str, number: int = 1) -> None:
        """Count things received or done."""
        self.counts[what] += number
        self._changed = True

    def refuse(self, refusal: Refusal, topic: str) -> None:
        """Count one refusal and remember it as the last."""
        self.refused[refusal.reason] += 1
        found = refusal.model_dump(exclude_none=True, mode="json")
        self._last_refusal = {"topic": topic[:256], **found}
        self._changed = True

    def status(self, state: State, key: bytes, now: float) -> Status:
        """The signed part."""
        return Status(
            fleet=self._topics.fleet,
            role=self._role,
            party=self._party,
            state=state,
            sequence=self.sequence,
            time=int(now),
            key=key,
        )

    def publication(self, state: State, proof: bytes, now: float) -> Publication:
        """The retained JSON status."""
        self._changed, self._published_at = False, now
        shown = {
            "fleet": self._topics.fleet,
            "role": self._role,
            "party": self._party,
            "state": state,
            "sequence": self.sequence,
            "time": int(now),
            **self.counts,
            "refused": dict(self.refused),
            "last_refusal": self._last_refusal,
            **self.details,
            "proof": base64.urlsafe_b64encode(proof).decode().rstrip("="),
        }
        return Publication(
            topic=self._topics.status(self._role, self._party),
            payload=json.dumps(shown, ensure_ascii=True).encode(),
            retain=True,
            content_type="application/json",
        )

    @property
    def due_at(self) -> float | None:
        """When a changed status may be published next, or None if nothing changed."""
        return self._published_at + MIN_INTERVAL if self._changed else None


def open_status_untrusted(data: bytes, key: VerifyingKey, expected: Mapping[str, str]) -> Status:
    """Returns the signed part of a JSON status: signed by `key`, with the expected fleet, role and party.

    Raises `MalformedError`, `AuthenticationError`.
    """
    try:
        proof = json.loads(data[: MAX_STATUS + 1])["proof"]
        signed = base64.urlsafe_b64decode(proof + "=" * (-len(proof) % 4))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise MalformedError("not a status", finding=Finding("status", "JSON with a proof", "something else")) from None
    status = open_document_untrusted(Status, signed, Kind.STATUS, key)
    for claim, value in expected.items():
        if getattr(status, claim) != value:
            raise AuthenticationError(
                "a status of another party",
                reason=Reason.MISADDRESSED,
                finding=Finding(f"status.{claim}", value, str(getattr(status, claim))),
            )
    return status
