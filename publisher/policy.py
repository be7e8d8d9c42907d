"""What a publisher asks of an enclave beyond a live passport of a tier that the manifest names."""

from pydantic import BaseModel, ConfigDict, Field

from protocol.attestation import Passport
from protocol.errors import AppraisalError, Finding
from schemas.base import Name
from schemas.policy import HexDigest
from schemas.reason import Reason


class ReleasePolicy(BaseModel):
    """To whom content keys are lent, and for how long. The tiers stand in each manifest, for all to see (P6).

    `agents` and `measurements` narrow further what the verifier affirmed; None accepts every affirmed one, an
    empty set accepts none. Seconds are those of the publisher's clock.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key_lease_seconds: int = Field(default=300, ge=10, le=86_400)
    request_seconds: int = Field(default=300, ge=10, le=86_400)
    """How old a key request may be: a recorded one is worth nothing later, even while the passport is live."""
    agents: frozenset[Name] | None = None
    measurements: frozenset[HexDigest] | None = None

    def check(self, passport: Passport) -> None:
        """Raises `AppraisalError` (role-not-allowed, measurement-unknown) unless this enclave may hold keys."""
        if self.agents is not None and passport.agent not in self.agents:
            raise AppraisalError(
                "the publisher does not lend keys to this agent",
                reason=Reason.ROLE_NOT_ALLOWED,
                finding=Finding("agent", _names(self.agents), passport.agent, "release.agents"),
            )
        measurement = passport.result.measurement.hex()
        if self.measurements is not None and measurement not in self.measurements:
            expected = _names({each[:16] for each in self.measurements})
            raise AppraisalError(
                "the publisher does not lend keys to this enclave code",
                reason=Reason.MEASUREMENT_UNKNOWN,
                finding=Finding("measurement", expected, measurement[:16], "release.measurements"),
            )


def _names(accepted: frozenset[str] | set[str]) -> str:
    return " or ".join(sorted(accepted)) or "none"
