"""What crosses the boundary, as deterministic CBOR arrays.

    question  [call, argument, ...]
    answer    [0, deadline, [event, ...]]          event   [number, field, ...]
              [1, deadline, reason, message]       refused: the enclave goes on
              [2, where]                           failed: the enclave ends

Neither side believes the other: a host may be taken over, and so may an enclave by a fault in what it runs.
Both directions are parsed strictly, and every field has the type that its place demands.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from operator import attrgetter
from typing import Any, Final

from edge_agent.enclave.frames import MAX_FRAME
from edge_agent.enclave.needs import (
    ChunksNeeded,
    EvidenceNeeded,
    ModelSealed,
    SealedModelEnded,
    SealedModelNeeded,
)
from protocol.cbor import decode_untrusted, encode
from protocol.errors import MalformedError, ProtocolMisuseError, SealedgeError
from protocol.party import Delivery, Event, Noted, Publication, Subscription
from schemas.base import MAX_TIME
from schemas.reason import Reason

Types = tuple[tuple[type, ...], ...]

MAX_DELIVERIES: Final = 64
"""Deliveries of one call."""


class Call(IntEnum):
    """The methods of an enclave, by number. `RECEIVE` hands in all deliveries that wait, at most `MAX_DELIVERIES`.

    `STAGE` hands in chunks, or sealed code, before the call they belong to. `MORE` asks for the part of sealed code
    that begins at an offset, where the last answer held only the first part.
    """

    WILL = 1
    CONNECTED = 2
    RECEIVE = 3
    EXPIRE = 4
    LEAVING = 5
    EVIDENCE_COLLECTED = 6
    STAGE = 7
    CHUNKS_COLLECTED = 8
    SEALED_MODEL_READ = 9
    MORE = 10


class Outcome(IntEnum):
    """How a call ended: the first element of every answer."""

    DONE = 0
    REFUSED = 1
    FAILED = 2


_NONE: Final = type(None)
_TEXT, _BYTES, _WHOLE, _TRUTH, _LIST, _MAP = (str,), (bytes,), (int,), (bool,), (list,), (dict,)
_TIME: Final = (float, int)
_TEXT_OR_NONE, _BYTES_OR_NONE, _WHOLE_OR_NONE, _TIME_OR_NONE = (
    (str, _NONE),
    (bytes, _NONE),
    (int, _NONE),
    (*_TIME, _NONE),
)

_ARGUMENTS: Final[dict[int, Types]] = {
    Call.WILL: (_TIME,),
    Call.CONNECTED: (_TIME,),
    Call.RECEIVE: (_LIST, _TIME),
    Call.EXPIRE: (_TIME,),
    Call.LEAVING: (_TIME,),
    Call.EVIDENCE_COLLECTED: (_BYTES, _TEXT, _BYTES, _TIME),
    Call.STAGE: (_LIST,),
    Call.CHUNKS_COLLECTED: (_TEXT, _TIME),
    Call.SEALED_MODEL_READ: (_TEXT, _BYTES, _TIME),
    Call.MORE: (_WHOLE,),
}


_DELIVERY: Final[Types] = (_TEXT, _BYTES, _TEXT_OR_NONE, _BYTES_OR_NONE, _TRUTH)
_delivery_fields: Final = attrgetter("topic", "payload", "response_topic", "correlation", "retained")


def _model_alone(event: Any) -> tuple[str]:
    """What `attrgetter` gives for several names: a tuple."""
    return (event.model,)


_EVENTS: Final[tuple[tuple[type[Event], Callable[[Event], tuple[Any, ...]], Types], ...]] = (
    (
        Publication,
        attrgetter("topic", "payload", "qos", "retain", "expiry", "response_topic", "correlation", "content_type"),
        (_TEXT, _BYTES, _WHOLE, _TRUTH, _WHOLE_OR_NONE, _TEXT_OR_NONE, _BYTES_OR_NONE, _TEXT_OR_NONE),
    ),
    (Subscription, attrgetter("topic_filter", "qos", "wanted"), (_TEXT, _WHOLE, _TRUTH)),
    (Noted, attrgetter("what", "detail"), (_TEXT, _MAP)),
    (EvidenceNeeded, attrgetter("token", "report_data"), (_BYTES, _BYTES)),
    (ChunksNeeded, attrgetter("model", "digests"), (_TEXT, _LIST)),
    (SealedModelNeeded, _model_alone, (_TEXT,)),
    (ModelSealed, attrgetter("model", "lease", "code", "size"), (_TEXT, _BYTES, _BYTES, _WHOLE)),
    (SealedModelEnded, _model_alone, (_TEXT,)),
)
"""By number: the kind of event, its fields in the order of its declaration, and their types on the wire."""

_NUMBERS: Final = {kind: (number, read) for number, (kind, read, _) in enumerate(_EVENTS)}
_DETAIL: Final = (str, int, float, bool, _NONE)


@dataclass(frozen=True, slots=True)
class Answer:
    """A parsed answer. Well formed, not more: its events are an enclave's wishes."""

    outcome: Outcome
    deadline: float | None = None
    events: tuple[Event, ...] = ()
    reason: Reason = Reason.INTERNAL
    message: str = ""


def encode_call(call: Call, *arguments: Any) -> bytes:
    """A question. Raises `ProtocolMisuseError` for an argument that CBOR does not carry."""
    return encode([int(call), *arguments])


