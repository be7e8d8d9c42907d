"""The boundary between an untrusted host and its enclave: bytes in, bytes out, one call at a time.

`EnclaveServer` stands inside and answers; outside stands `edge_agent.enclave_client`, which is not measured. The host
is as untrusted as the network: whatever it sends is parsed strictly, and answered or refused.
"""

import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Final, Protocol

from edge_agent.enclave.configuration import EnclaveConfiguration
from edge_agent.enclave.exchange import (
    Call,
    decode_call_untrusted,
    encode_done,
    encode_failed,
    encode_refused,
)
from edge_agent.enclave.frames import FrameSocket
from edge_agent.enclave.needs import ModelSealed
from protocol.errors import MalformedError, SealedgeError, UnexpectedError
from protocol.messages import decode_message_untrusted
from protocol.party import Delivery, Event, Noted, Party, Publication
from schemas.reason import Reason

MAX_STAGED: Final = 8192
MAX_STAGED_BYTES: Final = 2**30 + 2**26
"""Encrypted chunks held before they are assembled: as many as a manifest names, with their envelopes."""

PART_BYTES: Final = 2**23
"""Bytes of sealed code that one answer carries."""

ANSWER_BYTES: Final = 2**23
"""Bytes of publications after which an answer ends: the rest goes with the next, which is due at once."""

_BOUNDED: Final = frozenset({Call.RECEIVE, Call.EXPIRE})
"""The calls whose events may be more than a frame carries."""

READY: Final = "enclave-ready"


class HostedEnclave(Party, Protocol):
    """What a host sees of an enclave: a party that also asks for evidence and chunks."""

    def receive_many(self, deliveries: Sequence[Delivery], now: float) -> Sequence[Event]:
        """Take what waits: at most `MAX_DELIVERIES`."""

    def evidence_collected(self, token: bytes, media_type: str, evidence: bytes, now: float) -> Sequence[Event]:
        """Answer an `EvidenceNeeded`."""

    def chunks_collected(self, model: str, payloads: tuple[bytes, ...], now: float) -> Sequence[Event]:
        """Answer a `ChunksNeeded`: the payloads in the order of its digests."""

    def sealed_model_read(self, model: str, lease: bytes, code: bytes, now: float) -> Sequence[Event]:
        """Answer a `SealedModelNeeded`: both as an earlier enclave handed them out, or both empty."""


class EnclaveServer:
    """The inside: answers one call after the other until the host closes."""

    def __init__(self, enclave: HostedEnclave, frames: FrameSocket) -> None:
        self._enclave, self._frames = enclave, frames
        self._staged: list[bytes] = []
        self._staged_bytes = 0
        self._outgoing = ModelSealed("", b"", b"", 0)
        self._held: deque[Event] = deque()
        self._methods: dict[Call, Callable[..., Sequence[Event]]] = {
            Call.WILL: self._will,
            Call.CONNECTED: enclave.connected,
            Call.RECEIVE: enclave.receive_many,
            Call.EXPIRE: enclave.expire,
            Call.LEAVING: enclave.leaving,
            Call.EVIDENCE_COLLECTED: enclave.evidence_collected,
            Call.STAGE: self._stage,
            Call.CHUNKS_COLLECTED: self._chunks_collected,
            Call.SEALED_MODEL_READ: self._sealed_model_read,
            Call.MORE: self._more,
        }

    def serve(self) -> None:
        """Returns when the host has closed. A call that is malformed or refused is answered so.

        Any other exception is a fault in the enclave: the host is told where, never with what, and it is raised.
        """
        while (question := self._frames.receive_untrusted()) is not None:
            try:
                answer = self._answer_untrusted(question)
            except Exception as fault:
                self._frames.send(encode_failed(_place(fault)))
                raise
            self._frames.send(answer)

    def _answer_untrusted(self, question: bytes) -> bytes:
        try:
            call, arguments = decode_call_untrusted(question)
            events = [self._fitted(event) for event in self._methods[call](*arguments)]
            if call in _BOUNDED:
                self._held += events
                events = self._released()
            return encode_done(self._deadline, events)
        except SealedgeError as error:
            return encode_refused(self._deadline, error)

    @property
    def _deadline(self) -> float | None:
        return 0.0 if self._held else self._enclave.deadline

    def _released(self) -> list[Event]:
        """The next events, in their order, that one frame carries: any one does."""
        events: list[Event] = []
        size = 0
        while self._held and size <= ANSWER_BYTES:
            event = self._held.popleft()
            events.append(event)
            size += len(event.payload) if isinstance(event, Publication) else 0
        return events

    def _will(self, now: float) -> Sequence[Event]:
        will = self._enclave.will(now)
        return [] if will is None else [will]

    def _stage(self, chunks: list[bytes]) -> Sequence[Event]:
        self._staged_bytes += sum(map(len, chunks))
        if self._staged_bytes > MAX_STAGED_BYTES or len(self._staged) + len(chunks) > MAX_STAGED:
            self._staged, self._staged_bytes = [], 0
            raise MalformedError("more chunks than any model has", reason=Reason.OVERSIZED)
        self._staged += chunks
        return []

    def _unstaged(self) -> tuple[bytes, ...]:
        payloads = tuple(self._staged)
        self._staged, self._staged_bytes = [], 0
        return payloads

    def _chunks_collected(self, model: str, now: float) -> Sequence[Event]:
        return self._enclave.chunks_collected(model, self._unstaged(), now)

    def _sealed_model_read(self, model: str, lease: bytes, now: float) -> Sequence[Event]:
        return self._enclave.sealed_model_read(model, lease, b"".join(self._unstaged()), now)

    def _fitted(self, event: Event) -> Event:
        """Of sealed code the first part; the rest waits for `MORE`, or for the next model that is sealed."""
        if not isinstance(event, ModelSealed) or len(event.code) <= PART_BYTES:
            return event
        self._outgoing = event
        return replace(event, code=event.code[:PART_BYTES])

    def _more(self, offset: int) -> Sequence[Event]:
        whole = self._outgoing
        if offset >= whole.size:
            raise UnexpectedError("there is no more to hand out")
        if offset + PART_BYTES >= whole.size:
            self._outgoing = ModelSealed("", b"", b"", 0)
        return [replace(whole, lease=b"", code=whole.code[offset : offset + PART_BYTES])]


def serve_untrusted(
    frames: FrameSocket, build: Callable[[EnclaveConfiguration], HostedEnclave], confinement: Sequence[str] = ()
) -> None:
    """Be an enclave: the first frame configures it, then calls are answered until the host closes.

    The host is told what this process has given up, so that its operator can read it.

    Raises what `build` raises and what `EnclaveServer.serve` raises, after the host was told.
    """
    first = frames.receive_untrusted()
    if first is None:
        return
    try:
        enclave = build(decode_message_untrusted(EnclaveConfiguration, first))
    except SealedgeError as error:
        frames.send(encode_refused(None, error))
        raise
    except Exception as fault:
        frames.send(encode_failed(_place(fault)))
        raise
    ready = Noted(READY, {"client": enclave.client_id, "confinement": " ".join(confinement)})
    frames.send(encode_done(enclave.deadline, [ready]))
    EnclaveServer(enclave, frames).serve()


def _place(fault: Exception) -> str:
    """Where a fault arose. Its text is left out: it may quote what the enclave was working on."""
    last = traceback.extract_tb(fault.__traceback__)[-1]
    return f"{type(fault).__name__} at {PurePath(last.filename).name}:{last.lineno}"
