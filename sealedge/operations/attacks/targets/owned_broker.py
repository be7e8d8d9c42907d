"""The broker in the attacker's hands: it ends TLS, as every broker does, and owns all that passes behind it.

    client ── TLS, client certificate ──> OwnedBroker ── loopback ──> mosquitto or iotcore

A real broker does a broker's work; this one stands in its place on the network, with its certificate. It records
what is said, and may bend, drop or repeat what each client is told.
"""

import asyncio
import shutil
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

from broker.embedded import Embedded
from broker.settings import BrokerAddress, ConnectionSettings
from protocol.errors import ConfigurationError, Finding
from protocol.party import Publication
from sealedge.operations.attacks.targets.accounts import Accounts
from sealedge.operations.attacks.targets.actors import Attacker
from sealedge.operations.attacks.targets.packets import (
    CONNECT,
    PUBLISH,
    Packet,
    client_of,
    decode_publish,
    encode_puback,
    encode_publish,
    read_packet,
)

HOST: Final = "127.0.0.1"
MAX_LINE: Final = 2**26
REMOVE_SECONDS: Final = 10.0

Bend = Callable[[str, Publication], Iterable[Publication] | None]
"""What a client is told in place of a publication; None leaves it as it is."""


@dataclass(frozen=True, slots=True)
class Said:
    """A publication, and the client that said it."""

    client: str
    publication: Publication


