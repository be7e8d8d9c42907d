"""How a client that tries a broker out begins: its connection, and its CONNECT (MQTT 5 §3.1)."""

import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Final

from broker.settings import ConnectionSettings
from protocol.errors import TransportError
from sealedge.operations.broker_conformance.properties import (
    MAXIMUM_PACKET,
    RECEIVE_MAXIMUM,
    SESSION_EXPIRY,
    WILL_DELAY,
    packed,
    string,
)

WAIT_SECONDS: Final = 5.0
"""For an answer that must come."""

_CLEAN, _WILL, _WILL_QOS1, _PASSWORD, _USERNAME = 0x02, 0x04, 0x08, 0x40, 0x80
_KEEPALIVE: Final = 60


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker shall say for a client that vanishes, after `delay` seconds (§3.1.2.5, §3.1.3.2.2)."""

    topic: str
    payload: bytes
    delay: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks for in its CONNECT. Times in seconds, sizes in bytes; 0 leaves a limit out."""

    clean: bool = True
    session_expiry: int = 0
    receive_maximum: int = 0
    maximum_packet: int = 0
    will: Will | None = None


def connected(settings: ConnectionSettings) -> socket.socket:
    """A socket to the broker, in TLS where the settings say so. Raises `TransportError`."""
    address = settings.address
    context = settings.tls_context()
    try:
        plain = socket.create_connection((address.host, address.port), WAIT_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return plain if context is None else _wrapped(plain, context, address.host)
    except OSError as error:
        raise TransportError(f"{address} cannot be reached: {why(error)}") from None


def _wrapped(plain: socket.socket, context: ssl.SSLContext, host: str) -> socket.socket:
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except OSError:
        plain.close()
        raise


def connect_packet(settings: ConnectionSettings, identifier: str, asked: Asked) -> bytes:
    """The body of a CONNECT, with the account of the settings."""
    password, will = settings.read_password(), asked.will
    flags = _CLEAN * asked.clean | _USERNAME * bool(settings.username) | _PASSWORD * bool(password)
    flags |= (_WILL | _WILL_QOS1) * (will is not None)
    limits = ((RECEIVE_MAXIMUM, asked.receive_maximum), (MAXIMUM_PACKET, asked.maximum_packet))
    properties = ((SESSION_EXPIRY, asked.session_expiry), *(each for each in limits if each[1]))
    body = string(b"MQTT") + bytes([5, flags]) + struct.pack(">H", _KEEPALIVE) + packed(properties)
    body += string(identifier.encode())
    if will is not None:
        body += packed(((WILL_DELAY, will.delay),)) + string(will.topic.encode()) + string(will.payload)
    return body + b"".join(string(each.encode()) for each in (settings.username, password) if each)


def why(error: OSError) -> str:
    """What the operating system, or TLS, says of it."""
    return getattr(error, "verify_message", None) or error.strerror or type(error).__name__
