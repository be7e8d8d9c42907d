"""The highest version of each model whose results were accepted: older ones are refused from then on (P8).

An enclave has no disk of its own, so a fleet that was rolled back as a whole is noticed by its clients alone.
"""

from protocol.errors import Finding, FreshnessError
from protocol.party import Store
from schemas.reason import Reason

BUCKET = "model-versions"


class ModelVersions:
    """Remembered in the store across restarts. Raises `StoreError` where that fails."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._highest = {key.decode(): int.from_bytes(value, "big") for key, value in store.items(BUCKET)}

    def lowest_accepted(self, model: str) -> int:
        """The highest version seen so far: nothing below it is accepted."""
        return self._highest.get(model, 0)

    def check(self, model: str, version: int) -> None:
        """Raises `FreshnessError` (stale) for a version below the highest one seen."""
        lowest = self.lowest_accepted(model)
        if version < lowest:
            raise FreshnessError(
                "a result of an older version of the model than one already seen",
                reason=Reason.STALE,
                finding=Finding("model.version", f">= {lowest}", str(version)),
            )

    def accepted(self, model: str, version: int) -> None:
        """A result of this version was accepted."""
        if version > self.lowest_accepted(model):
            self._store.write(BUCKET, model.encode(), version.to_bytes(8, "big"))
            self._highest[model] = version
