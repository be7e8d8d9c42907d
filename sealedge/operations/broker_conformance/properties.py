"""MQTT 5 properties as they stand in packets (§2.2.2), for clients that try a broker out."""

import struct
from collections.abc import Callable, Iterable
from typing import Final

from protocol.errors import MalformedError

MESSAGE_EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION, USER = 0x02, 0x03, 0x08, 0x09, 0x26
SESSION_EXPIRY, WILL_DELAY, RECEIVE_MAXIMUM, MAXIMUM_PACKET = 0x11, 0x18, 0x21, 0x27

Value = int | bytes | tuple[bytes, bytes]
Properties = tuple[tuple[int, Value], ...]
"""Identifier and value, in their order: a user property may stand there twice. Strings are bytes in UTF-8."""

_FORMS: Final = {
    ">B": (0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A),
    ">H": (0x13, 0x21, 0x22, 0x23),
    ">I": (0x02, 0x11, 0x18, 0x27),
}
_NUMBERS: Final = {identifier: form for form, known in _FORMS.items() for identifier in known}
_STRINGS: Final = (0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F)
_SUBSCRIPTION: Final = 0x0B


def packed(properties: Iterable[tuple[int, Value]]) -> bytes:
    """The properties with their length before them."""
    body = b"".join(bytes([identifier]) + _value(identifier, value) for identifier, value in properties)
    return variable(len(body)) + body


def _value(identifier: int, value: Value) -> bytes:
    if isinstance(value, int):
        return struct.pack(_NUMBERS[identifier], value)
    return string(value) if isinstance(value, bytes) else string(value[0]) + string(value[1])


def string(data: bytes) -> bytes:
    """A string or binary data with its length before it (§1.5.4, §1.5.6)."""
    return struct.pack(">H", len(data)) + data


def variable(value: int) -> bytes:
    """A variable byte integer (§1.5.5)."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


class Reader:
    """Reads fields one after the other. What ends too soon is `MalformedError`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise MalformedError("a packet of the broker is cut short")
        self._at += size
        return taken

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data) - self._at)

    def number(self, form: str) -> int:
        """A number of fixed size."""
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def string(self) -> bytes:
        """A string or binary data."""
        return self.take(self.number(">H"))

    def variable(self) -> int:
        """A variable byte integer of four bytes at most."""
        value = 0
        for position in range(4):
            byte = self.number(">B")
            value |= (byte & 0x7F) << 7 * position
            if byte < 0x80:
                return value
        raise MalformedError("a variable byte integer of more than four bytes")

    @property
    def is_empty(self) -> bool:
        """Whether everything was read."""
        return self._at == len(self._data)


def properties_untrusted(reader: Reader) -> Properties:
    """The properties that stand next. Raises `MalformedError` for any that MQTT 5 does not know."""
    fields = Reader(reader.take(reader.variable()))
    found: list[tuple[int, Value]] = []
    while not fields.is_empty:
        identifier = fields.number(">B")
        found.append((identifier, _read_value(identifier, fields)))
    return tuple(found)


def _read_value(identifier: int, fields: Reader) -> Value:
    reads: dict[int, Callable[[], Value]] = {
        _SUBSCRIPTION: fields.variable,
        USER: lambda: (fields.string(), fields.string()),
        **dict.fromkeys(_STRINGS, fields.string),
    }
    if identifier in _NUMBERS:
        return fields.number(_NUMBERS[identifier])
    if identifier not in reads:
        raise MalformedError(f"a packet of the broker has a property 0x{identifier:02x}")
    return reads[identifier]()
