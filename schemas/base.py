"""The base of everything that is said: frozen models whose fields have integer keys on the wire.

A model says what a message holds; `protocol.messages` turns it into deterministic CBOR and back. Field keys are
those of the standards where a standard has one (CWT claims, EAT claims, EAR claims), small integers elsewhere.
"""

import functools
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, model_validator
from pydantic.fields import FieldInfo

MAX_TIME = 2**40
"""Upper bound of any time on the wire, in seconds: keeps arithmetic away from overflow."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$")]
"""Fleet, party and model names: what may stand as one MQTT topic level, 1 to 32 characters."""

Time = Annotated[int, Field(ge=0, le=MAX_TIME)]
"""Seconds since 1970-01-01T00:00Z (NumericDate, RFC 8392 §2)."""

Counter = Annotated[int, Field(ge=0, lt=2**63)]
Identifier = Annotated[bytes, Field(min_length=16, max_length=16)]
Digest = Annotated[bytes, Field(min_length=32, max_length=32)]
"""SHA-256, or an RFC 9679 thumbprint."""

Secret = Annotated[bytes, Field(min_length=32, max_length=32)]
"""A key or salt: every field of this type is declared with `repr=False` (a test looks)."""

Nonce = Annotated[bytes, Field(min_length=32, max_length=32)]
Text = Annotated[str, StringConstraints(max_length=256)]
Topic = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[a-z0-9/-]+$")]
Document = Annotated[bytes, Field(min_length=1, max_length=65_536)]
"""A complete signed document carried inside another message."""

CoseKeyMap = dict[int, int | bytes]
"""A COSE_Key (RFC 9052 §7); `protocol.keys` refuses all but the few kinds that are used."""


def text_only(value: object) -> object:
    """For words of an enumeration: pydantic would take the bytes of a word for the word."""
    if isinstance(value, bytes | bytearray):
        raise ValueError("a byte string, not a word")  # noqa: TRY004 - pydantic turns ValueError into a fault
    return value


def at(key: int, default: Any = ..., **constraints: Any) -> Any:
    """A field with this integer key on the wire. A field that is None is left out."""
    return Field(default, json_schema_extra={"key": key}, **constraints)


WIRE: Final = {"from": "wire"}
"""The validation context of what was decoded from CBOR: its maps have integer keys, never field names."""


class Message(BaseModel):
    """A frozen map with integer keys. Unknown keys, missing keys and wrong types are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _from_wire(cls, data: object, info: ValidationInfo) -> object:
        """Integer keys become field names, and arrays tuples. What came from the wire may have integer keys only."""
        if not isinstance(data, dict):
            return data
        names = wire_names(cls)
        from_wire = info.context is WIRE
        found = {}
        for key, value in data.items():
            name = key if isinstance(key, str) and not from_wire else names.get(key)
            if name is None:
                raise ValueError(f"unknown key {key!r}")
            if value is None and from_wire:
                raise ValueError("null, where what is absent is left out")
            found[name] = tuple(value) if type(value) is list else value
        return found


@functools.cache
def wire_keys(model: type[Message]) -> tuple[tuple[str, int], ...]:
    """(field name, integer key) pairs of a model, in the order of deterministic encoding (RFC 8949 §4.2.1)."""
    pairs = ((name, _key_of(name, info)) for name, info in model.model_fields.items())
    return tuple(sorted(pairs, key=lambda pair: _rank(pair[1])))


@functools.cache
def wire_names(model: type[Message]) -> dict[int, str]:
    """Integer key to field name."""
    return {key: name for name, key in wire_keys(model)}


def _key_of(name: str, info: FieldInfo) -> int:
    extra = info.json_schema_extra
    if not isinstance(extra, dict) or not isinstance(extra.get("key"), int):
        raise TypeError(f"field {name} has no wire key")
    return int(str(extra["key"]))


def to_map(message: Message) -> dict[int, Any]:
    """The integer-keyed map of a model: plain values only, every map in the order of deterministic encoding."""
    values = message.__dict__
    found = {}
    for name, key in wire_keys(type(message)):
        value = values[name]
        if value is not None:
            found[key] = value if type(value) in _PLAIN else _plain(value)
    return found


_PLAIN = frozenset({bytes, int, str, bool})


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return to_map(value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value, key=_rank)}
    if isinstance(value, str):  # also a StrEnum: its value
        return str(value)
    return value


def _rank(key: int | str) -> tuple[int, int, bytes]:
    """Sorts keys as their encodings sort: unsigned, then negative by magnitude, then text by length and bytes."""
    if isinstance(key, str):
        text = key.encode()
        return 2, len(text), text
    return (0, key, b"") if key >= 0 else (1, -1 - key, b"")