class OwnedBroker:
    """For a `with` block. `said` is all that clients published, in order.

    `upstream` is a broker without TLS that is there already; without one, the embedded broker is started.
    Raises `ConfigurationError` for an upstream that speaks TLS, `TransportError` where none comes up.
    """

    def __init__(self, upstream: str | None = None) -> None:
        self._given = None if upstream is None else BrokerAddress.parse(upstream)
        if self._given is not None and self._given.tls:
            finding = Finding("broker", "mqtt://HOST[:PORT]", str(self._given))
            raise ConfigurationError("the attacker stands between TLS and the broker", finding=finding)
        self.said: list[Said] = []
        self.kind = str(self._given)
        """Which broker it is, in words."""
        self._bends: list[Bend] = []
        self._clients: dict[str, asyncio.StreamWriter] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as closing:
            self.folder = Path(tempfile.mkdtemp(prefix="sealedge-attack-"))
            closing.callback(_remove, self.folder)
            self._upstream = self._given or self._embedded(closing)
            self._accounts = Accounts(self.folder, HOST)
            self._listen(closing)
            self.voice = closing.enter_context(Attacker(ConnectionSettings(url=str(self._upstream))))
            self._closing = closing.pop_all()
        return self

    def __exit__(self, *_about_the_block: object) -> None:
        self._closing.close()

    def _embedded(self, closing: ExitStack) -> BrokerAddress:
        embedded = closing.enter_context(Embedded())
        self.kind = embedded.kind
        return BrokerAddress.parse(embedded.url)

    def account(self, name: str) -> ConnectionSettings:
        """How an authenticated client connects: over TLS, with a certificate of its own. The same each time."""
        return self._accounts.settings(name, self.url)

    # What the attacker does

    def mark(self) -> int:
        """A point in the record, for `since`."""
        return len(self.said)

    def since(self, mark: int) -> list[Publication]:
        """What was said after a mark."""
        return [each.publication for each in self.said[mark:]]

    def heard(self, mark: int = 0, below: str = "") -> bytes:
        """Every byte of every publication after a mark, on topics below one: topics, payloads, properties."""
        publications = [each for each in self.since(mark) if each.topic.startswith(below)]
        return b"\xff\0\xff".join(part for each in publications for part in _parts(each))

    @staticmethod
    def until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
        """Wait until something holds; whether it did in time."""
        over = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > over:
                return False
            time.sleep(0.01)
        return True

    @contextmanager
    def bending(self, bend: Bend) -> Iterator[None]:
        """Let `bend` decide what clients are told. It is called in the broker's own thread."""
        self._bends.append(bend)
        try:
            yield
        finally:
            self._bends.remove(bend)

    def deliver(self, client: str, publication: Publication) -> bool:
        """Tell one client something that nobody else hears. False where it is not connected."""
        packet = encode_publish(replace(publication, qos=0), 0)
        writer = self._clients.get(client)
        if writer is None:
            return False
        self._loop.call_soon_threadsafe(writer.write, packet)
        return True

    def publish(self, *publications: Publication) -> None:
        """Say something to all who subscribed, with nobody's account."""
        self.voice.say(*publications)

    def clear(self, topics: Iterable[str]) -> None:
        """Let nothing be retained on these topics."""
        self.publish(*(Publication(topic, b"", retain=True) for topic in topics))

    # The network

    def _listen(self, closing: ExitStack) -> None:
        listening = socket.create_server((HOST, 0))
        port = listening.getsockname()[1]
        self.url = f"mqtts://{HOST}:{port}"
        context = self._accounts.server_context()
        ready = threading.Event()
        thread = threading.Thread(target=self._run, args=(listening, context, ready), daemon=True)
        thread.start()
        ready.wait()
        closing.callback(thread.join)
        closing.callback(lambda: self._loop.call_soon_threadsafe(self._over.set))

    def _run(self, listening: socket.socket, context: ssl.SSLContext, ready: threading.Event) -> None:
        asyncio.run(self._serve(listening, context, ready))

    async def _serve(self, listening: socket.socket, context: ssl.SSLContext, ready: threading.Event) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, sock=listening, ssl=context, limit=MAX_LINE)
        ready.set()
        await self._over.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._carry(reader, writer)
        writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up = await asyncio.open_connection(self._upstream.host, self._upstream.port, limit=MAX_LINE)
        try:
            connect = await read_packet(reader)
            # Links add a word of their own, so that two of a name do not end each other.
            client = client_of(connect).rpartition("-")[0] if connect.kind == CONNECT else ""
            self._clients[client] = writer
            up[1].write(connect.raw)
            ways = [
                asyncio.ensure_future(each)
                for each in (self._inwards(client, reader, up[1]), self._outwards(client, up, writer))
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                if self._clients.get(client) is writer:
                    del self._clients[client]
        finally:
            up[1].close()

    async def _inwards(self, client: str, reader: asyncio.StreamReader, up: asyncio.StreamWriter) -> None:
        while True:
            packet = await read_packet(reader)
            if packet.kind == PUBLISH:
                self.said.append(Said(client, decode_publish(packet)[0]))
            up.write(packet.raw)
            await up.drain()

    async def _outwards(
        self, client: str, up: tuple[asyncio.StreamReader, asyncio.StreamWriter], writer: asyncio.StreamWriter
    ) -> None:
        while True:
            packet = await read_packet(up[0])
            told = self._told(client, packet) if packet.kind == PUBLISH and self._bends else None
            if told is None:
                writer.write(packet.raw)
            else:
                packets, taken = told
                writer.write(packets)
                up[1].write(taken)
            await writer.drain()

    def _told(self, client: str, packet: Packet) -> tuple[bytes, bytes] | None:
        """What the client is told, and what the broker behind is told in its name; None for the packet as it is."""
        publication, identifier = decode_publish(packet)
        for bend in reversed(self._bends):
            found = bend(client, publication)
            if found is not None:
                told = b"".join(encode_publish(replace(each, qos=0), 0) for each in found)
                return told, encode_puback(identifier) if identifier else b""
        return None


def _parts(said: Publication) -> tuple[bytes, ...]:
    return said.topic.encode(), said.payload, (said.response_topic or "").encode(), said.correlation or b""


def _remove(folder: Path) -> None:
    """All keys with it. An agent's host may still be writing its enclave's bytecode: what came meanwhile goes, too."""
    over = time.monotonic() + REMOVE_SECONDS
    while folder.exists() and time.monotonic() < over:
        shutil.rmtree(folder, ignore_errors=True)
