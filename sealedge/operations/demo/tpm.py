"""The demo's TPM: one in software for the agent, or this machine's own, enrolled as the operator of a fleet does it."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.attester.tpm_settings import DEFAULT_TCTI
from schemas.kinds import Role
from sealedge.operations.demo.kept import demo_folder
from sealedge.operations.demo.software_tpm import SoftwareTpm
from sealedge.operations.enrol import enrol_chips
from sealedge.operations.fleet import Fleet
from sealedge.operations.settings import AgentSettings
from sealedge.operations.tpm_challenge import accept_answer, challenge
from sealedge.operations.tpm_machine import activate, identify
from storage.files import read_text, write_private

TCTI_VARIABLE: Final = "SEALEDGE_TPM__TCTI"
"""Leads to a TPM that is there already: the variable of the setting [tpm] tcti, so that the agent reads it too."""


@dataclass(frozen=True, slots=True)
class EnrolledTpm:
    """`about` names it in words; `chip` is what the agent's enrolment lists by now."""

    about: str
    chip: bytes


@contextmanager
def enrolled_tpm(fleet: Fleet, agent: str, folder: Path) -> Iterator[EnrolledTpm]:
    """A TPM for this agent, enrolled in the fleet. One in software lives in `folder`, and as long as the `with` block.

    Raises `ConfigurationError` where swtpm or tpm2-tools are missing, `TransportError`, `TpmError`.
    """
    path = fleet.folder.settings(Role.AGENT, agent)
    given = os.environ.get(TCTI_VARIABLE)
    if given is not None:
        # The fleet goes, and what was extended stays until this machine is restarted.
        record = demo_folder() / f"tpm-extended-{hashlib.sha256(given.encode()).hexdigest()[:16]}"
        _replace(path, "[tpm]", f"[tpm]\nrecord = {json.dumps(str(record))}")
        yield EnrolledTpm(f"the TPM at {given}", _enrol(fleet, agent))
        return
    with SoftwareTpm(folder) as tpm:
        _replace(path, DEFAULT_TCTI, tpm.tcti)
        yield EnrolledTpm("a TPM (here swtpm, a software TPM)", _enrol(fleet, agent))


def _replace(path: Path, old: str, new: str) -> None:
    """As a person would edit the agent's settings."""
    write_private(path, read_text(path).replace(old, new).encode())


def _enrol(fleet: Fleet, agent: str) -> bytes:
    """Identity, challenge, answer, enrolment: without files, since both sides are here."""
    settings = AgentSettings.load(fleet.folder.settings(Role.AGENT, agent))
    identity, now = identify(settings), time.time()
    asked = challenge(fleet.folder, identity, None, now=now, randomness=os.urandom)
    chip = accept_answer(fleet.folder, activate(settings, asked.challenge), now)
    enrol_chips(fleet, agent, [chip], now=now, randomness=os.urandom)
    return chip
