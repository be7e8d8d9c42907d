"""From a request that waits to its answer: may it be computed now, run the module, sign and seal what came out."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.enclave.answers import Answer
from edge_agent.enclave.attesting import Attesting
from edge_agent.enclave.carrying import Carrying, cut, joined
from edge_agent.enclave.inference import answer
from edge_agent.enclave.loading import Carried, Running
from edge_agent.enclave.models import ModelShelf
from edge_agent.enclave.waiting import Asked, WaitingRoom
from edge_agent.enclave.workers import Outcome, Workers
from protocol.attestation import Passport
from protocol.errors import EnclaveError, FreshnessError, RemoteError
from protocol.keys import SigningKey
from protocol.party import Randomness
from protocol.trust import Trust, check_times
from schemas.reason import Reason

MOST_AT_ONCE = 64
"""Requests that are looked at in one turn."""

Ended = tuple[Asked, Answer | RemoteError | EnclaveError]
"""A request that waits no more, and its answer or why there is none."""


@dataclass(frozen=True, slots=True)
class _Ready:
    asked: Asked
    passport: Passport
    running: Running
    carried: Carried | None

    def compute(self) -> bytes:
        return self.running.compute(joined(self.asked, self.carried))


class Computing:
    """The requests that wait, and who computes them. Everything is checked again when a request's turn comes."""

    def __init__(
        self,
        trust: Trust,
        attesting: Attesting,
        models: ModelShelf,
        carrying: Carrying,
        key: SigningKey,
        randomness: Randomness,
        workers: Workers,
    ) -> None:
        self.waiting = WaitingRoom()
        self._trust, self._attesting, self._models, self._carrying = trust, attesting, models, carrying
        self._key, self._randomness, self._workers = key, randomness, workers

    def turn(self, now: float) -> list[Ended]:
        """Answer those whose turn it is, as many as the workers take on. Nobody's data waits longer than its session.

        A request whose time has passed while it waited is refused and not computed. Where state is carried, a session
        has one turn: its next request starts from what this one leaves.
        """
        ended: list[Ended] = [(each, _without_session()) for each in self.waiting.remove_if(_is_over)]
        ready: list[_Ready] = []
        for asked in self.waiting.in_turn(MOST_AT_ONCE):
            if any(each.carried is not None and each.asked.session is asked.session for each in ready):
                continue
            try:
                ready.append(self._entitled(asked, now))
            except (RemoteError, EnclaveError) as error:
                self.waiting.remove(asked)
                ended.append((asked, error))
        outcomes = self._workers([each.compute for each in ready]) if ready else []
        return ended + self._answered(ready, outcomes, now)

    def _answered(self, ready: Sequence[_Ready], outcomes: Sequence[Outcome], now: float) -> list[Ended]:
        ended: list[Ended] = []
        for each, outcome in zip(ready, outcomes, strict=False):
            self.waiting.remove(each.asked)
            ended.append((each.asked, self._answer(each, outcome, now)))
        return ended

    def _answer(self, ready: _Ready, outcome: Outcome, now: float) -> Answer | EnclaveError:
        if isinstance(outcome, EnclaveError):
            return outcome
        asked, carried = ready.asked, ready.carried
        try:
            shown, after = cut(outcome, carried)
            made = answer(asked, shown, ready.running, carried, ready.passport, self._key, self._randomness, now)
        except EnclaveError as error:
            return error
        if carried is not None:
            self._carrying.after(asked, carried, after)
        return made

    def _entitled(self, asked: Asked, now: float) -> _Ready:
        """Raises unless, at this moment, the enclave is attested, sender and recipients stand, the model is lent."""
        session = asked.session
        passport = self._attesting.live(now)
        passport.check_tier(session.terms.tiers, "session.tiers")
        session.check_standing(self._trust, now)
        running = self._models.running(session.model, now)
        check_times("request", asked.request.issued, asked.request.expires, now)
        return _Ready(asked, passport, running, self._carrying.before(asked, running))


def _is_over(asked: Asked) -> bool:
    return asked.session.is_over


def _without_session() -> FreshnessError:
    return FreshnessError("the session ended while the request waited", reason=Reason.SESSION_UNKNOWN)
