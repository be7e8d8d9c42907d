"""TPM evidence as others store it, as the parts of `schemas.evidence.TPM`. Converting trusts and checks nothing."""

import json
from collections.abc import Mapping
from typing import Final

from protocol.errors import Finding, MalformedError
from verifier.evidence.documents import (
    base64_untrusted,
    hex_untrusted,
    json_object_untrusted,
    list_untrusted,
    object_untrusted,
)
from verifier.evidence.tpm_pcrs import PcrValues, listed_values
from verifier.evidence.tpm_structures import quote_untrusted

MAX_PCRS: Final = 24

_BANKS: Final = ("sha256", "sha384", "sha512", "sha1")
"""Of several quotes in one folder, which is read."""


def parts_from_trustee_json(data: bytes) -> dict[str, bytes]:
    """The parts of a TPM evidence document of Confidential Containers' Trustee.

    `{"ak_public": base64 of SPKI, "tpm_quote": {"message", "signature": base64, "pcrs": [hex, from PCR 0 on]}}`.
    Raises `MalformedError`, `UnsupportedError`.
    """
    document = json_object_untrusted(data, "json")
    quoted = object_untrusted(document.get("tpm_quote"), "json.tpm_quote")
    message = base64_untrusted(quoted.get("message"), "json.tpm_quote.message")
    values = list_untrusted(quoted.get("pcrs"), "json.tpm_quote.pcrs", MAX_PCRS)
    listed = listed_values([hex_untrusted(value, "json.tpm_quote.pcrs") for value in values], quote_untrusted(message))
    return {
        "quote": message,
        "sig": base64_untrusted(quoted.get("signature"), "json.tpm_quote.signature"),
        "pcrs": _pcrs(listed),
        "ak": base64_untrusted(document.get("ak_public"), "json.ak_public"),
    }


def _pcrs(values: PcrValues) -> bytes:
    return json.dumps(
        {bank: {str(i): value.hex() for i, value in found.items()} for bank, found in values.items()}
    ).encode()


def parts_from_gce_folder(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The parts of a folder of Google's go-tpm-tools, by file name: the quote of the strongest usual bank.

    `quote_{bank}.tpms_attest`, `quote_{bank}.tpmt_signature`, `pcrs_{bank}.json`, `ak.tpmt_public` (or `ak.pem`) and
    `eventlog.bin`. Raises `MalformedError` where one is missing.
    """
    bank = next((each for each in _BANKS if f"quote_{each}.tpms_attest" in files), _BANKS[0])
    names = {
        "quote": f"quote_{bank}.tpms_attest",
        "sig": f"quote_{bank}.tpmt_signature",
        "pcrs": f"pcrs_{bank}.json",
        "ak": "ak.tpmt_public" if "ak.tpmt_public" in files else "ak.pem",
    }
    missing = [name for name in names.values() if name not in files]
    if missing:
        raise MalformedError("the folder is not whole", finding=Finding("dir", ", ".join(missing), "not there"))
    log = {"eventlog": files["eventlog.bin"]} if "eventlog.bin" in files else {}
    return {part: files[name] for part, name in names.items()} | log