def encode_deliveries(deliveries: Sequence[Delivery], now: float) -> bytes:
    """The question that hands in deliveries. Raises `ProtocolMisuseError` for what CBOR does not carry."""
    return encode_call(Call.RECEIVE, [_delivery_fields(each) for each in deliveries], now)


def decode_call_untrusted(data: bytes) -> tuple[Call, list[Any]]:
    """Returns a call and arguments of the right number and types. Raises `MalformedError`."""
    call, *arguments = _array_untrusted(data)
    types = _ARGUMENTS.get(call) if type(call) is int else None
    if types is None:
        raise MalformedError("a call that does not exist")
    _check("call", arguments, types)
    if call == Call.STAGE:
        _check_all("chunks", arguments[0], bytes)
        return Call.STAGE, arguments
    if call == Call.RECEIVE:
        arguments[0] = _deliveries_untrusted(arguments[0])
    if call == Call.MORE:
        if arguments[0] < 0:
            raise MalformedError("an offset that cannot be")
    elif not 0 <= arguments[-1] <= MAX_TIME:  # NaN too is refused: as a time, it is never after an end
        raise MalformedError("a time that cannot be")
    return Call(call), arguments


def encode_done(deadline: float | None, events: Sequence[Event]) -> bytes:
    """The answer of a call that ended well. Raises `ProtocolMisuseError` for an event that may not cross."""
    return encode([0, deadline, [_event_fields(event) for event in events]])


def encode_refused(deadline: float | None, error: SealedgeError) -> bytes:
    """The answer of a call that was refused: the reason and one line."""
    return encode([1, deadline, str(error.reason), str(error)[:1024]])


def encode_failed(where: str) -> bytes:
    """The last answer of an enclave that met a fault of its own."""
    return encode([2, where])


def decode_answer_untrusted(data: bytes) -> Answer:
    """Returns a well-formed answer. Raises `MalformedError`."""
    outcome, *rest = _array_untrusted(data)
    if outcome == Outcome.DONE:
        _check("answer", rest, (_TIME_OR_NONE, _LIST))
        return Answer(Outcome.DONE, _deadline_untrusted(rest[0]), tuple(map(_event_untrusted, rest[1])))
    if outcome == Outcome.REFUSED:
        _check("answer", rest, (_TIME_OR_NONE, _TEXT, _TEXT))
        return Answer(Outcome.REFUSED, _deadline_untrusted(rest[0]), reason=_reason_untrusted(rest[1]), message=rest[2])
    if outcome == Outcome.FAILED:
        _check("answer", rest, (_TEXT,))
        return Answer(Outcome.FAILED, message=rest[0])
    raise MalformedError("an answer that does not exist")


def _deliveries_untrusted(found: list[Any]) -> list[Delivery]:
    if len(found) > MAX_DELIVERIES:
        raise MalformedError(f"{len(found)} deliveries where {MAX_DELIVERIES} are allowed", reason=Reason.OVERSIZED)
    _check_all("deliveries", found, list)
    for each in found:
        _check("delivery", each, _DELIVERY)
    return [Delivery(*each) for each in found]


def _event_fields(event: Event) -> list[Any]:
    found = _NUMBERS.get(type(event))
    if found is None:
        raise ProtocolMisuseError(f"a {type(event).__name__} does not cross the boundary")
    number, read = found
    return [number, *read(event)]


def _event_untrusted(fields: Any) -> Event:
    number = fields[0] if type(fields) is list and fields else None
    if type(number) is not int or not 0 <= number < len(_EVENTS):
        raise MalformedError("an event that does not exist")
    kind, _, types = _EVENTS[number]
    values = fields[1:]
    _check(kind.__name__, values, types)
    if kind is Publication:
        _check_publication(*values)
    elif kind is Noted:
        _check_detail(values[1])
    elif kind is ChunksNeeded:
        _check_all("digests", values[1], bytes)
        values[1] = tuple(values[1])
    return kind(*values)


def _array_untrusted(data: bytes) -> list[Any]:
    found = decode_untrusted(data, max_bytes=MAX_FRAME, tags=frozenset())
    if type(found) is not list or not found or type(found[0]) is not int:
        raise MalformedError("a frame that is not an array with a number")
    return found


def _check(what: str, values: list[Any], types: Types) -> None:
    if len(values) != len(types):
        raise MalformedError(f"{what}: {len(values)} fields where {len(types)} belong")
    for value, allowed in zip(values, types, strict=True):
        if type(value) not in allowed:
            raise MalformedError(f"{what}: a {type(value).__name__} where another type belongs")


def _check_all(what: str, values: list[Any], kind: type) -> None:
    if any(type(value) is not kind for value in values):
        raise MalformedError(f"{what}: not all of one type")


def _check_publication(_topic: str, _payload: bytes, qos: int, _retain: bool, expiry: int | None, *_: Any) -> None:
    if qos not in (0, 1, 2) or not 0 <= (expiry or 0) < 2**32:
        raise MalformedError("a publication that MQTT does not carry")


def _check_detail(detail: dict[Any, Any]) -> None:
    if any(type(name) is not str or type(value) not in _DETAIL for name, value in detail.items()):
        raise MalformedError("a detail that is not a plain value under a text")


def _deadline_untrusted(deadline: float | None) -> float | None:
    if deadline is not None and not math.isfinite(deadline):
        raise MalformedError("a deadline that cannot be")
    return deadline


def _reason_untrusted(code: str) -> Reason:
    try:
        return Reason(code)
    except ValueError:
        raise MalformedError("a reason that does not exist") from None
