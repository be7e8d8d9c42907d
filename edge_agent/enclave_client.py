"""The outside of the boundary: has the methods of the enclave and carries each call to it over a socket.

So the host's code is the same whether the enclave runs in place or in a process or TEE of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from edge_agent.enclave.boundary import PART_BYTES
from edge_agent.enclave.configuration import EnclaveConfiguration
from edge_agent.enclave.exchange import Answer, Call, Outcome, decode_answer_untrusted, encode_call, encode_deliveries
from edge_agent.enclave.frames import MAX_FRAME, FrameSocket
from edge_agent.enclave.needs import MAX_SEALED, ModelSealed
from protocol.errors import EnclaveError, RemoteError, TransportError
from protocol.messages import encode_message
from protocol.party import Delivery, Event, Noted, Publication
from schemas.reason import Reason

STAGE_BYTES: Final = 2**23
"""Bytes of chunks handed in by one call."""


class EnclaveCrashedError(EnclaveError):
    """The enclave ended, hangs, or does not speak the boundary's language. Its keys are gone."""

    default_reason = Reason.INTERNAL


class EnclaveClient:
    """The outside: a `HostedEnclave` whose inside is at the other end of a socket.

    Every method raises `EnclaveError` where the enclave refuses the call, and `EnclaveCrashedError` where there is
    no enclave any more; after that the client is of no use. What it returns is well formed and no more.
    """

    def __init__(
        self, frames: FrameSocket, configuration: EnclaveConfiguration, ending: Callable[[bool], str] | None = None
    ) -> None:
        """Configure the enclave and wait until it is ready. `ending(hangs)` tells how its process ended."""
        self._frames, self._ending = frames, ending
        self._deadline: float | None = None
        ready = self._exchange(encode_message(configuration))
        detail = ready[0].detail if len(ready) == 1 and isinstance(ready[0], Noted) else {}
        client, confinement = detail.get("client"), detail.get("confinement")
        if not isinstance(client, str) or not isinstance(confinement, str):
            raise self._crashed("it did not say that it is ready")
        self._client_id = client
        self.confinement = tuple(confinement.split())
        """Words for what the enclave's process has given up, as in its claims."""

    @property
    def client_id(self) -> str:
        """The MQTT client identifier, as the enclave named itself at its start."""
        return self._client_id

    @property
    def deadline(self) -> float | None:
        """The enclave's deadline after the last call: it changes in calls alone."""
        return self._deadline

    def will(self, now: float) -> Publication | None:
        """As the enclave's."""
        events = self._call(Call.WILL, now)
        will = events[0] if events else None
        if will is not None and not isinstance(will, Publication):
            raise self._crashed("its will is not a publication")
        return will

    def connected(self, now: float) -> Sequence[Event]:
        """As the enclave's."""
        return self._call(Call.CONNECTED, now)

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        """As the enclave's."""
        return self.receive_many((delivery,), now)

    def receive_many(self, deliveries: Sequence[Delivery], now: float) -> Sequence[Event]:
        """As the enclave's, in one frame."""
        return self._asked(encode_deliveries(deliveries, now))

    def expire(self, now: float) -> Sequence[Event]:
        """As the enclave's."""
        return self._call(Call.EXPIRE, now)

    def leaving(self, now: float) -> Sequence[Event]:
        """As the enclave's."""
        return self._call(Call.LEAVING, now)

    def evidence_collected(self, token: bytes, media_type: str, evidence: bytes, now: float) -> Sequence[Event]:
        """As the enclave's."""
        return self._call(Call.EVIDENCE_COLLECTED, token, media_type, evidence, now)

    def chunks_collected(self, model: str, payloads: tuple[bytes, ...], now: float) -> Sequence[Event]:
        """As the enclave's; the chunks go ahead in batches, since a model is larger than a frame."""
        self._stage(payloads)
        return self._call(Call.CHUNKS_COLLECTED, model, now)

    def sealed_model_read(self, model: str, lease: bytes, code: bytes, now: float) -> Sequence[Event]:
        """As the enclave's; the code goes ahead in parts."""
        self._stage(tuple(code[start : start + STAGE_BYTES] for start in range(0, len(code), STAGE_BYTES)))
        return self._call(Call.SEALED_MODEL_READ, model, lease, now)

    def _stage(self, payloads: Sequence[bytes]) -> None:
        batch: list[bytes] = []
        size = 0
        for payload in payloads:
            if batch and size + len(payload) > STAGE_BYTES:
                self._call(Call.STAGE, batch)
                batch, size = [], 0
            batch.append(payload)
            size += len(payload)
        self._call(Call.STAGE, batch)

    def close(self) -> None:
        """Tell the enclave to end, by closing the socket."""
        self._frames.close()

    def _call(self, call: Call, *arguments: Any) -> tuple[Event, ...]:
        return self._asked(encode_call(call, *arguments))

    def _asked(self, question: bytes) -> tuple[Event, ...]:
        if len(question) > MAX_FRAME:
            raise EnclaveError("a call larger than the boundary carries", reason=Reason.OVERSIZED)
        events = self._exchange(question)
        return tuple(self._whole(event) if isinstance(event, ModelSealed) else event for event in events)

    def _whole(self, sealed: ModelSealed) -> ModelSealed:
        """All of a model's sealed code, of which an answer carries one part."""
        if not len(sealed.code) <= sealed.size <= MAX_SEALED:
            raise self._crashed("it seals what cannot be kept")
        parts, held = [sealed.code], len(sealed.code)
        while held < sealed.size:
            part = self._part(held, min(PART_BYTES, sealed.size - held))
            parts.append(part)
            held += len(part)
        return replace(sealed, code=b"".join(parts))

    def _part(self, offset: int, size: int) -> bytes:
        events = self._exchange(encode_call(Call.MORE, offset))
        if len(events) != 1 or not isinstance(events[0], ModelSealed) or len(events[0].code) != size:
            raise self._crashed("it does not hand out what it sealed")
        return events[0].code

    def _exchange(self, question: bytes) -> tuple[Event, ...]:
        try:
            self._frames.send(question)
            answer = self._receive_untrusted()
        except (TransportError, RemoteError) as error:
            raise self._crashed(str(error), hangs=error.reason is Reason.TIMEOUT) from error
        self._deadline = answer.deadline
        if answer.outcome is Outcome.REFUSED:
            raise EnclaveError(answer.message, reason=answer.reason)
        if answer.outcome is Outcome.FAILED:
            raise self._crashed(answer.message)
        return answer.events

    def _receive_untrusted(self) -> Answer:
        data = self._frames.receive_untrusted()
        if data is None:
            raise TransportError("it closed the boundary")
        return decode_answer_untrusted(data)

    def _crashed(self, why: str, *, hangs: bool = False) -> EnclaveCrashedError:
        ended = self._ending(hangs) if self._ending is not None else ""
        self._deadline = None
        return EnclaveCrashedError(f"the enclave crashed: {why}{ended and f' ({ended})'}")
