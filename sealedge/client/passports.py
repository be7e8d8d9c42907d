"""Passports that travel with results: verified once, remembered for a minute, forgotten when a revocation comes."""

from collections import OrderedDict

from protocol.attestation import Passport, open_past_attestation_result_untrusted
from protocol.messages import digest
from protocol.trust import Trust

RECHECK_SECONDS = 60.0
"""After this long a passport is verified anew: the verifier's credential may have ended since."""


class ResultPassports:
    """A bounded cache of verified attestation results, by digest. Which receipts a lease covers, others ask."""

    def __init__(self, trust: Trust, limit: int = 256) -> None:
        self._trust, self._limit = trust, limit
        self._verified: OrderedDict[bytes, tuple[Passport, float]] = OrderedDict()

    def open_untrusted(self, data: bytes, now: float) -> Passport:
        """Returns the passport: verified, not revoked; its lease may have ended.

        Raises as `open_past_attestation_result_untrusted` does.
        """
        name = digest(data)
        found = self._verified.get(name)
        if found is not None and found[1] <= now < found[1] + RECHECK_SECONDS:
            return found[0]
        passport = open_past_attestation_result_untrusted(data, self._trust, now)
        self._verified.pop(name, None)
        self._verified[name] = (passport, now)
        if len(self._verified) > self._limit:
            self._verified.popitem(last=False)
        return passport

    def forget(self) -> None:
        """A newer revocation list is in force: everything is verified anew."""
        self._verified.clear()
