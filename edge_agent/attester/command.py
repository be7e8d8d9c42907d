"""Any program that takes report data and prints evidence: OP-TEE's, a vendor's tool.

    stdin                   64 bytes of report data
    SEALEDGE_REPORT_DATA    the same in hexadecimal, and in place of {report_data_hex} in an argument
    stdout                  the evidence: the bytes of one part, or a JSON object of parts in base64
    stderr                  its last line stands in the error where the exit code is not 0

The program is run directly, never by a shell, with next to no environment, in a session of its own that is
ended with it. It is trusted no more than any attester: the verifier appraises what it prints.
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edge_agent.attester.collecting import TIERS, collected
from edge_agent.attester.interface import AttesterError, check_report_data
from edge_agent.attester.program import Finished, run_program
from edge_agent.attester.settings import CommandSettings
from protocol.errors import ConfigurationError, Finding
from schemas.evidence import FORMATS, EvidenceFormat
from schemas.kinds import Tier

MAX_OUTPUT: Final = 1 << 17
PLACEHOLDER: Final = "{report_data_hex}"
VARIABLE: Final = "SEALEDGE_REPORT_DATA"
ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class CommandAttester:
    """Evidence by a program of the machine's owner."""

    name = "command"

    def __init__(self, settings: CommandSettings) -> None:
        """Raises `ConfigurationError` for a program that is not there, or a kind, part or tier that does not exist."""
        self._settings = settings
        _check_program(settings.argv[0])
        self._form = _form(settings.kind)
        if settings.part is not None and self._form.part(settings.part) is None:
            names = " or ".join(part.name for part in self._form.parts)
            finding = Finding("command.part", names, settings.part[:64])
            raise ConfigurationError(f"command: {self._form.name} evidence has no such part", finding=finding)
        self.tier = _tier(settings)
        self.media_type = self._form.media_type

    def collect(self, report_data: bytes) -> bytes:
        """What the program printed, as evidence. Raises `AttesterError` where it fails, is late or prints too much."""
        check_report_data(report_data)
        shown = report_data.hex()
        argv = [each.replace(PLACEHOLDER, shown) for each in self._settings.argv]
        finished = run_program(
            argv,
            report_data,
            environment=ENVIRONMENT | {VARIABLE: shown},
            timeout=self._settings.timeout_seconds,
            max_output=MAX_OUTPUT,
        )
        self._check(finished)
        return collected(self._form, self._parts(finished.output), report_data)

    def _check(self, finished: Finished) -> None:
        if finished.code != 0:
            finding = Finding("exit code", "0", str(finished.code))
            raise AttesterError(f"command: {self._settings.argv[0]}: {finished.last_line}", finding=finding)

    def _parts(self, output: bytes) -> Mapping[str, bytes]:
        if self._settings.part is not None:
            return {self._settings.part: output}
        return parts_of_json(self._form, output)

    def sealing_key(self, label: bytes) -> None:  # noqa: ARG002 - part of the interface
        """None: the program signs, and is asked for nothing else."""
        return

    def __repr__(self) -> str:
        return f"CommandAttester({self._settings.argv[0]}, {self._form.name})"


def parts_of_json(form: EvidenceFormat, text: bytes) -> dict[str, bytes]:
    """The parts of a JSON object whose values are base64 (RFC 4648 §4). Raises `AttesterError`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise AttesterError("command: the program printed no JSON") from None
    if not isinstance(found, dict) or not found:
        raise AttesterError("command: the program printed no JSON object of parts")
    parts = {}
    for name, value in found.items():
        if form.part(name) is None:
            finding = Finding("part", " or ".join(part.name for part in form.parts), name[:64])
            raise AttesterError(f"command: {form.name} evidence has no such part", finding=finding)
        parts[name] = _decoded(name, value)
    return parts


def _decoded(name: str, value: object) -> bytes:
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise AttesterError(f"command: {name} is not base64", finding=Finding(name, "text in base64", type(value).__name__))


def _check_program(program: str) -> None:
    path = Path(program)
    if not path.is_absolute():
        finding = Finding("command.argv", "a full path", program[:64])
        raise ConfigurationError("command: the program is looked for nowhere", finding=finding)
    if not path.is_file() or not os.access(path, os.X_OK):
        raise ConfigurationError(f"command: {path}: is no program that this user can run")


def _form(kind: str) -> EvidenceFormat:
    form = FORMATS.get(kind) if kind in TIERS else None
    if form is None:
        finding = Finding("command.kind", " or ".join(sorted(TIERS)), kind[:64])
        raise ConfigurationError("command: no such kind of evidence", finding=finding)
    return form


def _tier(settings: CommandSettings) -> Tier:
    tiers = TIERS[settings.kind]
    if settings.tier is None and len(tiers) == 1:
        return tiers[0]
    if settings.tier in tiers:
        return settings.tier
    finding = Finding("command.tier", " or ".join(tiers), str(settings.tier or "none"))
    raise ConfigurationError(f"command: a tier that {settings.kind} evidence can reach is needed", finding=finding)
