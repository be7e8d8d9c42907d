"""Padding: what a broker sees of a message's size (P1).

It is the encoded message that is brought to a multiple, heads included: padding the content alone would still
show whether it is shorter than 24 or 256 bytes.
"""

from typing import TypeVar

from protocol.cbor import encode_bstr
from protocol.messages import encode_message
from schemas.session import InferenceRequest, InferenceResult

Padded = TypeVar("Padded", InferenceRequest, InferenceResult)

MAX_MULTIPLE = 2**16


def padded(message: Padded, multiple: int) -> Padded:
    """The message, padded so that its encoding has a multiple of `multiple` bytes; 0 pads nothing."""
    if multiple == 0:
        return message
    without = len(encode_message(message.model_copy(update={"padding": b""}))) - len(encode_bstr(b""))
    room = -without % multiple
    # Some lengths no byte string encodes to: its head grows by a byte where the content would fit exactly.
    while (padding := _bstr_of(room)) is None:
        room += multiple
    return message.model_copy(update={"padding": padding})


def _bstr_of(room: int) -> bytes | None:
    """Zeros whose encoding as a byte string has exactly `room` bytes, or None."""
    for head in (1, 2, 3, 5):
        content = bytes(max(0, room - head))
        if len(encode_bstr(content)) == room:
            return content
    return None
