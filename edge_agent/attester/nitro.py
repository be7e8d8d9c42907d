"""AWS Nitro Enclaves: one question to the Nitro Secure Module, one signed document for an answer.

    {"Attestation": {"nonce", "user_data", "public_key"}} ─ioctl─> {"Attestation": {"document"}} | {"Error": code}

The messages are CBOR; the device is /dev/nsm with one ioctl, of which both directions are iovecs
(include/uapi/linux/nsm.h, Linux 6.8). Report data travels in `nonce`, which takes up to 512 bytes.
"""

import ctypes
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge_agent.attester.attributes import why
from edge_agent.attester.collecting import collected
from edge_agent.attester.interface import AttesterError, check_report_data
from edge_agent.attester.settings import NitroSettings
from protocol.cbor import CborValue, decode_untrusted, encode
from protocol.errors import ConfigurationError, Finding, RemoteError
from schemas.evidence import NITRO
from schemas.kinds import Tier

MAX_RESPONSE: Final = 0x3000
"""NSM_RESPONSE_MAX_SIZE."""

Exchange = Callable[[bytes], bytes]
"""One request to the module, one response. Raises `OSError`."""


class IoVector(ctypes.Structure):
    """`struct nsm_iovec`: an address and a length in bytes, 64 bits each."""

    _fields_ = (("addr", ctypes.c_uint64), ("len", ctypes.c_uint64))


class Message(ctypes.Structure):
    """`struct nsm_raw`. The kernel sets the response's length to what it wrote."""

    _fields_ = (("request", IoVector), ("response", IoVector))


NSM_IOCTL_RAW: Final = 3 << 30 | ctypes.sizeof(Message) << 16 | 0x0A << 8 | 0
"""_IOWR(0x0A, 0x0, struct nsm_raw) as asm-generic/ioctl.h has it, which x86-64 and arm64 follow."""


class NitroAttester:
    """Attestation documents of the enclave that this process runs in."""

    name = "nitro"
    tier = Tier.NITRO
    media_type = NITRO.media_type

    def __init__(self, settings: NitroSettings, exchange: Exchange | None = None) -> None:
        """`exchange` stands in for the device. Raises `ConfigurationError` where the device is not, or not for us."""
        if exchange is None:
            _check_device(settings.device)
        self._device = settings.device
        self._exchange = exchange or self._ioctl

    def collect(self, report_data: bytes) -> bytes:
        """Evidence of kind `nitro`. Raises `AttesterError` where the module refuses, or answers something else."""
        check_report_data(report_data)
        asked: dict[str, CborValue] = {"nonce": report_data, "user_data": None, "public_key": None}
        try:
            response = self._exchange(encode({"Attestation": asked}))
        except OSError as error:
            raise AttesterError(f"nitro: {self._device}: {why(error)}") from None
        return collected(NITRO, {"doc": _document_untrusted(response)}, report_data)

    def _ioctl(self, request: bytes) -> bytes:
        asked = ctypes.create_string_buffer(request, len(request))
        answer = ctypes.create_string_buffer(MAX_RESPONSE)
        message = Message(
            IoVector(ctypes.addressof(asked), len(request)), IoVector(ctypes.addressof(answer), MAX_RESPONSE)
        )
        descriptor = os.open(self._device, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, NSM_IOCTL_RAW, message)
        finally:
            os.close(descriptor)
        return answer.raw[: min(message.response.len, MAX_RESPONSE)]

    def sealing_key(self, label: bytes) -> None:  # noqa: ARG002 - part of the interface
        """None: the module keeps nothing; AWS KMS would, over the network and under an AWS account."""
        return

    def __repr__(self) -> str:
        return f"NitroAttester({self._device})"


def _check_device(device: Path) -> None:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise ConfigurationError(f"nitro: {why(error)}: the agent must run inside a Nitro enclave") from None


def _document_untrusted(response: bytes) -> bytes:
    try:
        items = decode_untrusted(response, max_bytes=MAX_RESPONSE, max_depth=4, tags=frozenset())
    except RemoteError as error:
        raise AttesterError(f"nitro: the module's answer is not CBOR: {error}") from None
    attestation = items.get("Attestation") if isinstance(items, dict) else None
    document = attestation.get("document") if isinstance(attestation, dict) else None
    if not isinstance(document, bytes):
        said = items.get("Error") if isinstance(items, dict) else None
        finding = Finding("nsm", "an attestation document", str(said)[:64] if said else "another answer")
        raise AttesterError("nitro: the module gave no document", finding=finding)
    return document
