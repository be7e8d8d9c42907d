"""The kernel's own report interface: SEV-SNP, TDX and Arm CCA guests by one folder of configfs (Linux 6.7).

    mkdir report/NAME, write `inblob` ─> read `outblob`, `auxblob` ─> the same `generation`? ─> rmdir

Every write counts `generation` on, so that a report that somebody else had made through our entry is noticed
(Documentation/ABI/testing/configfs-tsm-report). The folder is root's: the agent runs as root, or its group was
given the folder.
"""

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.attester.attributes import read_attribute, read_line, why, write_attribute
from edge_agent.attester.collecting import TIERS, collected
from edge_agent.attester.interface import REPORT_DATA_BYTES, AttesterError, check_report_data, derived_sealing_key
from edge_agent.attester.settings import TsmSettings
from edge_agent.attester.sev_certificates import endorsing_parts, parse_certificate_table
from edge_agent.attester.sev_sealing import Exchange, derived_key
from protocol.errors import ConfigurationError, Finding
from schemas.evidence import CCA, SNP, TDX, EvidenceFormat

MAX_BLOB: Final = 1 << 17
ATTEMPTS: Final = 3
"""How often a report is asked for while something else keeps writing to the entry."""

PROVIDERS: Final[Mapping[str, tuple[EvidenceFormat, str]]] = {
    "sev_guest": (SNP, "report"),
    "tdx_guest": (TDX, "quote"),
    "arm_cca_guest": (CCA, "token"),
}
"""Kind of evidence, and the part that `outblob` is, by the kernel's name of its driver."""


class Entry:
    """One entry of the folder: a request, and the report on it."""

    def __init__(self, path: Path) -> None:
        """Make the entry. Raises `OSError`."""
        self.path = path
        path.mkdir(mode=0o700)

    def line(self, name: str) -> str | None:
        """A text attribute; None where this provider has none of the name. Raises `OSError`."""
        try:
            return read_line(self.path / name)
        except FileNotFoundError:
            return None

    def blob(self, name: str) -> bytes:
        """A binary attribute; empty where this provider has none of the name. Raises `OSError`."""
        try:
            return read_attribute(self.path / name, max_bytes=MAX_BLOB)
        except FileNotFoundError:
            return b""

    def write(self, name: str, data: bytes) -> None:
        """Raises `OSError`."""
        write_attribute(self.path / name, data)

    def remove(self) -> None:
        """Raises `OSError`. The kernel takes the attributes away with the entry."""
        self.path.rmdir()


MakeEntry = Callable[[Path], Entry]


@dataclass(frozen=True, slots=True)
class _Blobs:
    outblob: bytes
    auxblob: bytes


class TsmAttester:
    """Reports of the confidential VM that this process runs in."""

    name = "tsm"

    def __init__(self, settings: TsmSettings, make_entry: MakeEntry = Entry, exchange: Exchange | None = None) -> None:
        """`make_entry` and `exchange` stand in for the kernel.

        Raises `ConfigurationError` where there is no TEE, or not for us.
        """
        self._settings, self._make_entry, self._exchange = settings, make_entry, exchange
        self._form, self._part = self._provided()
        self.tier = TIERS[self._form.name][0]
        self.media_type = self._form.media_type

    def collect(self, report_data: bytes) -> bytes:
        """Evidence of kind `snp`, `tdx` or `cca`. Raises `AttesterError` where the TEE fails, or is kept from it.

        The kernel bounds how long it waits for the TEE: 30 s for TDX (`GETQUOTE_TIMEOUT`).
        """
        check_report_data(report_data)
        try:
            blobs = self._report(report_data)
        except OSError as error:
            raise AttesterError(f"tsm: {why(error)}") from None
        parts = {self._part: blobs.outblob}
        if self._form is SNP:
            parts |= endorsing_parts(parse_certificate_table(blobs.auxblob))
        return collected(self._form, parts, report_data)

    def sealing_key(self, label: bytes) -> bytes | None:
        """On SEV-SNP from the processor (`sev_sealing`); None for TDX and CCA, which have no such key.

        Raises `AttesterError` where the TEE fails.
        """
        if self._form is not SNP:
            return None
        try:
            report = self._report(bytes(REPORT_DATA_BYTES)).outblob
        except OSError as error:
            raise AttesterError(f"tsm: {why(error)}") from None
        secret = derived_key(report, self._settings.privlevel or 0, self._exchange)
        return None if secret is None else derived_sealing_key(secret, label)

    def _provided(self) -> tuple[EvidenceFormat, str]:
        try:
            provider = provider_of(self._settings.folder, self._make_entry)
        except OSError as error:
            raise ConfigurationError(f"tsm: {why(error)}: needs a confidential VM, Linux 6.7, and root") from None
        found = PROVIDERS.get(provider)
        if found is None:
            finding = Finding("provider", " or ".join(sorted(PROVIDERS)), provider[:64] or "none")
            raise ConfigurationError("tsm: no TEE that is known here", finding=finding)
        return found

    def _report(self, report_data: bytes) -> _Blobs:
        for _ in range(ATTEMPTS):
            with _entry_in(self._settings.folder, self._make_entry) as entry:
                blobs = self._report_once(entry, report_data)
            if blobs is not None:
                return blobs
        finding = Finding("generation", "our own writes alone", f"others in {ATTEMPTS} attempts")
        raise AttesterError("tsm: something else keeps writing to the agent's entries", finding=finding)

    def _report_once(self, entry: Entry, report_data: bytes) -> _Blobs | None:
        """None where another write than ours was counted."""
        expected = _generation(entry)
        privlevel = self._privlevel(entry)
        if privlevel is not None:
            entry.write("privlevel", str(privlevel).encode())
            expected += 1
        entry.write("inblob", report_data)
        expected += 1
        blobs = _Blobs(entry.blob("outblob"), entry.blob("auxblob"))
        return blobs if _generation(entry) == expected else None

    def _privlevel(self, entry: Entry) -> int | None:
        """What was configured; else the floor, where the kernel's default of 0 is below it."""
        if self._settings.privlevel is not None:
            return self._settings.privlevel
        floor = entry.line("privlevel_floor")
        return None if floor in {None, "", "0"} else _number("privlevel_floor", floor)

    def __repr__(self) -> str:
        return f"TsmAttester({self._form.name})"


def provider_of(folder: Path, make_entry: MakeEntry = Entry) -> str:
    """The kernel's name of the driver behind this folder; empty for none. Raises `OSError`."""
    with _entry_in(folder, make_entry) as entry:
        return entry.line("provider") or ""


@contextmanager
def _entry_in(folder: Path, make_entry: MakeEntry) -> Iterator[Entry]:
    entry = make_entry(folder / f"sealedge-{os.getpid()}-{secrets.token_hex(8)}")
    try:
        yield entry
    finally:
        entry.remove()


def _generation(entry: Entry) -> int:
    return _number("generation", entry.line("generation"))


def _number(name: str, text: str | None) -> int:
    if text is None or not text.isascii() or not text.isdigit():
        raise AttesterError(f"tsm: {name} is no number", finding=Finding(name, "a number", str(text)[:32]))
    return int(text)
