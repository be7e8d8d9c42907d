"""Asking a broker what it can do: one CONNECT, its CONNACK, and goodbye (MQTT 5 §3.1, §3.2).

Sockets alone: the link's client tells whether a broker will do, `sealedge doctor` tells all that it says of itself.
"""

import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from broker.settings import ConnectionSettings
from protocol.errors import MalformedError, RemoteError, TransportError

TIMEOUT_SECONDS: Final = 5.0
MAX_CONNACK: Final = 65_536

_CONNECT, _CONNACK, _DISCONNECT = 0x10, 0x20, b"\xe0\x00"
_CLEAN_START, _USERNAME, _PASSWORD = 0x02, 0x80, 0x40
_SESSION_EXPIRY: Final = 0x11

REASONS: Final = {
    0x01: "it does not speak MQTT 5",
    0x84: "it does not speak MQTT 5",
    0x85: "client identifier not valid",
    0x86: "bad user name or password",
    0x87: "not authorised",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8C: "bad authentication method",
    0x95: "packet too large",
    0x97: "quota exceeded",
    0x9F: "connection rate exceeded",
}
"""Reason codes of §3.2.2.2, in words; 1 is what brokers of MQTT 3.1.1 answer to a version that they do not know."""


@dataclass(frozen=True, slots=True)
class BrokerFeatures:
    """What a CONNACK says, with the standard's defaults for what it leaves out (§3.2.2.3).

    `session_expiry` is the broker's own, in seconds, where it does not grant the one that was asked for.
    """

    reason: int
    maximum_qos: int = 2
    retain: bool = True
    wildcards: bool = True
    shared: bool = True
    receive_maximum: int = 65_535
    maximum_packet_size: int | None = None
    session_expiry: int | None = None

    @property
    def refusal(self) -> str | None:
        """Why the broker does not let us in, or None."""
        return None if self.reason == 0 else REASONS.get(self.reason, f"reason code 0x{self.reason:02x}")


def ask_broker(settings: ConnectionSettings) -> BrokerFeatures:
    """What the broker says to this account. Raises `TransportError` where it is not there, or speaks something else."""
    address = settings.address
    try:
        with socket.create_connection((address.host, address.port), TIMEOUT_SECONDS) as plain:
            context = settings.tls_context()
            stream = plain if context is None else context.wrap_socket(plain, server_hostname=address.host)
            with stream:
                stream.sendall(_connect(settings))
                features = _connack_untrusted(lambda size: _exactly(stream, size))
                stream.sendall(_DISCONNECT)
                return features
    except RemoteError as error:
        raise TransportError(f"{address} answers, but not as an MQTT 5 broker: {error}") from None
    except OSError as error:
        why = getattr(error, "verify_message", None) or error.strerror or type(error).__name__
        raise TransportError(f"{address} cannot be reached: {why}") from None


def _connect(settings: ConnectionSettings) -> bytes:
    """§3.1: clean start, no session kept, the account of the settings."""
    password = settings.read_password()
    flags = _CLEAN_START | (_USERNAME if settings.username else 0) | (_PASSWORD if password else 0)
    asked = bytes([_SESSION_EXPIRY]) + struct.pack(">I", settings.session_expiry)
    header = _text("MQTT") + bytes([5, flags]) + struct.pack(">H", settings.keepalive) + bytes([len(asked)]) + asked
    said = [f"sealedge-doctor-{os.urandom(4).hex()}", settings.username, password]
    body = header + b"".join(_text(each) for each in said if each)
    return bytes([_CONNECT]) + _variable(len(body)) + body


def _connack_untrusted(read: Callable[[int], bytes]) -> BrokerFeatures:
    kind = read(1)[0]
    body = read(_length_untrusted(read))
    if kind != _CONNACK or len(body) < 2:
        raise MalformedError("no CONNACK")
    # Without properties the packet may end here, as MQTT 3's always does.
    properties = _properties_untrusted(body[2:]) if len(body) > 2 else {}
    return BrokerFeatures(reason=body[1], **properties)  # type: ignore[arg-type]  # the table below names the fields


_FIELDS: Final[dict[int, tuple[str, str]]] = {
    0x11: ("session_expiry", ">I"),
    0x21: ("receive_maximum", ">H"),
    0x24: ("maximum_qos", ">B"),
    0x25: ("retain", ">?"),
    0x27: ("maximum_packet_size", ">I"),
    0x28: ("wildcards", ">?"),
    0x2A: ("shared", ">?"),
}
_SKIPPED: Final = {0x13: 2, 0x22: 2, 0x29: 1}
_STRINGS: Final = {0x12: 1, 0x15: 1, 0x16: 1, 0x1A: 1, 0x1C: 1, 0x1F: 1, 0x26: 2}
"""Properties of §3.2.2.3: those that are told, the sizes of others, and how many strings the rest have."""


def _properties_untrusted(data: bytes) -> dict[str, int | bool]:
    found: dict[str, int | bool] = {}
    try:
        length, at = _variable_untrusted(data)
        end = at + length
        while at < end:
            identifier, at = data[at], at + 1
            if identifier in _FIELDS:
                name, form = _FIELDS[identifier]
                found[name] = struct.unpack_from(form, data, at)[0]
                at += struct.calcsize(form)
            else:
                at = _skipped_untrusted(identifier, data, at)
    except (IndexError, struct.error):
        raise MalformedError("its CONNACK is cut short") from None
    return found


def _skipped_untrusted(identifier: int, data: bytes, at: int) -> int:
    """Where the next property begins."""
    if identifier in _SKIPPED:
        return at + _SKIPPED[identifier]
    if identifier not in _STRINGS:
        raise MalformedError(f"its CONNACK has a property 0x{identifier:02x}")
    for _ in range(_STRINGS[identifier]):
        at += 2 + int(struct.unpack_from(">H", data, at)[0])
    return at


def _length_untrusted(read: Callable[[int], bytes]) -> int:
    """Remaining Length, read byte by byte (§2.1.4)."""
    encoded = b""
    while len(encoded) < 4:
        encoded += read(1)
        if encoded[-1] < 0x80:
            length, _ = _variable_untrusted(encoded)
            if length > MAX_CONNACK:
                break
            return length
    raise MalformedError("no CONNACK has such a length")


def _variable_untrusted(data: bytes) -> tuple[int, int]:
    """A variable byte integer (§1.5.5) and how many bytes it took."""
    value = 0
    for position in range(4):
        value |= (data[position] & 0x7F) << 7 * position
        if data[position] < 0x80:
            return value, position + 1
    raise MalformedError("a variable byte integer of more than four bytes")


def _variable(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def _exactly(stream: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        more = stream.recv(size - len(read))
        if not more:
            raise MalformedError("it hung up")
        read += more
    return read
