"""MQTT 5 packets as they cross the attacker's broker: cut out of a stream, and PUBLISH both ways (§2.1, §3.3)."""

import struct
from asyncio import StreamReader
from dataclasses import dataclass
from typing import Final

from protocol.party import Publication

CONNECT, PUBLISH, PUBACK = 1, 3, 4
_RETAIN, _QOS = 0x01, 0x06
_EXPIRY, _CONTENT, _RESPONSE, _CORRELATION = 0x02, 0x03, 0x08, 0x09
_SIZES: Final = {0x01: 1, _EXPIRY: 4, 0x23: 2}
"""Properties of a PUBLISH with so many bytes (§2.2.2.2)."""
_SUBSCRIPTION, _USER = 0x0B, 0x26


@dataclass(frozen=True, slots=True)
class Packet:
    """One control packet: `raw` is all of it, `body` what follows the fixed header."""

    kind: int
    flags: int
    body: bytes
    raw: bytes


async def read_packet(reader: StreamReader) -> Packet:
    """The next packet. Raises `asyncio.IncompleteReadError` at the end of the stream."""
    header = await reader.readexactly(1)
    size = shift = 0
    while True:
        digit = await reader.readexactly(1)
        header += digit
        size |= (digit[0] & 0x7F) << shift
        shift += 7
        if digit[0] < 0x80:
            break
    body = await reader.readexactly(size)
    return Packet(header[0] >> 4, header[0] & 0x0F, body, header + body)


def client_of(connect: Packet) -> str:
    """The client identifier of a CONNECT of MQTT 5 (§3.1.3.1)."""
    properties, start = _varint(connect.body, 10)
    return _string(connect.body, start + properties)[0].decode()


def decode_publish(packet: Packet) -> tuple[Publication, int]:
    """What a PUBLISH says, and its packet identifier: 0 under QoS 0."""
    qos = (packet.flags & _QOS) >> 1
    topic, at = _string(packet.body, 0)
    identifier = 0
    if qos:
        identifier, at = int.from_bytes(packet.body[at : at + 2], "big"), at + 2
    size, at = _varint(packet.body, at)
    found = _properties(packet.body[at : at + size])
    expiry = found.get(_EXPIRY)
    publication = Publication(
        topic=topic.decode(),
        payload=packet.body[at + size :],
        qos=qos,
        retain=bool(packet.flags & _RETAIN),
        expiry=None if expiry is None else int.from_bytes(expiry, "big"),
        response_topic=found[_RESPONSE].decode() if _RESPONSE in found else None,
        correlation=found.get(_CORRELATION),
        content_type=found[_CONTENT].decode() if _CONTENT in found else None,
    )
    return publication, identifier


def encode_publish(publication: Publication, identifier: int) -> bytes:
    """The packet; without an identifier under QoS 0."""
    properties = b""
    if publication.expiry is not None:
        properties += struct.pack("!BI", _EXPIRY, publication.expiry)
    for name, value in ((_CONTENT, publication.content_type), (_RESPONSE, publication.response_topic)):
        properties += b"" if value is None else bytes([name]) + _prefixed(value.encode())
    if publication.correlation is not None:
        properties += bytes([_CORRELATION]) + _prefixed(publication.correlation)
    numbered = struct.pack("!H", identifier) if identifier else b""
    body = _prefixed(publication.topic.encode()) + numbered + _encoded(len(properties)) + properties
    flags = (0x02 if identifier else 0) | (_RETAIN if publication.retain else 0)
    return bytes([PUBLISH << 4 | flags]) + _encoded(len(body) + len(publication.payload)) + body + publication.payload


def encode_puback(identifier: int) -> bytes:
    """What a client says that has taken a message (§3.4)."""
    return struct.pack("!BBH", PUBACK << 4, 2, identifier)


def _properties(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        name, at = data[at], at + 1
        if name in _SIZES:
            found[name], at = data[at : at + _SIZES[name]], at + _SIZES[name]
        elif name == _SUBSCRIPTION:
            _, at = _varint(data, at)
        else:
            found[name], at = _string(data, at)
            if name == _USER:
                _, at = _string(data, at)
    return found


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + int.from_bytes(data[at : at + 2], "big")
    return data[at + 2 : end], end


def _prefixed(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        digit, at = data[at], at + 1
        value |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return value, at


def _encoded(value: int) -> bytes:
    found = b""
    while True:
        value, digit = value >> 7, value & 0x7F
        found += bytes([digit | (0x80 if value else 0)])
        if not value:
            return found
