"""The TPM 2.0 of a machine as attester: a quote over the boot's PCRs and the agent's own, by a restricted key.

It proves which machine this is and what was measured; it hides nothing from whoever owns the machine: the enclave's
memory is open to root, and so `tpm` is a tier of its own.
"""

import json
import os
from pathlib import Path
from typing import Final

from edge_agent.attester.collecting import collected, reported
from edge_agent.attester.interface import SEALING_KEY_BYTES, check_report_data, derived_sealing_key
from edge_agent.attester.tpm_keys import MachineKeys
from edge_agent.attester.tpm_measuring import DIGEST_BYTES, extend_once
from edge_agent.attester.tpm_sealing import TpmSealer
from edge_agent.attester.tpm_settings import BANK, TpmPlace, selection
from edge_agent.attester.tpm_tools import TpmError
from protocol.errors import ConfigurationError, Finding, RemoteError
from schemas.evidence import TPM
from schemas.kinds import Tier
from schemas.reason import Reason
from storage.files import read_private, write_private

MAX_EVENT_LOG: Final = 98_304
"""Bytes of an event log that travels along; all evidence together has at most 131,072."""

_MAX_SEALED: Final = 4096


class TpmAttester:
    """Quotes with the AK. Extends `measurement` (32 bytes) into its PCR first, once a boot."""

    name = "tpm"
    tier = Tier.TPM
    media_type = TPM.media_type

    def __init__(self, place: TpmPlace, measurement: bytes) -> None:
        """Raises `ConfigurationError` (no tpm2-tools, no AK, a PCR that others use too), `TpmError`."""
        if len(measurement) != DIGEST_BYTES:
            finding = Finding("measurement", f"{DIGEST_BYTES} bytes", f"{len(measurement)} bytes")
            raise ConfigurationError("a measurement is a SHA-256", finding=finding)
        self._place, self._measurement = place, measurement
        self._quoted, self._pcr = place.settings.quoted, place.settings.pcr
        self._keys = MachineKeys.of_place(place)
        self._ak = self._keys.read()
        self._prepare()

    @property
    def chip(self) -> bytes:
        """SHA-256 of the AK's SubjectPublicKeyInfo: what an enrolment must list."""
        return self._ak.chip

    def collect(self, report_data: bytes) -> bytes:
        """A quote whose extraData is SHA-256(report data): a TPM takes no 64 bytes. A CMW collection.

        Raises `ProtocolMisuseError` unless `report_data` has 64 bytes, `TpmError`, `ConfigurationError`.
        """
        check_report_data(report_data)
        try:
            parts = self._quote(reported(report_data))
        except TpmError as error:
            if error.reason is Reason.TIMEOUT:
                raise
            # A TPM that was reset knows neither the key's context nor the agent's measurement any more.
            self._prepare()
            parts = self._quote(reported(report_data))
        return collected(TPM, parts, report_data)

    def sealing_key(self, label: bytes) -> bytes:
        """From a secret that the TPM unseals while the agent's PCR, and those of `seal_pcrs`, hold what they held.

        A new secret where none was sealed yet, or the old one stays sealed: then what it kept opens no more. Raises
        `TpmError`, `ConfigurationError`.
        """
        path = self._place.sealing_secret
        sealer = TpmSealer(self._keys.tools, self._place.settings.sealed_to)
        secret = _unsealed(sealer, path)
        if secret is None:
            secret = os.urandom(SEALING_KEY_BYTES)
            write_private(path, sealer.seal(secret))
        return derived_sealing_key(secret, label)

    def _prepare(self) -> None:
        with self._keys.tools.desk() as desk:
            self._extended = extend_once(desk, self._pcr, self._place.record, self._measurement)
        self._context = self._keys.load()

    def _quote(self, nonce: bytes) -> dict[str, bytes]:
        with self._keys.tools.desk() as desk:
            desk.write("ak.ctx", self._context)
            what = ("-c", "ak.ctx", "-g", BANK, "-q", nonce.hex(), "-l", selection(self._quoted))
            desk.run("quote", "-Q", *what, "-m", "quote", "-s", "sig", "-o", "pcrs", "-F", "values")
            parts = {name: desk.read(name) for name in ("quote", "sig")}
            parts["pcrs"] = self._values(desk.read("pcrs"))
        parts["ak"] = self._ak.public
        parts["measurements"] = bytes([self._pcr]) + b"".join(self._extended)
        log = _read_event_log(self._place.settings.event_log)
        return parts if log is None else {**parts, "eventlog": log}

    def _values(self, values: bytes) -> bytes:
        """The quoted values, which tpm2_quote has compared with the quote, as JSON: {"sha256": {"0": hex}}."""
        if len(values) != DIGEST_BYTES * len(self._quoted):
            raise TpmError(f"the TPM has not all of {selection(self._quoted)}")
        starts = range(0, len(values), DIGEST_BYTES)
        found = {
            str(pcr): values[start : start + DIGEST_BYTES].hex()
            for pcr, start in zip(self._quoted, starts, strict=True)
        }
        return json.dumps({BANK: found}, separators=(",", ":")).encode()

    def __repr__(self) -> str:
        return f"TpmAttester(chip={self.chip.hex()[:16]})"


def _unsealed(sealer: TpmSealer, path: Path) -> bytes | None:
    """None where there is nothing that this TPM gives back now. Raises `TpmError` where it does not answer."""
    if not path.exists():
        return None
    try:
        secret = sealer.unseal(read_private(path, max_bytes=_MAX_SEALED))
    except (TpmError, RemoteError) as error:
        if error.reason in {Reason.TIMEOUT, Reason.CONFIGURATION}:
            raise
        return None
    return secret if len(secret) == SEALING_KEY_BYTES else None


def _read_event_log(path: Path | None) -> bytes | None:
    """Of the boot, if this user may read it and it is small enough. Without it the PCRs speak for themselves."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            log = file.read(MAX_EVENT_LOG + 1)
    except OSError:
        return None
    return log if 0 < len(log) <= MAX_EVENT_LOG else None
