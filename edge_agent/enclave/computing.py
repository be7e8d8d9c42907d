"""From a request that waits to its answer: may it be computed now, run the module, sign and seal what came out."""

from dataclasses import dataclass
from functools import partial

from edge_agent.enclave.answers import Answer
from edge_agent.enclave.attesting import Attesting
from edge_agent.enclave.carrying import Carrying, cut, joined
from edge_agent.enclave.inference import Computed, answers, check_room
from edge_agent.enclave.loading import Carried, Running
from edge_agent.enclave.models import ModelShelf
from edge_agent.enclave.waiting import Asked, WaitingRoom
from edge_agent.enclave.workers import Outcome, Task, Workers
from protocol.attestation import Passport
from protocol.errors import EnclaveError, FreshnessError, RemoteError
from protocol.keys import SigningKey
from protocol.party import Randomness
from protocol.trust import Trust, check_times
from schemas.reason import Reason

MOST_AT_ONCE = 64
"""Requests that are looked at in one turn."""

LOOK_AGAIN_SECONDS = 0.001
"""When a request that is being computed is asked after again, at the latest: workers wait for it then."""

Ended = tuple[Asked, Answer | RemoteError | EnclaveError]
"""A request that waits no more, and its answer or why there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class _Ready:
    """A request that may be computed, and what that was decided from. `task` is what workers know it by."""

    asked: Asked
    passport: Passport
    running: Running
    carried: Carried | None
    task: Task

    def stands(self, right: "_Ready") -> bool:
        """Whether it was computed by the module, and from the state, that are right now."""
        return self.running is right.running and self.carried == right.carried


class Computing:
    """The requests that wait, and who computes them.

    Everything is checked again when a request's turn comes, and once more when it took several turns to compute.
    """

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
        self._begun: list[_Ready] = []

    def due(self, now: float) -> float | None:
        """When `turn` has something to do."""
        if self._begun:
            return now + LOOK_AGAIN_SECONDS
        return now if self.waiting else None

    def turn(self, now: float) -> list[Ended]:
        """Answer those whose turn it is, as many as the workers take on. Nobody's data waits longer than its session.

        A request whose time has passed while it waited is refused and not computed. Where state is carried, a session
        has one turn: its next request starts from what this one leaves.
        """
        ended: list[Ended] = [(each, _without_session()) for each in self.waiting.remove_if(_is_over)]
        offered = [*self._begun, *self._next(now, ended)]
        outcomes = self._workers([each.task for each in offered]) if offered else []
        self._begun = []
        computed: list[Computed] = []
        for each, outcome in zip(offered, outcomes, strict=False):
            if outcome is None:
                self._runs_on(each)
            else:
                self._ended(each, outcome, now, ended, computed)
        if computed:
            made = answers(computed, self._key, self._randomness, now)
            ended += zip((each.asked for each in computed), made, strict=True)
        return ended

    def _next(self, now: float, ended: list[Ended]) -> list[_Ready]:
        """Those whose turn comes and that may be computed; the others go to `ended`."""
        ready: list[_Ready] = []
        carrying = {id(each.asked.session) for each in self._begun if each.carried is not None}
        for asked in self.waiting.in_turn(MOST_AT_ONCE):
            if id(asked.session) in carrying:
                continue
            try:
                each = self._entitled(asked, now)
            except (RemoteError, EnclaveError) as error:
                self.waiting.remove(asked)
                ended.append((asked, error))
                continue
            ready.append(each)
            if each.carried is not None:
                carrying.add(id(asked.session))
        return ready

    def _runs_on(self, ready: _Ready) -> None:
        self._begun.append(ready)
        if not self.waiting.has_begun(ready.asked):
            self.waiting.begin(ready.asked)

    def _ended(self, ready: _Ready, outcome: Outcome, now: float, ended: list[Ended], computed: list[Computed]) -> None:
        """What came out goes to `computed`, or why there is nothing to `ended`; else it has to be computed again."""
        asked = ready.asked
        try:
            if self.waiting.has_begun(asked):
                right = self._still_entitled(asked, now)
                if not ready.stands(right):
                    self.waiting.put_back(asked)
                    return
                ready = right
            computed.append(self._computed(ready, outcome))
        except (RemoteError, EnclaveError) as error:
            ended.append((asked, error))
        self.waiting.remove(asked)

    def _still_entitled(self, asked: Asked, now: float) -> _Ready:
        """Others were heard since it was begun: what is right now. Raises where it has lost its right."""
        if asked.session.is_over:
            raise _without_session()
        return self._entitled(asked, now)

    def _computed(self, ready: _Ready, outcome: Outcome) -> Computed:
        """Raises `EnclaveError` for what the module did wrong, and for more than a message holds."""
        if isinstance(outcome, EnclaveError):
            raise outcome
        asked, carried = ready.asked, ready.carried
        shown, after = cut(outcome, carried)
        check_room(shown, ready.passport)
        if carried is not None:
            self._carrying.after(asked, carried, after)
        return Computed(asked, shown, ready.running, carried, ready.passport)

    def _entitled(self, asked: Asked, now: float) -> _Ready:
        """Raises unless, at this moment, the enclave is attested, sender and recipients stand, the model is lent."""
        session = asked.session
        passport = self._attesting.live(now)
        passport.check_tier(session.terms.tiers, "session.tiers")
        session.check_standing(self._trust, now)
        running = self._models.running(session.model, now)
        check_times("request", asked.request.issued, asked.request.expires, now)
        carried = self._carrying.before(asked, running)
        return _Ready(asked, passport, running, carried, partial(running.compute, joined(asked, carried)))


def _is_over(asked: Asked) -> bool:
    return asked.session.is_over


def _without_session() -> FreshnessError:
    return FreshnessError("the session ended while the request waited", reason=Reason.SESSION_UNKNOWN)
