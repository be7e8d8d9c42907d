"""What an agent's configuration says of each attester: one table a kind, named as the attester is.

Only the table of the attester that `attester` names is read; paths are full paths.
"""

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.kinds import Tier

Seconds = Annotated[float, Field(gt=0, le=60)]
"""How long the agent may wait for its TEE. It does nothing else meanwhile."""

Argument = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]

DEFAULT_TIMEOUT: Final = 10.0


class AttesterSettings(BaseModel):
    """The base of each table: what nothing reads is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class TsmSettings(AttesterSettings):
    """`[tsm]`. `privlevel` is the privilege level (SEV-SNP: VMPL) to report; without it, the lowest that is allowed."""

    folder: Path = Path("/sys/kernel/config/tsm/report")
    privlevel: int | None = Field(default=None, ge=0, le=3)


class NitroSettings(AttesterSettings):
    """`[nitro]`."""

    device: Path = Path("/dev/nsm")


class GramineSettings(AttesterSettings):
    """`[gramine]`."""

    folder: Path = Path("/dev/attestation")


class CocoSettings(AttesterSettings):
    """`[coco]`. `url` is that of the guest components' API server, on this machine."""

    url: str = "http://127.0.0.1:8006"
    timeout_seconds: Seconds = DEFAULT_TIMEOUT


class CommandSettings(AttesterSettings):
    """`[command]`: a program that signs. `kind` and `part` are names of `schemas.evidence`.

    Without `part` the program prints a JSON object of all parts, in base64. `tier` is needed only where evidence
    of a kind can reach several.
    """

    argv: tuple[Argument, ...] = Field(min_length=1, max_length=64)
    kind: str
    part: str | None = None
    tier: Tier | None = None
    timeout_seconds: Seconds = DEFAULT_TIMEOUT
