"""TPMs in software for tests: real commands to a real implementation (libtpms), no hardware."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from edge_agent.attester.tpm import TpmAttester
from edge_agent.attester.tpm_keys import Identity, MachineKeys
from edge_agent.attester.tpm_settings import TpmPlace, TpmSettings
from edge_agent.attester.tpm_tools import TpmTools
from protocol.cmw import unwrap_untrusted
from schemas.evidence import TPM
from sealedge.operations.demo.software_tpm import SoftwareTpm
from verifier.evidence.examination import Examination
from verifier.evidence.interface import TeeClaims
from verifier.evidence.tpm import TpmAppraiser

PACKAGES = {"swtpm": "swtpm", "tpm2": "tpm2-tools", "swtpm_setup": "swtpm-tools"}


def need(*programs: str) -> None:
    """Skip where one is missing; in CI, where all are installed, fail."""
    missing = [PACKAGES[program] for program in programs if shutil.which(program) is None]
    if missing:
        stop = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        stop(f"not installed: {', '.join(missing)}")


@dataclass
class Machine:
    """A TPM and an agent's files."""

    tpm: SoftwareTpm
    place: TpmPlace

    @property
    def tools(self) -> TpmTools:
        return TpmTools(self.place.settings.tcti)

    @property
    def keys(self) -> MachineKeys:
        return MachineKeys.of_place(self.place)

    def identify(self) -> Identity:
        return self.keys.identify()

    def attester(self, measurement: bytes) -> TpmAttester:
        return TpmAttester(self.place, measurement)

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """One tpm2 command, and the TPM cleared behind it."""
        with self.tools.desk() as desk:
            return desk.run(*arguments, stdin=stdin)

    def restart(self) -> None:
        """The machine is switched off and on: PCRs are zero, saved contexts void."""
        self.tpm.stop()
        self.tpm.start()

    def handles(self) -> str:
        """What is left behind in the TPM: objects and sessions."""
        with self.tools.desk() as desk:
            kinds = ("handles-transient", "handles-loaded-session", "handles-saved-session")
            return "".join(desk.run("getcap", kind).decode() for kind in kinds)

    def with_settings(self, **changes: object) -> "Machine":
        return Machine(self.tpm, replace(self.place, settings=self.place.settings.model_copy(update=changes)))

    def in_folder(self, folder: Path) -> "Machine":
        """Another agent's files on the same machine."""
        return Machine(self.tpm, replace(self.place, folder=folder, state=folder))


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """A machine that was just switched on, without an identity."""
    need("swtpm", "tpm2")
    with SoftwareTpm(folder / "tpm") as tpm:
        yield Machine(tpm, TpmPlace(TpmSettings(tcti=tpm.tcti), folder, folder))


def parts_of(evidence: bytes) -> dict[str, bytes]:
    return unwrap_untrusted(TPM, evidence)


def appraise(evidence: bytes) -> TeeClaims:
    """By the verifier's own appraiser, without endorsements."""
    examination = Examination()
    claims = TpmAppraiser(_Nothing()).appraise_untrusted(parts_of(evidence), 0.0, examination)
    assert examination.signature == "valid"
    return claims


class _Nothing:
    def find(self, name: str) -> bytes | None:
        return None
