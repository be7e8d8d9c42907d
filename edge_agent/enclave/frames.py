"""Frames over a stream socket: a length of four bytes, big-endian, then so many bytes.

The two ends take turns: a question, then its answer. So one `recv` usually brings a whole frame, and bytes beyond
a frame are a fault of the peer.
"""

import socket
import struct
from typing import Final

from protocol.errors import ConfigurationError, MalformedError, TransportError
from schemas.reason import Reason

MAX_FRAME: Final = 2**25
"""Bytes of one frame: the largest payload of a session (16 MiB) in its envelope, with room."""

_LENGTH: Final = struct.Struct(">I")
_AT_ONCE: Final = 2**16


class FrameSocket:
    """One end of the boundary. Blocks; how long is the socket's own matter (`limit_waiting`)."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def limit_waiting(self, seconds: float) -> None:
        """Let no single read or write wait longer. The kernel keeps this time: no extra call per message."""
        whole = int(seconds)
        value = struct.pack("ll", whole, int((seconds - whole) * 1_000_000))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)

    def send(self, data: bytes) -> None:
        """Send one frame. Raises `MalformedError` (oversized) before a byte is sent, `TransportError`."""
        if len(data) > MAX_FRAME:
            raise MalformedError(f"a frame of {len(data)} bytes where {MAX_FRAME} are allowed", reason=Reason.OVERSIZED)
        try:
            self._socket.sendall(_LENGTH.pack(len(data)) + data)
        except BlockingIOError:
            raise TransportError("the other side of the boundary does not listen", reason=Reason.TIMEOUT) from None
        except OSError as error:
            raise _broken(error) from error

    def receive_untrusted(self) -> bytes | None:
        """The next frame, or None where the peer closed between two frames. Nothing of it is checked but its length.

        Raises `MalformedError` for a length beyond `MAX_FRAME` or bytes behind the frame, `TransportError` for a
        peer that closed within a frame or takes too long. The stream cannot be used after either.
        """
        data = self._some(_AT_ONCE)
        while 0 < len(data) < _LENGTH.size:
            data += self._some_more(_AT_ONCE)
        if not data:
            return None
        length: int = _LENGTH.unpack_from(data)[0]
        if length > MAX_FRAME:
            raise MalformedError(f"a frame of {length} bytes where {MAX_FRAME} are allowed", reason=Reason.OVERSIZED)
        missing = _LENGTH.size + length - len(data)
        if missing < 0:
            raise MalformedError(f"{-missing} bytes follow a frame")
        return data[_LENGTH.size :] + (self._exactly(missing) if missing else b"")

    def close(self) -> None:
        """Close this end: the other sees the end of the stream."""
        self._socket.close()

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = self._some_more(min(size, 2**20))
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _some_more(self, size: int) -> bytes:
        data = self._some(size)
        if not data:
            raise TransportError("the boundary closed within a frame")
        return data

    def _some(self, size: int) -> bytes:
        try:
            return self._socket.recv(size)
        except BlockingIOError:
            raise TransportError("the other side of the boundary does not answer", reason=Reason.TIMEOUT) from None
        except ConnectionResetError:
            return b""
        except OSError as error:
            raise _broken(error) from error


def _broken(error: OSError) -> TransportError:
    return TransportError(f"the boundary is broken: {error.strerror}")


def vsock_port(address: str) -> int | None:
    """The port of `vsock:PORT`, or None for other text."""
    scheme, _, port = address.partition(":")
    return int(port) if scheme == "vsock" and port.isascii() and port.isdecimal() and 0 < int(port) < 2**32 else None


def vsock_address(address: str) -> tuple[int, int] | None:
    """The context and port of `vsock:CID:PORT`, or None for other text."""
    front, _, port = address.rpartition(":")
    cid, number = vsock_port(front), vsock_port(f"vsock:{port}")
    return None if cid is None or number is None else (cid, number)


def listen_vsock(port: int) -> socket.socket:
    """A socket of this machine that its hypervisor's host can reach (vsock(7)). Raises `ConfigurationError`."""
    try:
        listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    except (OSError, AttributeError) as error:
        raise ConfigurationError(f"this machine knows no vsock: {error}") from error
    try:
        listener.bind((socket.VMADDR_CID_ANY, port))
        listener.listen(1)
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"vsock port {port} cannot be listened at: {error}") from error
    return listener


def connect_vsock(cid: int, port: int, seconds: float) -> socket.socket:
    """A connection to another machine of the same hypervisor. Raises `TransportError`."""
    try:
        connection = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    except (OSError, AttributeError) as error:
        raise TransportError(f"this machine knows no vsock: {error}") from error
    try:
        connection.settimeout(seconds)
        connection.connect((cid, port))
    except OSError as error:
        connection.close()
        raise TransportError(f"the enclave at vsock:{cid}:{port} cannot be reached: {error}") from error
    connection.settimeout(None)
    return connection
