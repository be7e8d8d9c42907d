"""Confidential Containers: the guest components of the pod's VM, asked through their API server on loopback.

    GET /info                                                  which TEE: {"tee": "snp", ...}
    GET /aa/evidence?runtime_data=BASE64URL&encoding=base64    its evidence, as JSON of a shape of its own

Checked against github.com/confidential-containers/guest-components (api-server-rest at 095b098): the attestation
agent hands runtime data to the TEE as it is and pads it with zeroes, so that 64 bytes arrive unchanged, and 32 in a
TPM's quote. Without `encoding` the bytes would have to be UTF-8, which report data is not: older servers, which do
not know it, sign its letters, and are refused here. An SVSM makes the agent sign a hash of runtime data and manifest:
refused here, too.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from edge_agent.attester.attributes import why
from edge_agent.attester.collecting import collected, reported
from edge_agent.attester.interface import AttesterError, check_report_data
from edge_agent.attester.loopback import LoopbackService
from edge_agent.attester.settings import CocoSettings
from edge_agent.attester.sev_certificates import endorsing_parts
from edge_agent.attester.sev_json import byte_string, certificates_of_json, report_of_json
from protocol.errors import ConfigurationError, Finding
from schemas.evidence import AZURE_VTPM, CCA, SGX, SNP, TDX, EvidenceFormat
from schemas.kinds import Tier

_SIMULATED: Final = frozenset({"sample", "sampledevice"})


class CocoAttester:
    """Evidence of the confidential VM around this container."""

    name = "coco"

    def __init__(self, settings: CocoSettings) -> None:
        """Asks which TEE there is. Raises `ConfigurationError` where nobody answers, or names none that is known."""
        self._service = LoopbackService.of_url(settings.url, settings.timeout_seconds)
        self._tee = self._announced()
        self._form, self.tier, self._parts = _TEES[self._tee]
        self.media_type = self._form.media_type

    def collect(self, report_data: bytes) -> bytes:
        """Evidence of kind `snp`, `tdx`, `sgx`, `cca` or `azure-vtpm`. Raises `AttesterError`."""
        check_report_data(report_data)
        # A TPM's quote has no room for 64 bytes.
        given = reported(report_data) if self._form is AZURE_VTPM else report_data
        encoded = base64.urlsafe_b64encode(given).rstrip(b"=").decode()
        try:
            reply = self._service.ask("/aa/evidence", {"runtime_data": encoded, "encoding": "base64"})
        except OSError as error:
            raise AttesterError(f"coco: {self._shown}: {why(error)}") from None
        return collected(self._form, self._parts(reply), report_data)

    def _announced(self) -> str:
        try:
            said = json_object(self._service.ask("/info", {})).get("tee")
        except OSError as error:
            message = f"coco: {self._shown}: {why(error)}: the guest components' API server is not there"
            raise ConfigurationError(message) from None
        except AttesterError as error:
            raise ConfigurationError(f"coco: {self._shown}/info: {error}") from None
        # Spelt in several ways over the years, for a time with JSON's own quotes around it.
        tee = "".join(each for each in said.lower() if each.isalnum()) if isinstance(said, str) else "none"
        if tee in _SIMULATED:
            raise ConfigurationError("coco: the guest components found no TEE: their sample proves nothing")
        if tee not in _TEES:
            finding = Finding("tee", " or ".join(sorted(_TEES)), tee[:32])
            raise ConfigurationError("coco: a TEE that is not known here, or none is named", finding=finding)
        return tee

    @property
    def _shown(self) -> str:
        return f"{self._service.host}:{self._service.port}"

    def sealing_key(self, label: bytes) -> None:  # noqa: ARG002 - part of the interface
        """None: the guest components derive no key without a key broker."""
        return

    def __repr__(self) -> str:
        return f"CocoAttester({self._shown}, {self._tee})"


def json_object(text: bytes) -> Mapping[str, Any]:
    """A JSON object. Raises `AttesterError`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise AttesterError("coco: the answer is not JSON") from None
    if not isinstance(found, dict):
        raise AttesterError("coco: the answer is no JSON object")
    return found


def _snp(reply: bytes) -> dict[str, bytes]:
    found = json_object(reply)
    if found.get("svsm_manifest") is not None:
        raise AttesterError("coco: an SVSM stands between: what the TEE signs is a hash of the agent's own")
    report = report_of_json(found.get("attestation_report"))
    return {"report": report, **endorsing_parts(certificates_of_json(found.get("cert_chain")))}


def _quote(reply: bytes) -> dict[str, bytes]:
    return {"quote": _base64(json_object(reply), "quote")}


def _tdx(reply: bytes) -> dict[str, bytes]:
    found = json_object(reply)
    parts = {"quote": _base64(found, "quote")}
    if found.get("cc_eventlog") is not None:
        parts["eventlog"] = _base64(found, "cc_eventlog")
    return parts


def _cca(reply: bytes) -> dict[str, bytes]:
    return {"token": byte_string("token", json_object(reply).get("token"))}


def _azure(reply: bytes) -> dict[str, bytes]:
    """As it is: the verifier reads this shape itself."""
    json_object(reply)
    return {"evidence": reply}


def _base64(found: Mapping[str, Any], name: str) -> bytes:
    value = found.get(name)
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise AttesterError(f"coco: {name} is not base64", finding=Finding(name, "text in base64", type(value).__name__))


_TEES: Final[Mapping[str, tuple[EvidenceFormat, Tier, Callable[[bytes], dict[str, bytes]]]]] = {
    "snp": (SNP, Tier.SEV_SNP, _snp),
    "tdx": (TDX, Tier.TDX, _tdx),
    "sgx": (SGX, Tier.SGX, _quote),
    "cca": (CCA, Tier.CCA, _cca),
    "azsnpvtpm": (AZURE_VTPM, Tier.AZURE_SEV_SNP, _azure),
    "aztdxvtpm": (AZURE_VTPM, Tier.AZURE_TDX, _azure),
}
"""By the guest components' own word (`kbs_types::Tee`): its letters alone, in lower case."""
