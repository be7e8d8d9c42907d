"""A key that an AMD SEV-SNP guest gets from its processor, the same at each start: MSG_KEY_REQ by /dev/sev-guest.

The key follows from the chip's VCEK, and from what is mixed in: the guest's policy, its launch measurement, and the
TCB that the platform is committed to (SEV-SNP Firmware ABI, "Guest Messages", MSG_KEY_REQ). Another chip, another
image, or firmware that was updated since, gives another key. Structures: include/uapi/linux/sev-guest.h.
"""

import ctypes
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge_agent.attester.attributes import why
from edge_agent.attester.interface import AttesterError

DEVICE: Final = Path("/dev/sev-guest")
KEY_BYTES: Final = 32

FROM_VCEK: Final = 0
MIXED: Final = 1 << 0 | 1 << 3 | 1 << 5
"""GUEST_FIELD_SELECT: guest policy, measurement, TCB version."""

COMMITTED_TCB: Final = slice(0x1E0, 0x1E8)
"""Of an attestation report (ATTESTATION_REPORT, offset 1E0h): the firmware never goes back below it."""

_MESSAGE_VERSION: Final = 1
_STATUS: Final = slice(0, 4)
_KEY: Final = slice(0x20, 0x20 + KEY_BYTES)


class KeyRequest(ctypes.Structure):
    """`struct snp_derived_key_req`."""

    _fields_ = (
        ("root_key_select", ctypes.c_uint32),
        ("rsvd", ctypes.c_uint32),
        ("guest_field_select", ctypes.c_uint64),
        ("vmpl", ctypes.c_uint32),
        ("guest_svn", ctypes.c_uint32),
        ("tcb_version", ctypes.c_uint64),
    )


class KeyResponse(ctypes.Structure):
    """`struct snp_derived_key_resp`: MSG_KEY_RSP, a status and at 20h the key."""

    _fields_ = (("data", ctypes.c_ubyte * 64),)


class GuestRequest(ctypes.Structure):
    """`struct snp_guest_request_ioctl`."""

    _fields_ = (
        ("msg_version", ctypes.c_uint8),
        ("req_data", ctypes.c_uint64),
        ("resp_data", ctypes.c_uint64),
        ("exitinfo2", ctypes.c_uint64),
    )


SNP_GET_DERIVED_KEY: Final = 3 << 30 | ctypes.sizeof(GuestRequest) << 16 | ord("S") << 8 | 1
"""_IOWR('S', 0x1, struct snp_guest_request_ioctl)."""

Exchange = Callable[[KeyRequest], bytes]
"""One MSG_KEY_REQ; the 64 bytes of the response. Raises `OSError`."""


def derived_key(report: bytes, vmpl: int, exchange: Exchange | None = None) -> bytes | None:
    """32 bytes, mixed with the committed TCB of `report`, one of this guest's own. None where the device is missing.

    `exchange` stands in for the device. Raises `AttesterError` where the firmware refuses.
    """
    request = KeyRequest(FROM_VCEK, 0, MIXED, vmpl, 0, int.from_bytes(report[COMMITTED_TCB], "little"))
    try:
        response = (exchange or _ioctl)(request)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AttesterError(f"sev-snp: {why(error)}: no key is derived") from None
    key = response[_KEY]
    if any(response[_STATUS]) or len(key) != KEY_BYTES or not any(key):
        raise AttesterError("sev-snp: the firmware derives no key")
    return key


def _ioctl(request: KeyRequest) -> bytes:
    response = KeyResponse()
    message = GuestRequest(_MESSAGE_VERSION, ctypes.addressof(request), ctypes.addressof(response), 0)
    descriptor = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, SNP_GET_DERIVED_KEY, message)
    finally:
        os.close(descriptor)
    return bytes(response.data)
