"""paho's callbacks, turned into records in the order in which they come; nothing is decided here."""

import time
from collections import deque
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from broker.connack import Limits, limits_of, refusal_of
from broker.notes import Note, noted
from broker.packets import delivery_untrusted, packet_size, publish_properties, worth_seconds
from broker.records import Answered, Arrived, Discarded, Lost, Opened, Record, Refused, Returned, Taken
from broker.settings import ConnectionSettings
from protocol.party import Publication

HUNG_UP = "the broker hung up without an answer: does it speak MQTT 5, with or without TLS as the URL says?"
"""RabbitMQ 3.10, for one, answers a CONNECT of MQTT 5 so. It may as well be one that is not ready yet."""


class Callbacks:
    """What one connection has told us: records for the link, and the state that paho does not show."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self.incoming: deque[Record] = deque()
        self.in_flight: dict[int, Publication] = {}
        self.asked: dict[int, str] = {}
        self.limits = Limits()
        self.is_open = False
        self.is_closing = False
        self._settings = settings

    def attach(self, client: Client) -> None:
        """Let paho call here."""
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe

    @property
    def window(self) -> int:
        """How many QoS 1 publications may be in flight."""
        return min(self.limits.receive_maximum, self._settings.max_in_flight)

    def _on_connect(
        self, client: Client, _data: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        refusal = refusal_of(reason, properties, str(self._settings.address))
        if refusal is not None:
            self.incoming.append(Refused(refusal))
            return
        self.limits = limits_of(properties)
        self.is_open = True
        # Now, before paho sends all of them again: this broker may allow less than the one before.
        if not self._fits():
            client.drop_out_messages()
            self.incoming.append(Returned(tuple(self.in_flight.values())))
            self.in_flight.clear()
        self.incoming.append(Opened(flags.session_present, self.limits))

    def _fits(self) -> bool:
        sizes = (packet_size(sent, publish_properties(sent)) for sent in self.in_flight.values())
        return len(self.in_flight) <= self.window and max(sizes, default=0) <= self.limits.maximum_packet_size

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: DisconnectFlags, reason: ReasonCode, _more: Properties | None
    ) -> None:
        was_refused = bool(self.incoming) and isinstance(self.incoming[-1], Refused)
        was_open, self.is_open = self.is_open, False
        if was_refused or self.is_closing:
            return
        if flags.is_disconnect_packet_from_server:
            self.incoming.append(Lost(f"the broker said: {reason}"))
        else:
            self.incoming.append(Lost("the connection broke" if was_open else HUNG_UP))

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        identifier = message.mid if message.qos else None
        size = len(message.payload)
        if not self.is_open:
            return
        if size > self._settings.max_payload:
            note = noted(Note.DELIVERY_OVERSIZED, size=size, limit=self._settings.max_payload)
            self.incoming.append(Discarded(note, identifier))
            return
        delivery = delivery_untrusted(message)
        if delivery is None:
            self.incoming.append(Discarded(noted(Note.DELIVERY_UNREADABLE), identifier))
        else:
            worth = worth_seconds(message)
            self.incoming.append(Arrived(delivery, identifier, None if worth is None else time.monotonic() + worth))

    def _on_publish(
        self, _client: Client, _data: Any, identifier: int, reason: ReasonCode, _more: Properties | None
    ) -> None:
        publication = self.in_flight.pop(identifier, None)
        if publication is not None:
            self.incoming.append(Taken(publication, str(reason) if reason.is_failure else None))

    def _on_subscribe(
        self, _client: Client, _data: Any, identifier: int, reasons: list[ReasonCode], _more: Properties | None
    ) -> None:
        topic_filter = self.asked.pop(identifier, None)
        if topic_filter is not None:
            failure = next((str(reason) for reason in reasons if reason.is_failure), None)
            self.incoming.append(Answered(topic_filter, failure))
