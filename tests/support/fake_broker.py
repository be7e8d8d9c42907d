"""A broker that says exactly what a test scripts, byte by byte (MQTT 5 §2, §3)."""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, DISCONNECT = 1, 2, 3, 4, 8, 9, 14


@dataclass(frozen=True)
class Packet:
    kind: int
    flags: int
    body: bytes

    @property
    def topic(self) -> str:
        size = int.from_bytes(self.body[:2])
        return self.body[2 : 2 + size].decode()

    @property
    def publish_identifier(self) -> int:
        end = 2 + int.from_bytes(self.body[:2])
        return int.from_bytes(self.body[end : end + 2])

    @property
    def identifier(self) -> int:
        return int.from_bytes(self.body[:2])

    @property
    def payload(self) -> bytes:
        """Of a QoS 1 PUBLISH whose properties are shorter than 128 bytes."""
        start = 2 + int.from_bytes(self.body[:2]) + 2
        return self.body[start + 1 + self.body[start] :]


def varint(value: int) -> bytes:
    encoded = b""
    while True:
        value, digit = value >> 7, value & 0x7F
        encoded += bytes([digit | (0x80 if value else 0)])
        if not value:
            return encoded


def packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    return bytes([kind << 4 | flags]) + varint(len(body)) + body


def connack(reason: int = 0, properties: bytes = b"", *, session_present: bool = False) -> bytes:
    return packet(CONNACK, bytes([session_present, reason]) + varint(len(properties)) + properties)


def publish(topic: bytes, payload: bytes, identifier: int = 1, *, qos: int = 1, properties: bytes = b"") -> bytes:
    body = struct.pack("!H", len(topic)) + topic
    body += struct.pack("!H", identifier) if qos else b""
    return packet(PUBLISH, body + varint(len(properties)) + properties + payload, flags=qos << 1)


def response_topic(topic: bytes) -> bytes:
    return b"\x08" + struct.pack("!H", len(topic)) + topic


def puback(identifier: int, reason: int = 0) -> bytes:
    return packet(PUBACK, struct.pack("!HB", identifier, reason) + b"\0")


class Peer:
    """The broker's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def send(self, *packets: bytes) -> None:
        self.connection.sendall(b"".join(packets))

    def accept(self, properties: bytes = b"", *, session_present: bool = False) -> Packet:
        connect = self.next(CONNECT)
        self.send(connack(properties=properties, session_present=session_present))
        return connect

    def next(self, kind: int) -> Packet:
        """The next packet of a kind; others are skipped, subscriptions granted."""
        while True:
            read = self.read()
            if read.kind == kind:
                return read
            if read.kind == SUBSCRIBE:
                self.send(packet(SUBACK, read.body[:2] + b"\0\x01"))

    def read(self) -> Packet:
        (first,) = self._exactly(1)
        size = shift = 0
        while True:
            (digit,) = self._exactly(1)
            size |= (digit & 0x7F) << shift
            shift += 7
            if digit < 0x80:
                return Packet(first >> 4, first & 0x0F, self._exactly(size))

    def _exactly(self, size: int) -> bytes:
        read = b""
        while len(read) < size:
            more = self.connection.recv(size - len(read))
            if not more:
                raise EOFError
            read += more
        return read

    def hold(self) -> None:
        """Say nothing more, until the other side ends."""
        with suppress(OSError):
            while self.connection.recv(4096):
                pass


class FakeBroker:
    """Plays one script a connection, in order; the last one again and again. `connections` counts them."""

    def __init__(self, *scripts: Callable[[Peer], object]) -> None:
        self.scripts = scripts
        self.connections = 0
        self.failures: list[BaseException] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.02)
        self.url = f"mqtt://127.0.0.1:{self._listening.getsockname()[1]}"
        self._is_over = False
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while not self._is_over:
            try:
                connection, _ = self._listening.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(30)
                script = self.scripts[min(self.connections, len(self.scripts) - 1)]
                self.connections += 1
                try:
                    script(Peer(connection))
                except (OSError, EOFError):
                    pass
                except Exception as error:
                    self.failures.append(error)

    def __enter__(self) -> "FakeBroker":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._thread.join()
        self._listening.close()
        assert self.failures == []
