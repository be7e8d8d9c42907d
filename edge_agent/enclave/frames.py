"""Frames over a stream socket: a length of four bytes, big-endian, then so many bytes.

The two ends take turns: a question, then its answer. So one `recv` usually brings a whole frame, and bytes beyond
a frame are a fault of the peer.
"""

import socket
import struct
from typing import Final

from protocol.errors import MalformedError, TransportError
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
