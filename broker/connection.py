"""One MQTT 5 connection at a time, kept by paho and driven by a select loop outside.

Nothing here decides: paho's callbacks become records in `incoming`, in order, and the link reads them.
Used from one thread only.
"""

import contextlib
import select
import socket
import ssl
import time
from collections import deque
from dataclasses import replace

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from broker.callbacks import Callbacks
from broker.client import StrictClient
from broker.connack import Refusal
from broker.identifier import client_identifier
from broker.notes import Note, noted
from broker.packets import connect_properties, fault_of, packet_size, publish_properties, will_properties
from broker.records import Discarded, Lost, Record, Refused
from broker.settings import ConnectionSettings
from protocol.errors import TransportError
from protocol.party import Noted, Publication, Subscription

LINGER_SECONDS = 0.5

READ_AT_ONCE = 64
"""Packets that are read before what they say is acted upon."""

QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
"""An option that Linux alone has (tcp(7))."""


class Connection:
    """What is in flight survives the connection: paho sends it again, first and in order, on the next one.

    Raises:
        ConfigurationError: the password file or a TLS file cannot be used.
    """

    def __init__(self, client_id: str, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._heard = Callbacks(settings)
        self._client = self._new_client(client_id)
        self._heard.attach(self._client)

    def _new_client(self, client_id: str) -> StrictClient:
        identifier = client_identifier(client_id, self._settings)
        client = StrictClient(identifier, self._settings.maximum_packet_size)
        # The window is kept here: paho sends more than Receive Maximum allows after a reconnect (MQTT 5 §4.9).
        client.max_inflight_messages = 0
        client.connect_timeout = self._settings.connect_timeout
        client.on_socket_open = _without_delay
        client.on_socket_close = self._linger
        if self._settings.username is not None:
            client.username_pw_set(self._settings.username, self._settings.read_password())
        context = self._settings.tls_context()
        if context is not None:
            client.tls_set_context(context)
        return client

    @property
    def incoming(self) -> deque[Record]:
        """What happened and was not read yet, in order."""
        return self._heard.incoming

    @property
    def is_open(self) -> bool:
        """Whether the broker accepted the connection and it was not lost since."""
        return self._heard.is_open

    @property
    def in_flight(self) -> int:
        """How many QoS 1 publications were sent and are not acknowledged."""
        return len(self._heard.in_flight)

    # Opening and closing

    def open(self, will: Publication | None, *, clean_start: bool = False) -> None:
        """Connect and send CONNECT; `Opened`, `Refused` or `Lost` follows in `incoming`.

        `clean_start`: the broker forgets what it kept for this client (MQTT 5 §3.1.2.4).

        Blocks for at most the connect timeout. A failure is a record, too: nothing is raised for the network.
        """
        self._heard.asked.clear()
        self._heard.is_closing = False
        address = self._settings.address
        self._set_will(will)
        try:
            self._client.connect(
                address.host,
                address.port,
                self._settings.keepalive,
                clean_start=clean_start,
                properties=connect_properties(self._settings),
            )
        except ssl.SSLCertVerificationError as error:
            reason = f"the broker {address} cannot prove who it is: {error.verify_message}"
            self.incoming.append(Refused(Refusal(TransportError(reason), is_final=True)))
        except OSError as error:
            self.incoming.append(Lost(f"cannot reach {address}: {error.strerror or type(error).__name__}"))

    def _set_will(self, will: Publication | None) -> None:
        if will is None:
            self._client.will_clear()
            return
        properties = will_properties(will, self._settings.will_delay)
        self._client.will_set(will.topic, will.payload, will.qos, will.retain, properties)

    def close(self) -> None:
        """Disconnect in order: the broker forgets the will (MQTT 5 §3.14)."""
        self._heard.is_closing = True
        self._heard.is_open = False
        self._client.disconnect()

    def abort(self) -> None:
        """Drop the connection without a word, as a crash would. No record follows."""
        self._heard.is_open = False
        address = self._settings.address
        self._client.connect_async(address.host, address.port)

    # What the select loop needs

    @property
    def endpoint(self) -> socket.socket | None:
        """The socket to wait for, or None while there is none."""
        using = self._client.socket()
        return using if isinstance(using, socket.socket) else None

    @property
    def wants_write(self) -> bool:
        """Whether something waits for room in the socket's buffer."""
        return self._client.want_write()

    @property
    def has_pending(self) -> bool:
        """Whether TLS has decrypted bytes that `select` does not see."""
        using = self.endpoint
        return isinstance(using, ssl.SSLSocket) and using.pending() > 0

    def pump(self, *, readable: bool, writable: bool) -> None:
        """Read, write and keep alive, as far as possible without waiting. Never raises for what the broker sent."""
        unreadable = self._client.unreadable
        try:
            if readable:
                self._read()
                self._acknowledge_at_once()
            if writable:
                self._client.loop_write()
            self._client.loop_misc()
        except Exception as error:
            # Whatever bytes paho chokes on, the link goes on: our own callbacks do not raise.
            self.abort()
            self.incoming.append(Lost(f"the broker sent what cannot be read ({type(error).__name__})"))
        for _ in range(self._client.unreadable - unreadable):
            self.incoming.append(Discarded(noted(Note.DELIVERY_UNREADABLE), None))

    def _read(self) -> None:
        """What has come, packet by packet, up to a bound: so that a party is handed together what waits for it."""
        for _ in range(READ_AT_ONCE):
            self._client.loop_read()
            using = self.endpoint
            if using is None or not (self.has_pending or select.select([using], [], [], 0)[0]):
                return

    def _acknowledge_at_once(self) -> None:
        """Tell the kernel not to hold its TCP acknowledgements back, which it forgets after a while.

        A broker that leaves Nagle's algorithm on, as iotcore does, waits for them before its next small packet.
        """
        if QUICKACK is not None and self.endpoint is not None:
            self.endpoint.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)

    # What the link says

    @property
    def has_room(self) -> bool:
        """Whether one more QoS 1 publication may be in flight (MQTT 5 §4.9)."""
        return self.is_open and self.in_flight < self._heard.window

    def publish(self, publication: Publication) -> Noted | None:
        """Send a publication; the note says why when it cannot be sent at all, and it is dropped."""
        fault = fault_of(publication)
        if fault is not None:
            return noted(Note.PUBLICATION_REFUSED, topic=publication.topic, why=fault)
        if publication.retain and self._heard.limits.is_rumqttd:
            # It would be gone long before: whoever takes it looks at its time under protection anyway.
            publication = replace(publication, expiry=None)
        properties = publish_properties(publication)
        size, limit = packet_size(publication, properties), self._heard.limits.maximum_packet_size
        if size > limit:
            return noted(Note.PUBLICATION_OVERSIZED, topic=publication.topic, size=size, limit=limit)
        # paho counts packet identifiers up, and takes none whose publication is still in flight: so try the next.
        for _ in range(self.in_flight + 1):
            sent = self._client.publish(
                publication.topic, publication.payload, publication.qos, publication.retain, properties
            )
            if sent.rc != MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
                break
        if publication.qos:
            self._heard.in_flight[sent.mid] = publication
        return None

    def subscribe(self, subscription: Subscription) -> None:
        """Begin or end a subscription; `Answered` follows for one that begins."""
        if not subscription.wanted:
            self._client.unsubscribe(subscription.topic_filter)
            return
        options = SubscribeOptions(qos=subscription.qos)
        _, mid = self._client.subscribe(subscription.topic_filter, options=options)
        if mid is not None:
            self._heard.asked[mid] = subscription.topic_filter

    def acknowledge(self, packet_identifier: int) -> None:
        """Tell the broker that a QoS 1 delivery needs not come again."""
        self._client.ack(packet_identifier, 1)

    def _linger(self, _client: Client, _data: object, using: object) -> None:
        """Let the broker read our DISCONNECT before the socket closes.

        Closing while unread bytes wait resets the connection, and the broker would take that for a crash.
        """
        if not self._heard.is_closing or not isinstance(using, socket.socket):
            return
        with contextlib.suppress(OSError):
            using.settimeout(LINGER_SECONDS)
            using.shutdown(socket.SHUT_WR)
            until = time.monotonic() + LINGER_SECONDS
            while using.recv(65536) and time.monotonic() < until:
                pass


def _without_delay(_client: Client, _data: object, using: object) -> None:
    """Turn Nagle's algorithm off, which holds the second small packet of an exchange back."""
    if isinstance(using, socket.socket):
        using.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
