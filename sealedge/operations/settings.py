"""The settings of verifier, publisher, agent and operator; sensors and consumers have theirs in the client's room."""

from pathlib import Path

from publisher.policy import ReleasePolicy
from sealedge.operations.agent_settings import AgentSettings
from sealedge.operations.party_settings import OperatorSettings, PartySettings, access_of

__all__ = ["AgentSettings", "OperatorSettings", "PartySettings", "PublisherSettings", "VerifierSettings", "access_of"]


class VerifierSettings(PartySettings):
    """`verifier.toml`. `endorsements` is the folder of vendors' certificates, revocation lists and TCB information."""

    signing_key: Path
    credential: Path
    policy: Path
    endorsements: Path | None = None


class PublisherSettings(PartySettings):
    """`publisher.toml`; `[release]` narrows to whom keys are lent."""

    signing_key: Path
    credential: Path
    release: ReleasePolicy = ReleasePolicy()
