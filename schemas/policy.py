"""What a verifier accepts: the appraisal policy, read from TOML.

[tiers] accept = ["sev-snp"]            the simulated tier is accepted only where it is named (P6)
[reference_values] measurements = [...] hex SHA-256 of enclaves that may run
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.attestation import TierName
from schemas.base import Text

HexDigest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tiers(_Section):
    """Which kinds of TEE are good enough."""

    accept: tuple[TierName, ...] = ()


class ReferenceValues(_Section):
    """What an enclave must measure as. An empty list of configurations accepts any configuration."""

    measurements: tuple[HexDigest, ...] = ()
    configurations: tuple[HexDigest, ...] = ()


class AppraisalPolicy(_Section):
    """The policy of a verifier. The default accepts nothing: name what you accept."""

    name: Text = "default"
    tiers: Tiers = Tiers()
    reference_values: ReferenceValues = ReferenceValues()
    allow_debug: bool = False
    lease_seconds: int = Field(default=300, ge=10, le=86_400)
    challenge_seconds: int = Field(default=60, ge=5, le=3600)
