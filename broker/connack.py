"""What the broker's CONNACK says (MQTT 5 §3.2.2): what it refuses, what it lacks, and its limits."""

from dataclasses import dataclass

from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from protocol.errors import TransportError

TRANSIENT = frozenset({0x80, 0x83, 0x88, 0x89, 0x97, 0x9F})
"""Unspecified, implementation specific, unavailable, busy, quota, connection rate (§3.2.2.2): trying again may help.

Every other refusal is about us, or about what we ask for, and stays true until a person changes something.
"""

LARGEST_PACKET = 268_435_460
"""Fixed header of five bytes and the largest Remaining Length (MQTT 5 §2.1.4)."""

UNLIMITED_RECEIVE_MAXIMUM = 65_535
_RUMQTTD = {"TopicAliasMaximum": 4096}
_KNOWN = ("ReceiveMaximum", "MaximumPacketSize", "MaximumQoS", "RetainAvailable", "ServerKeepAlive", "ReasonString")


@dataclass(frozen=True, slots=True)
class Limits:
    """How many QoS 1 publications may be in flight, and how large a packet may be in bytes (§3.2.2.3.3, .6).

    `is_rumqttd`: rumqttd 0.20, which iotcore is, sends retained messages to a new session only, and each time it does
    it takes their whole age off what is left of their expiry. It can be told by a CONNACK that names the largest topic
    alias it takes, and nothing else.
    """

    receive_maximum: int = UNLIMITED_RECEIVE_MAXIMUM
    maximum_packet_size: int = LARGEST_PACKET
    is_rumqttd: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no connection; `is_final` when only a change of configuration can help."""

    error: TransportError
    is_final: bool


def limits_of(properties: Properties | None) -> Limits:
    """The limits of an accepted connection; what the broker leaves out is unlimited."""
    return Limits(
        getattr(properties, "ReceiveMaximum", UNLIMITED_RECEIVE_MAXIMUM),
        getattr(properties, "MaximumPacketSize", LARGEST_PACKET),
        is_rumqttd=_named(properties) == _RUMQTTD,
    )


def _named(properties: Properties | None) -> dict[str, object]:
    """The properties that the broker sent, and no others."""
    names = (*_KNOWN, "TopicAliasMaximum")
    return {name: getattr(properties, name) for name in names if hasattr(properties, name)}


def refusal_of(reason: ReasonCode, properties: Properties | None, broker: str) -> Refusal | None:
    """Why this connection cannot be used, or None when it can."""
    if reason.is_failure:
        said = getattr(properties, "ReasonString", "")
        more = f": {said[:200].encode('unicode_escape').decode('ascii')}" if said else ""
        error = TransportError(f"the broker {broker} refuses the connection: {reason}{more}")
        return Refusal(error, reason.value not in TRANSIENT)
    missing = _missing(properties)
    if missing:
        return Refusal(TransportError(f"the broker {broker} lacks {' and '.join(missing)}"), is_final=True)
    return None


def _missing(properties: Properties | None) -> list[str]:
    """What sealedge needs and the broker says it has not (§3.2.2.3.4, .5, .11); left out means it has it."""
    needed = {
        "MaximumQoS": "QoS 1",
        "RetainAvailable": "retained messages",
        "WildcardSubscriptionAvailable": "wildcard subscriptions",
    }
    return [name for property_name, name in needed.items() if getattr(properties, property_name, 1) == 0]
