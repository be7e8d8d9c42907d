"""SGX under Gramine: write the report data to one file of /dev/attestation, read the quote from another.

Gramine shows these files to the program that it runs, and to nobody outside (Gramine's manual, "Attestation and
Secret Provisioning"). The quote is one of DCAP, version 3, with the PCK certificates in it.
"""

from pathlib import Path
from typing import Final

from edge_agent.attester.attributes import read_attribute, read_line, why, write_attribute
from edge_agent.attester.collecting import collected
from edge_agent.attester.interface import AttesterError, check_report_data, derived_sealing_key
from edge_agent.attester.settings import GramineSettings
from protocol.errors import ConfigurationError, Finding
from schemas.evidence import SGX
from schemas.kinds import Tier

MAX_QUOTE: Final = 65_536
SEAL_KEY: Final = "keys/_sgx_mrenclave"
MAX_SEAL_KEY: Final = 64
DCAP: Final = "dcap"


def attestation_type(folder: Path) -> str:
    """How Gramine attests: `dcap`, `none`, or `epid` of old. Raises `OSError` where there is no Gramine."""
    return read_line(folder / "attestation_type")


class GramineAttester:
    """Quotes of the enclave that this process runs in."""

    name = "gramine"
    tier = Tier.SGX
    media_type = SGX.media_type

    def __init__(self, settings: GramineSettings) -> None:
        """Raises `ConfigurationError` where Gramine is not, or was not told to attest by DCAP."""
        self._folder = settings.folder
        try:
            found = attestation_type(settings.folder)
        except OSError as error:
            raise ConfigurationError(f"gramine: {why(error)}: the agent must run inside Gramine, on SGX") from None
        if found != DCAP:
            finding = Finding("attestation_type", DCAP, found[:32])
            raise ConfigurationError(
                'gramine: it does not attest: its manifest needs sgx.remote_attestation = "dcap"', finding=finding
            )

    def collect(self, report_data: bytes) -> bytes:
        """Evidence of kind `sgx`. Raises `AttesterError` where Gramine, or the quoting enclave behind it, fails."""
        check_report_data(report_data)
        try:
            write_attribute(self._folder / "user_report_data", report_data)
            quote = read_attribute(self._folder / "quote", max_bytes=MAX_QUOTE)
        except OSError as error:
            raise AttesterError(f"gramine: {why(error)}") from None
        return collected(SGX, {"quote": quote}, report_data)

    def sealing_key(self, label: bytes) -> bytes | None:
        """From the CPU's seal key for this MRENCLAVE (EGETKEY, 128 bits): another enclave or processor has another.

        None where Gramine does not show it (before version 1.5). The manifest must not mount encrypted files under
        the same key: Gramine's manual wants a key used for one purpose. Raises `AttesterError`.
        """
        path = self._folder / SEAL_KEY
        try:
            secret = read_attribute(path, max_bytes=MAX_SEAL_KEY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AttesterError(f"gramine: {why(error)}") from None
        return derived_sealing_key(secret, label)

    def __repr__(self) -> str:
        return f"GramineAttester({self._folder})"
