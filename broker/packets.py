"""Publications and deliveries as paho wants them: properties and sizes (MQTT 5 §3.3.2.3, §3.1.3.2)."""

from collections.abc import Callable, Mapping

from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from broker.settings import ConnectionSettings
from broker.topic_filter import is_valid_topic
from protocol.party import Delivery, Publication

# paho annotates neither: these names give them their types.
_new: Callable[[int], Properties] = Properties
_pack: Callable[[Properties], bytes] = Properties.pack


def publish_properties(publication: Publication, packet_type: int = PacketTypes.PUBLISH) -> Properties | None:
    """The properties of a PUBLISH, or of a will; None where there are none."""
    values = {
        "MessageExpiryInterval": publication.expiry,
        "ContentType": publication.content_type,
        "ResponseTopic": publication.response_topic,
        "CorrelationData": publication.correlation,
    }
    if all(value is None for value in values.values()):
        return None
    return _properties(packet_type, values)


def will_properties(will: Publication, delay: int) -> Properties:
    """The properties of a will, with its delay in seconds (MQTT 5 §3.1.3.2.2)."""
    properties = publish_properties(will, PacketTypes.WILLMESSAGE) or _new(PacketTypes.WILLMESSAGE)
    properties.WillDelayInterval = delay
    return properties


def connect_properties(settings: ConnectionSettings) -> Properties:
    """The properties of a CONNECT. Topic Alias Maximum stays unset: paho does not resolve inbound aliases."""
    values = {
        "SessionExpiryInterval": settings.session_expiry,
        "ReceiveMaximum": settings.receive_maximum,
        "MaximumPacketSize": settings.maximum_packet_size,
    }
    return _properties(PacketTypes.CONNECT, values)


def _properties(packet_type: int, values: Mapping[str, int | str | bytes | None]) -> Properties:
    properties = _new(packet_type)
    for name, value in values.items():
        if value is not None:
            setattr(properties, name, value)
    return properties


def packet_size(publication: Publication, properties: Properties | None) -> int:
    """The size in bytes of the whole PUBLISH packet (MQTT 5 §2.1, §3.3)."""
    packed = 1 if properties is None else len(_pack(properties))
    identifier = 2 if publication.qos else 0
    remaining = 2 + len(publication.topic.encode()) + identifier + packed + len(publication.payload)
    return 1 + (remaining.bit_length() + 6) // 7 + remaining


def fault_of(publication: Publication) -> str | None:
    """Why MQTT cannot carry this publication at all, or None. A topic may stem from a peer's Response Topic."""
    if not is_valid_topic(publication.topic):
        return "its topic is no topic name"
    if publication.response_topic is not None and not is_valid_topic(publication.response_topic):
        return "its response topic is no topic name"
    if publication.qos not in (0, 1):
        return "its QoS is neither 0 nor 1"
    if publication.expiry is not None and not 0 < publication.expiry < 1 << 32:
        return "its expiry is out of range"
    return None


def delivery_untrusted(message: MQTTMessage) -> Delivery | None:
    """The delivery in a message from the network, or None where its topic is not UTF-8."""
    try:
        topic = message.topic
    except UnicodeDecodeError:
        return None
    return Delivery(
        topic=topic,
        payload=bytes(message.payload),
        response_topic=getattr(message.properties, "ResponseTopic", None),
        correlation=getattr(message.properties, "CorrelationData", None),
        retained=message.retain,
    )


def worth_seconds(message: MQTTMessage) -> int | None:
    """For how long the sender says that a delivery is worth something, one second at least; None where it does not.

    Brokers round what is left down to whole seconds, also to none (MQTT 5 §3.3.2.3.3).
    """
    left = getattr(message.properties, "MessageExpiryInterval", None)
    return max(1, left) if isinstance(left, int) else None
