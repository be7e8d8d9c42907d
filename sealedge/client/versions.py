"""The highest version of each model whose results were accepted: older ones are refused from then on (P8).

An enclave has no disk of its own, so a fleet that was rolled back as a whole is noticed by its clients alone.
A sensor never goes back at all. A consumer does not choose the agents: while a new version spreads, some of them
answer with the old one, rightly. It refuses an agent that goes back, and notes one that lags behind.
"""

from protocol.errors import Finding, FreshnessError
from protocol.party import Store
from schemas.reason import Reason

BUCKET = "model-versions"


class ModelVersions:
    """Remembered in the store across restarts, of all agents together or of one. Raises `StoreError`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._highest = {key.decode(): int.from_bytes(value, "big") for key, value in store.items(BUCKET)}

    def highest(self, model: str, agent: str = "") -> int:
        """The highest version seen so far, or 0."""
        return self._highest.get(_key(model, agent), 0)

    def check(self, model: str, version: int, agent: str = "") -> None:
        """Raises `FreshnessError` (stale) for a version below the highest one seen."""
        highest = self.highest(model, agent)
        if version < highest:
            raise FreshnessError(
                "a result of an older version of the model than one already seen",
                reason=Reason.STALE,
                finding=Finding("model.version", f">= {highest}", str(version)),
            )

    def accepted(self, model: str, version: int, agent: str = "") -> None:
        """A result of this version was accepted."""
        if version > self.highest(model, agent):
            key = _key(model, agent)
            self._store.write(BUCKET, key.encode(), version.to_bytes(8, "big"))
            self._highest[key] = version


def _key(model: str, agent: str) -> str:
    """Names hold no "@"."""
    return f"{model}@{agent}" if agent else model
