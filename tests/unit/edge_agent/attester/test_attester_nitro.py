"""The Nitro module, with a function in place of its device: no hardware was there."""

import ctypes
import errno
import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.attester import AttesterError, nitro
from edge_agent.attester.nitro import MAX_RESPONSE, NSM_IOCTL_RAW, IoVector, Message, NitroAttester
from edge_agent.attester.settings import NitroSettings
from protocol.cbor import decode_untrusted, encode
from protocol.cmw import unwrap_untrusted
from protocol.errors import ConfigurationError, ProtocolMisuseError
from schemas.evidence import NITRO
from schemas.kinds import Tier

REPORT_DATA = bytes(range(100, 164))


def module(document: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """A module that answers a nonce with this document."""

    def exchange(request: bytes) -> bytes:
        asked: Any = decode_untrusted(request)
        assert sorted(asked["Attestation"]) == ["nonce", "public_key", "user_data"]
        return encode({"Attestation": {"document": document(asked["Attestation"]["nonce"])}})

    return exchange


def attester_of(exchange: Callable[[bytes], bytes]) -> NitroAttester:
    return NitroAttester(NitroSettings(), exchange)


def test_the_nonce_is_report_data_and_the_document_the_evidence() -> None:
    """A function in place of the device: no hardware was there."""
    attester = attester_of(module(lambda nonce: b"signed " + nonce))
    assert unwrap_untrusted(NITRO, attester.collect(REPORT_DATA)) == {"doc": b"signed " + REPORT_DATA}
    assert (attester.tier, attester.media_type) == (Tier.NITRO, NITRO.media_type)


def test_a_document_over_another_nonce_does_not_leave() -> None:
    with pytest.raises(AttesterError, match="other report data"):
        attester_of(module(lambda _: b"signed")).collect(REPORT_DATA)


def test_the_modules_error_is_told() -> None:
    with pytest.raises(AttesterError, match="no document") as caught:
        attester_of(lambda _: encode({"Error": "InvalidOperation"})).collect(REPORT_DATA)
    assert "InvalidOperation" in caught.value.diagnostics


def test_a_device_that_fails_is_told() -> None:
    def exchange(_: bytes) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(AttesterError, match="/dev/nsm: Input/output error"):
        attester_of(exchange).collect(REPORT_DATA)


@given(st.binary(max_size=64) | st.sampled_from([encode({"Attestation": {"document": 1}}), encode([]), encode({})]))
def test_whatever_the_module_says_is_a_document_or_an_error(response: bytes) -> None:
    with pytest.raises(AttesterError):
        attester_of(lambda _: response).collect(REPORT_DATA)


def test_report_data_of_another_length_asks_nobody() -> None:
    with pytest.raises(ProtocolMisuseError):
        attester_of(lambda _: pytest.fail("asked")).collect(bytes(32))


# The device


def test_no_device_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="inside a Nitro enclave"):
        NitroAttester(NitroSettings(device=tmp_path / "nsm"))


def test_the_call_is_laid_out_as_the_kernels_header_has_it() -> None:
    """include/uapi/linux/nsm.h: two iovecs of two 64-bit words; 0xC0200A00 on x86-64 and arm64."""
    assert NSM_IOCTL_RAW == 0xC0200A00
    assert ctypes.sizeof(Message) == 32
    assert [getattr(Message, name).offset for name in ("request", "response")] == [0, 16]
    assert [getattr(IoVector, name).offset for name in ("addr", "len")] == [0, 8]


@pytest.mark.parametrize(("claimed", "read"), [(5, 5), (0, 0), (MAX_RESPONSE + 1, MAX_RESPONSE)])
def test_the_kernel_is_given_both_buffers_and_its_length_is_kept_within(
    claimed: int, read: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ioctl is played by a function that reads and writes where the kernel would: no hardware was there."""
    device = tmp_path / "nsm"
    device.write_bytes(b"")
    asked: list[bytes] = []

    def ioctl(_: int, number: int, message: Message) -> int:
        assert number == 0xC0200A00
        asked.append(ctypes.string_at(message.request.addr, message.request.len))
        assert message.response.len == MAX_RESPONSE
        ctypes.memmove(message.response.addr, b"hello", 5)
        message.response.len = claimed
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    attester = NitroAttester(NitroSettings(device=device))
    answer = attester._ioctl(b"request")
    assert asked == [b"request"]
    assert (len(answer), answer[:5]) == (read, b"hello"[:read])
    assert nitro.MAX_RESPONSE == 0x3000
