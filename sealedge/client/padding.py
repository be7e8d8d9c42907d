"""Padding: what a broker sees of a message's size (P1)."""

from protocol.cbor import encode_bstr
from protocol.messages import encode_message
from schemas.session import InferenceRequest

MAX_MULTIPLE = 2**16


def padded(request: InferenceRequest, multiple: int) -> InferenceRequest:
    """The request, padded so that its encoding has a multiple of `multiple` bytes; 0 pads nothing.

    The enclave pads its result where a request is padded.
    """
    if multiple == 0:
        return request
    empty = len(encode_message(request.model_copy(update={"padding": b""}))) - len(encode_bstr(b""))
    room = -empty % multiple
    # Some lengths no byte string encodes to: its head grows by a byte where the content would fit exactly.
    while (padding := _bstr_of(room)) is None:
        room += multiple
    return request.model_copy(update={"padding": padding})


def _bstr_of(room: int) -> bytes | None:
    """Zeros whose encoding as a byte string has exactly `room` bytes, or None."""
    for head in (1, 2, 3, 5):
        content = bytes(max(0, room - head))
        if len(encode_bstr(content)) == room:
            return content
    return None
