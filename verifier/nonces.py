"""The verifier's memory of its nonces (P4): each is chosen here, answered once, and ends.

    remember (before it is sent) ──> consume (before its answer is looked at) ──> gone
                                └──> expire ──> gone

What is remembered survives a restart; what was consumed stays consumed. An agent has its own few places, so that
no agent can spend or crowd out another's.
"""

import hmac
from collections.abc import Sequence

from protocol.errors import Finding, FreshnessError, ProtocolMisuseError
from protocol.messages import encode_message
from protocol.party import Store
from protocol.trust import check_times
from schemas.attestation import Challenge
from schemas.reason import Reason
from verifier.records import MAX_OPEN_CHALLENGES, OpenChallenges, read_record

BUCKET = "verifier-challenges"


class NonceMemory:
    """The open challenges of every agent. All that it says is durable when the call returns."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def remember(self, challenge: Challenge, now: float) -> None:
        """Keep a challenge that is about to be sent. Raises `ProtocolMisuseError` where the agent has no place left."""
        held = self.unanswered(challenge.agent, now)
        if len(held) >= MAX_OPEN_CHALLENGES:
            raise ProtocolMisuseError(f"{challenge.agent} has {len(held)} open challenges already")
        self._write(challenge.agent, (*held, challenge))

    def consume(self, agent: str, nonce: bytes, now: float) -> Challenge:
        """Returns the challenge that this agent was sent, which is forgotten by then, whatever comes next.

        Raises `FreshnessError`: nonce-unknown for a nonce that this agent was not sent, that it has answered, or
        that was forgotten long after its end; expired for one that has just ended.
        """
        held = self._read(agent)
        found = next((each for each in held if hmac.compare_digest(each.nonce, nonce)), None)
        if found is None:
            raise FreshnessError(
                "this agent has no such nonce to answer",
                reason=Reason.NONCE_UNKNOWN,
                finding=Finding("claims.nonce", "one that the verifier chose, unanswered", nonce.hex()[:16]),
            )
        self._write(agent, tuple(each for each in held if each is not found))
        check_times("challenge", found.issued, found.expires, now)
        return found

    def unanswered(self, agent: str, now: float) -> Sequence[Challenge]:
        """The challenges that this agent may still answer at `now`, oldest first."""
        return [each for each in self._read(agent) if now < each.expires]

    def expire(self, now: float) -> int:
        """Forget every challenge that has ended, and return how many. Others forget theirs when they are next used."""
        forgotten = 0
        for key, value in self._store.items(BUCKET):
            held = read_record(OpenChallenges, value, BUCKET).challenges
            kept = tuple(each for each in held if now < each.expires)
            if len(kept) < len(held):
                self._write(key.decode(), kept)
                forgotten += len(held) - len(kept)
        return forgotten

    def _read(self, agent: str) -> tuple[Challenge, ...]:
        value = self._store.read(BUCKET, agent.encode())
        return () if value is None else read_record(OpenChallenges, value, BUCKET).challenges

    def _write(self, agent: str, challenges: tuple[Challenge, ...]) -> None:
        if challenges:
            self._store.write(BUCKET, agent.encode(), encode_message(OpenChallenges(challenges=challenges)))
        else:
            self._store.delete(BUCKET, agent.encode())
