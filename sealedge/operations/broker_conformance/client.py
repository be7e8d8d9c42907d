"""A client that misbehaves on purpose: it withholds acknowledgements, vanishes, and comes back as somebody else.

The links of sealedge are well-behaved clients of `broker.client`; what they rely on can be seen from outside alone.
One thread: a client reads when it is asked what it hears. Every wait has an end.
"""

import struct
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

from broker.settings import ConnectionSettings
from protocol.errors import MalformedError, TransportError
from sealedge.operations.broker_conformance.opening import WAIT_SECONDS, Asked, connect_packet, connected, why
from sealedge.operations.broker_conformance.properties import (
    Properties,
    Reader,
    packed,
    properties_untrusted,
    string,
    variable,
)

MAX_PACKET: Final = 4 << 20
MAX_HELD: Final = 64 << 20
"""Bytes that a client keeps before it is asked for them, with 1 KiB for each packet."""

_CONNECT, _CONNACK, _PUBLISH, _PUBACK, _SUBSCRIBE, _SUBACK, _DISCONNECT = 1, 2, 3, 4, 8, 9, 14


@dataclass(frozen=True, slots=True)
class Heard:
    """A PUBLISH as it came (§3.3)."""

    topic: str
    payload: bytes
    identifier: int
    retained: bool
    duplicate: bool
    properties: Properties


class Client:
    """Connected once made. Raises `TransportError` where the broker refuses or is away, `MalformedError` for its bytes.

    With `acknowledges = False` the broker gets no PUBACK but by `acknowledge`.
    """

    def __init__(self, settings: ConnectionSettings, identifier: str, asked: Asked) -> None:
        self.acknowledges = True
        self._heard: deque[Heard] = deque()
        self._answers: deque[tuple[int, bytes]] = deque()
        self._last = 0
        self._held = 0
        self._stream = connected(settings)
        try:
            self._send(_CONNECT << 4, connect_packet(settings, identifier, asked))
            body = self._answer(_CONNACK)
            _check_accepted(body)
        except BaseException:
            self._stream.close()
            raise
        self.session_present = bool(body[0] & 1)

    def subscribe(self, topic_filter: str, *, retain_handling: int = 0) -> bool:
        """Ask for QoS 1; whether the broker grants it (§3.8, §3.9)."""
        options = bytes([1 | retain_handling << 4])
        self._send(_SUBSCRIBE << 4 | 2, self._next() + packed(()) + string(topic_filter.encode()) + options)
        return self._answer(_SUBACK)[-1:] == b"\x01"

    def publish(self, topic: str, payload: bytes, properties: Properties = (), *, retain: bool = False) -> bool:
        """QoS 1; whether the broker takes it. Without a reason its PUBACK means success (§3.4.2.1)."""
        head = string(topic.encode()) + self._next() + packed(properties)
        self._send(_PUBLISH << 4 | 2 | int(retain), head + payload)
        return self._answer(_PUBACK)[2:3] < b"\x80"

    def hear(self, seconds: float = WAIT_SECONDS) -> Heard | None:
        """The next message, or None when none came in time."""
        until = time.monotonic() + seconds
        while not self._heard:
            if not self._read(until):
                return None
        return self._heard.popleft()

    def hear_all(self, count: int, seconds: float = WAIT_SECONDS) -> list[Heard]:
        """Up to `count` messages, as far as they come in time."""
        until = time.monotonic() + seconds
        heard: list[Heard] = []
        while len(heard) < count:
            message = self.hear(until - time.monotonic())
            if message is None:
                break
            heard.append(message)
        return heard

    def acknowledge(self, message: Heard) -> None:
        """PUBACK (§3.4)."""
        self._send(_PUBACK << 4, struct.pack(">H", message.identifier))

    def leave(self) -> None:
        """DISCONNECT, so that there is no will (§3.14)."""
        try:
            self._send(_DISCONNECT << 4, b"")
        finally:
            self.vanish()

    def vanish(self) -> None:
        """Close the connection without a word; nothing where it is closed."""
        self._stream.close()

    def _next(self) -> bytes:
        self._last = self._last % 65_535 + 1
        return struct.pack(">H", self._last)

    def _send(self, first: int, body: bytes) -> None:
        try:
            self._stream.settimeout(WAIT_SECONDS)
            self._stream.sendall(bytes([first]) + variable(len(body)) + body)
        except OSError as error:
            raise TransportError(f"the broker ended the connection: {why(error)}") from None

    def _answer(self, kind: int) -> bytes:
        """The next packet of this kind. Requests go one at a time: there is no other that it could be for."""
        until = time.monotonic() + WAIT_SECONDS
        while True:
            while self._answers:
                came, body = self._answers.popleft()
                if came == kind:
                    return body
            if not self._read(until):
                raise TransportError(f"the broker does not answer within {WAIT_SECONDS:.0f} s")

    def _read(self, until: float) -> bool:
        """Read one packet and put it where it belongs; False when none begins in time."""
        first = self._exactly(1, until)
        if first is None:
            return False
        body = self._body_untrusted(time.monotonic() + WAIT_SECONDS)
        self._held += len(body) + 1024
        if self._held > MAX_HELD:
            raise MalformedError("the broker sends more than anybody asked for")
        if first[0] >> 4 == _PUBLISH:
            self._take_untrusted(first[0], body)
        elif first[0] >> 4 == _DISCONNECT:
            raise TransportError(f"the broker ends the connection (0x{body[:1].hex() or '00'})")
        else:
            self._answers.append((first[0] >> 4, body))
        return True

    def _take_untrusted(self, first: int, body: bytes) -> None:
        reader = Reader(body)
        topic = reader.string().decode(errors="replace")
        identifier = reader.number(">H") if first & 6 else 0
        properties = properties_untrusted(reader)
        heard = Heard(topic, reader.rest(), identifier, bool(first & 1), bool(first & 8), properties)
        if identifier and self.acknowledges:
            self.acknowledge(heard)
        self._heard.append(heard)

    def _body_untrusted(self, until: float) -> bytes:
        encoded = b""
        while not encoded or encoded[-1] >= 0x80:
            more = self._exactly(1, until)
            if more is None or len(encoded) == 4:
                raise MalformedError("the broker's packet has no length")
            encoded += more
        length = Reader(encoded).variable()
        body = self._exactly(length, until) if length <= MAX_PACKET else None
        if body is None:
            raise MalformedError(f"the broker's packet of {length} bytes does not come, or is too large")
        return body

    def _exactly(self, size: int, until: float) -> bytes | None:
        """This many bytes, or None where they do not come in time."""
        read = bytearray()
        while len(read) < size:
            left = until - time.monotonic()
            if left <= 0:
                return None
            more = self._some(size - len(read), left)
            if more == b"":
                raise TransportError("the broker ended the connection")
            read += more or b""
        return bytes(read)

    def _some(self, size: int, seconds: float) -> bytes | None:
        try:
            self._stream.settimeout(seconds)
            return self._stream.recv(min(size, 65_536))
        except TimeoutError:
            return None
        except OSError as error:
            raise TransportError(f"the broker ended the connection: {why(error)}") from None


def _check_accepted(connack: bytes) -> None:
    if len(connack) < 2 or connack[1] != 0:
        raise TransportError(f"the broker refuses a client (0x{connack[1:2].hex()})")
