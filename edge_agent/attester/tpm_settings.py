"""What an agent's configuration says of its TPM, and where the TPM's files stand."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from edge_agent.attester.settings import AttesterSettings

EkAlgorithm = Literal["rsa", "ecc"]
Pcr = Annotated[int, Field(ge=0, le=23)]

DEFAULT_TCTI: Final = "device:/dev/tpmrm0"
BOOT_PCRS: Final = tuple(range(8))
"""The firmware's: code, configuration, boot loader, secure boot policy (TCG PC Client Firmware Profile §2.3.4)."""

BANK: Final = "sha256"
_DEVICE: Final = re.compile(r"device:/dev/tpm(?:rm)?(\d+)")
_SECURITY: Final = Path("/sys/kernel/security")


class TpmSettings(AttesterSettings):
    """`[tpm]`.

    `tcti`       how the TPM is reached; swtpm:host=127.0.0.1,port=2321 for one in software
    `key`        the attestation key's file, made by `sealedge tee identity`
    `ek`         which endorsement key stands above it: the one that the maker certified
    `pcr`        what the agent's measurement is extended into: 8 to 15, which nothing resets but a restart
    `pcrs`       the other PCRs that are quoted
    `record`     where it is kept what was extended since the boot; by default in the agent's state
    `seal_pcrs`  the PCRs, besides `pcr`, without whose present values the cache of models cannot be opened again
    """

    tcti: str = DEFAULT_TCTI
    key: Path = Path("ak.tpm")
    ek: EkAlgorithm = "rsa"
    pcr: Annotated[int, Field(ge=8, le=15)] = 15
    pcrs: tuple[Pcr, ...] = BOOT_PCRS
    record: Path | None = None
    seal_pcrs: tuple[Pcr, ...] = ()

    @property
    def quoted(self) -> tuple[int, ...]:
        """The PCRs that are quoted, in order: TPMs report them so."""
        return tuple(sorted({*self.pcrs, self.pcr}))

    @property
    def sealed_to(self) -> str:
        """The PCRs that the cache is sealed to, as tpm2-tools select them."""
        return selection({*self.seal_pcrs, self.pcr})

    @property
    def event_log(self) -> Path | None:
        """The kernel's log of the boot, where the TPM is this machine's own."""
        device = _DEVICE.fullmatch(self.tcti)
        return None if device is None else _SECURITY / f"tpm{device[1]}" / "binary_bios_measurements"


@dataclass(frozen=True, slots=True)
class TpmPlace:
    """A TPM and the files that belong to it: `folder` is the agent's, `state` what it may write."""

    settings: TpmSettings
    folder: Path
    state: Path

    @property
    def key(self) -> Path:
        """The attestation key."""
        return self.folder / self.settings.key

    @property
    def record(self) -> Path:
        """What was extended since the boot."""
        given = self.settings.record
        return self.state / "tpm-extended" if given is None else self.folder / given

    @property
    def sealed_key(self) -> Path:
        """The key of the model cache, sealed."""
        return self.state / "chunk-key.tpm"

    @property
    def sealing_secret(self) -> Path:
        """What the key that the enclave gets is derived from, sealed."""
        return self.state / "sealing-secret.tpm"


def selection(pcrs: set[int] | tuple[int, ...]) -> str:
    """These PCRs of the SHA-256 bank, as tpm2-tools select them."""
    return f"{BANK}:" + ",".join(str(pcr) for pcr in sorted(pcrs))
