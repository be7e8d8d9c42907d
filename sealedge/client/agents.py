"""Which agent to trust with a reading: attested for the model, on an accepted tier, present, and not failing.

result topics ─> PassportBook ─┐
status topics ─> who is away ──┼─> choose ─> Passport
failures ─> who is spared ─────┘
"""

from collections.abc import Iterator

from protocol.attestation import Passport, PassportBook, check_not_revoked
from protocol.errors import AppraisalError, AuthenticationError, Finding, FreshnessError, RemoteError
from protocol.messages import digest
from protocol.party import Delivery, Store
from protocol.status import open_status_untrusted
from protocol.trust import Trust
from schemas.kinds import Role, State, Tier
from schemas.reason import Reason

MAX_AGENTS = 1024
MAX_PAUSE = 30.0
"""Seconds for which a failing agent is spared at most, unless it asks for more itself."""


class Agents:
    """The agents that hold a model, as far as their signed words reach here.

    `only` names the single agent that is asked; None takes any. `spread` makes sensors prefer different agents.
    """

    def __init__(
        self, trust: Trust, store: Store, model: str, tiers: tuple[Tier, ...], only: str | None, spread: str
    ) -> None:
        self._trust, self._model, self._tiers = trust, model, tiers
        self._only, self._spread = only, spread
        self._passports = PassportBook(trust, store, MAX_AGENTS)
        self._presence: dict[str, tuple[bytes, int, bool]] = {}
        self._failures: dict[str, int] = {}
        self._spared_until: dict[str, float] = {}

    # What is heard of them

    def accept_result_untrusted(self, delivery: Delivery, now: float) -> Passport | None:
        """Take what stands on a result topic. Returns a passport that is new here, or None.

        An empty payload (a cleared retained message) makes the agent unknown: nobody signs it, and all it can do
        is to send readings elsewhere. Raises as `PassportBook.accept_untrusted` does.
        """
        agent = self._agent_of(delivery)
        if not delivery.payload:
            self._passports.forget(agent)
            return None
        passport = self._passports.accept_untrusted(delivery.payload, agent, now)
        if passport is not None:
            self._spared_until.pop(agent, None)
        return passport

    def accept_status_untrusted(self, delivery: Delivery) -> str | None:
        """Take an agent's status. Returns its name if it has just gone away.

        A status that another key than the passport's has signed says nothing: an enclave is born before it is
        attested. Raises `MalformedError`, `AuthenticationError` (another party's status).
        """
        agent = self._agent_of(delivery)
        passport = next((each for each in self._passports if each.agent == agent), None)
        if passport is None or not delivery.payload:
            return None
        expected = {"fleet": self._trust.fleet, "role": Role.AGENT, "party": agent}
        try:
            status = open_status_untrusted(delivery.payload, passport.signing_key, expected)
        except AuthenticationError as error:
            if error.reason is Reason.UNKNOWN_SIGNER:
                return None
            raise
        # Birth and will share a number: a birth that is replayed after its death does not revive.
        found = (status.key, status.sequence, status.state is not State.ONLINE)
        known = self._presence.get(agent)
        if known is not None and known[0] == found[0] and found[1:] <= known[1:]:
            return None
        self._presence[agent] = found
        return agent if found[2] else None

    def failed(self, agent: str, now: float, wait: float) -> None:
        """It did not answer, or refused: others come first from now on, and it is spared for `wait` seconds at least.

        From the second failure on the pause doubles, so that replayed refusals cannot keep a sensor busy.
        """
        failures = self._failures[agent] = self._failures.get(agent, 0) + 1
        pause = 0.0 if failures == 1 else min(MAX_PAUSE, 2.0 ** min(failures, 16) / 8)
        self._spared_until[agent] = now + max(wait, pause)

    def answered(self, agent: str) -> None:
        """It answered: earlier failures are forgiven."""
        self._failures.pop(agent, None)

    # Who is asked

    def choose(self, minimum_version: int, now: float) -> Passport:
        """The agent to open a session with. Raises `AppraisalError` or `FreshnessError`: why there is none."""
        found: list[Passport] = []
        obstacle: RemoteError = AppraisalError(
            "no agent is attested", finding=Finding("agent", self._only or "any", "none"), reason=Reason.NOT_ATTESTED
        )
        for passport in self._candidates():
            try:
                self._check(passport, minimum_version, now)
            except RemoteError as error:
                obstacle = error
                continue
            found.append(passport)
        if not found:
            raise obstacle
        return min(found, key=self._preference)

    def live(self, agent: str, now: float) -> Passport:
        """The passport of an agent, live and not revoked now. Raises `AppraisalError` (P3)."""
        return self._passports.live(agent, now)

    def known(self, agent: str) -> Passport | None:
        """The passport held of an agent, live or not: to verify a refusal's signature with."""
        return next((each for each in self._passports if each.agent == agent), None)

    def next_chance(self, now: float) -> float | None:
        """When the first of the spared agents may be asked again."""
        return min((until for until in self._spared_until.values() if until > now), default=None)

    def _candidates(self) -> Iterator[Passport]:
        return (each for each in self._passports if self._only in {None, each.agent})

    def _check(self, passport: Passport, minimum_version: int, now: float) -> None:
        passport.check_live(now)
        check_not_revoked(passport, self._trust)
        passport.check_tier(self._tiers, "sensor.tiers")
        self._check_model(passport, minimum_version)
        self._check_present(passport, now)

    def _check_model(self, passport: Passport, minimum_version: int) -> None:
        loaded = passport.model(self._model)
        if loaded is None:
            raise AppraisalError(
                "no agent holds the model",
                reason=Reason.MODEL_UNKNOWN,
                finding=Finding("attestation-result.models", self._model, "others or none"),
            )
        self._trust.revocations.check("model", loaded.digest)
        if loaded.version < minimum_version:
            raise FreshnessError(
                "agents hold older versions of the model only",
                reason=Reason.STALE,
                finding=Finding("model.version", f">= {minimum_version}", str(loaded.version)),
            )

    def _check_present(self, passport: Passport, now: float) -> None:
        agent = passport.agent
        key, _, gone = self._presence.get(agent, (b"", 0, False))
        # An enclave's death says nothing of the one that came after it.
        away = gone and key == passport.signing_key.thumbprint
        if away or now < self._spared_until.get(agent, 0.0):
            raise AppraisalError(
                "the agents are away or failing", reason=Reason.BUSY, finding=Finding("agent", "present", agent)
            )

    def _preference(self, passport: Passport) -> tuple[int, bytes]:
        name = passport.agent
        return self._failures.get(name, 0), digest(f"{self._spread} {name}".encode())

    def _agent_of(self, delivery: Delivery) -> str:
        agent = self._trust.topics.owner(delivery.topic)
        return agent or ""
