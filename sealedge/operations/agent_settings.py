"""`agent.toml`: a file of its own, so that an agent imports nothing of what verifiers and publishers are told."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from edge_agent.attester.settings import CocoSettings, CommandSettings, GramineSettings, NitroSettings, TsmSettings
from edge_agent.attester.tpm_settings import TpmPlace, TpmSettings
from schemas.base import Name
from sealedge.operations.party_settings import PartySettings


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
