"""The answers kept so that a repetition is answered and not computed again (P7), within one budget for all sessions.

Who holds most gives way first: a sender with large results cannot push out the answers of others.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from protocol.party import Publication

OVERHEAD = 512
"""Bytes that an answer is taken to need besides its payloads, so that small ones are bounded too."""

Answer = tuple[Publication, ...]


@dataclass(slots=True, eq=False)
class Answers:
    """Those of one session, the oldest first."""

    kept: OrderedDict[bytes, Answer] = field(default_factory=OrderedDict, repr=False)
    size: int = 0

    def find(self, request: bytes) -> Answer | None:
        """The answer to a request, while it is kept."""
        return self.kept.get(request)


class AnswerBudget:
    """At most `limit` answers a session, and `limit_bytes` of all sessions together."""

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit, self._limit_bytes = limit, limit_bytes
        self._sharing: set[Answers] = set()
        self._total = 0

    @property
    def total(self) -> int:
        """Bytes in use."""
        return self._total

    def remember(self, answers: Answers, request: bytes, answer: Answer) -> None:
        """Keep an answer; let older ones go where there are too many, or too many bytes."""
        self._sharing.add(answers)
        answers.kept[request] = answer
        self._account(answers, _size(answer))
        while len(answers.kept) > self._limit:
            self._let_go(answers)
        while self._total > self._limit_bytes:
            self._let_go(max(self._sharing, key=lambda each: each.size))

    def end(self, answers: Answers) -> None:
        """Forget a session's answers."""
        while answers.kept:
            self._let_go(answers)

    def _let_go(self, answers: Answers) -> None:
        _, dropped = answers.kept.popitem(last=False)
        self._account(answers, -_size(dropped))
        if not answers.kept:
            self._sharing.discard(answers)

    def _account(self, answers: Answers, size: int) -> None:
        answers.size += size
        self._total += size


def _size(answer: Answer) -> int:
    return OVERHEAD + sum(len(each.payload) for each in answer)
