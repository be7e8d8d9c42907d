"""The settings of verifier, publisher, agent and operator; sensors and consumers have theirs in the client's room."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from edge_agent.attester.settings import CocoSettings, CommandSettings, GramineSettings, NitroSettings, TsmSettings
from edge_agent.attester.tpm_settings import TpmPlace, TpmSettings
from publisher.policy import ReleasePolicy
from schemas.base import Name
from sealedge.settings import FileSettings, read_toml


class OperatorSettings(FileSettings):
    """`operator.toml`: no party, only a way into the broker."""

    authority: Path | None = None


class PartySettings(OperatorSettings):
    """What every party needs."""

    name: Name
    authority: Path
    revocations: Path | None = None
    state: Path = Path("state")


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


class AgentSettings(PartySettings):
    """`agent.toml`. `attester` names the TEE; the simulated one signs with `chip_key`, others read their own table.

    `enclave` is where it runs: `process`, a confined child; `in-place`, for machines that are the TEE as a whole;
    `vsock:CID:PORT`, a machine of its own. With `confinement = "strict"` no enclave runs without every measure.
    With `keep_models = false` nothing is kept for the next start, neither sealed models nor bytecode, and what was kept
    is deleted: each start needs the publisher.
    """

    enrolment: Path
    models: tuple[Name, ...] = Field(min_length=1, max_length=16)
    attester: str = ""
    chip_key: Path | None = None
    tsm: TsmSettings = TsmSettings()
    nitro: NitroSettings = NitroSettings()
    gramine: GramineSettings = GramineSettings()
    coco: CocoSettings = CocoSettings()
    command: CommandSettings | None = None
    tpm: TpmSettings = TpmSettings()
    cache_bytes: int = Field(default=2**31, ge=2**20)
    keep_models: bool = True
    enclave: Annotated[str, StringConstraints(pattern=r"^(process|in-place|vsock:[0-9]{1,10}:[0-9]{1,10})$")] = (
        "process"
    )
    confinement: Literal["as-available", "strict"] = "as-available"

    @property
    def tpm_place(self) -> TpmPlace:
        """The TPM, and where its files stand."""
        return TpmPlace(self.tpm, self.folder, self.path(self.state))


def access_of(path: Path) -> OperatorSettings:
    """The fleet and the `[broker]` of any party's settings, or of `operator.toml`. Raises `ConfigurationError`."""
    values = read_toml(path)
    known = {name: values[name] for name in OperatorSettings.model_fields if name in values}
    return OperatorSettings.of_file(path, known)
