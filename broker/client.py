"""paho's client, hardened where a stranger's bytes would otherwise cut or fill it.

Four things need paho's private methods; tests/brokers/test_link_hostile_broker.py fails where they change:
- A PUBLISH that paho cannot read ends the connection unacknowledged, and the broker delivers it again for ever.
  paho 2 also refuses U+FEFF in strings, which the standard allows ([MQTT-1.5.4-3]). Such a message is acknowledged
  and counted instead.
- paho reads packets of up to 256 MiB whatever Maximum Packet Size it told the broker.
- paho keeps QoS 2 messages until a PUBREL that need not come; no party subscribes with QoS 2.
- paho leaks the socket of a TLS handshake that fails, and tries some without the host's name.
"""

import socket
import ssl
import struct

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.exception import MQTTException

from protocol.errors import ConfigurationError

QOS_BITS = 0x06


class StrictClient(Client):
    """`unreadable` counts the messages that were acknowledged unread."""

    def __init__(self, client_id: str, maximum_packet_size: int) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self.unreadable = 0
        self._maximum_packet_size = maximum_packet_size

    def _packet_read(self) -> MQTTErrorCode:
        outcome = super()._packet_read()
        # Partly read: the announced length is known before the packet has filled memory.
        if self._in_packet["remaining_length"] > self._maximum_packet_size:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        return outcome

    def _handle_publish(self) -> MQTTErrorCode:
        qos = (self._in_packet["command"] & QOS_BITS) >> 1
        if qos > 1:
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        try:
            return super()._handle_publish()
        except (MQTTException, ValueError, KeyError, IndexError, struct.error):
            identifier = packet_identifier_untrusted(bytes(self._in_packet["packet"])) if qos else 0
            if identifier is None:
                raise
        self.unreadable += 1
        return self.ack(identifier, qos)

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        if self._ssl_context is None:
            raise ConfigurationError("TLS without a context")
        wrapped = self._ssl_context.wrap_socket(tcp_sock, server_hostname=self._host, do_handshake_on_connect=False)
        try:
            wrapped.settimeout(self._connect_timeout)
            wrapped.do_handshake()
        except OSError:
            wrapped.close()
            raise
        return wrapped


def packet_identifier_untrusted(packet: bytes) -> int | None:
    """The Packet Identifier of a QoS 1 PUBLISH (MQTT 5 §3.3.2), or None where the packet is too short for one."""
    if len(packet) < 2:
        return None
    end = 2 + int.from_bytes(packet[:2])
    identifier = packet[end : end + 2]
    return int.from_bytes(identifier) if len(identifier) == 2 else None
