"""How a request ended, as a program sees it: a `Result`, or an exception that says why there is none."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from protocol.carried import sent_inputs, shown_outputs
from protocol.errors import ConfigurationError, EnclaveError, Finding, SealedgeError, TransportError
from schemas.kinds import Tier
from schemas.model import Manifest, TensorSpec
from schemas.reason import Reason
from sealedge.client.events import Answered, RequestRefused, ResultReceived, TimedOut
from sealedge.client.tensors import (
    Number,
    class_names_untrusted,
    decode_array_untrusted,
    decode_values_untrusted,
    sized_untrusted,
    split_outputs_untrusted,
)

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Result:
    """A verified result. Its text form shows no data.

    `raw` is the module's output, None where the sensor asked for the receipt alone. `receipt` is an encoded
    `ReceiptBundle`: what `sealedge receipt verify` reads. The methods decode `raw` by the manifest.

    `step` is None but for models with state, which the enclave carries between the requests of a session: it says
    how many results the state was carried through before this one. 0 means that it started from zeros: the first
    result of a session, which the SDK opens anew when one ends, its enclave is lost, or the model has a new version.
    """

    request: bytes
    raw: bytes | None = field(repr=False)
    receipt: bytes = field(repr=False)
    agent: str
    model: str
    version: int
    tier: Tier
    specs: tuple[TensorSpec, ...] = field(default=(), repr=False)
    step: int | None = None

    @property
    def output(self) -> "np.ndarray[Any, Any]":
        """The first output as a numpy array. Raises as `array` does."""
        return self.array()

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in all outputs that have labels; empty where there are none."""
        if self.raw is None or not self.specs:
            return ()
        specs = sized_untrusted(self.specs, self.raw)
        parts = split_outputs_untrusted(specs, self.raw)
        return tuple(name for spec in specs for name in class_names_untrusted(spec, parts[spec.name]))

    def array(self, name: str | None = None) -> "np.ndarray[Any, Any]":
        """An output as a numpy array; the first without a `name`.

        Raises `ConfigurationError` where numpy, the manifest of this version, that output or any output is missing,
        `MalformedError` where the output does not fit its manifest.
        """
        spec, data = self._part(name)
        return decode_array_untrusted(spec, data)

    def values(self, name: str | None = None) -> tuple[Number, ...]:
        """An output as numbers in a row, without numpy. Raises as `array` does."""
        spec, data = self._part(name)
        return decode_values_untrusted(spec, data)

    def _part(self, name: str | None) -> tuple[TensorSpec, bytes]:
        if self.raw is None:
            raise ConfigurationError("this sensor asks for receipts alone: set return_result")
        if not self.specs:
            raise ConfigurationError(f"no manifest of {self.model} version {self.version} is here: take `raw`")
        specs = sized_untrusted(self.specs, self.raw)
        spec = next((each for each in specs if name in {None, each.name}), None)
        if spec is None:
            names = " or ".join(each.name for each in self.specs)
            raise ConfigurationError("no such output", finding=Finding("output", names, str(name)))
        return spec, split_outputs_untrusted(specs, self.raw)[spec.name]


@dataclass(frozen=True, slots=True)
class ReceivedResult(Result):
    """A consumer's result: `sender_key` is what the receipt says of the sensor, `sender` what the enclave calls it."""

    sender: str = ""
    sender_key: bytes = b""


class Pending(Future[Result]):
    """A request on its way: a future of its `Result`. `request` (16 bytes) outlives a restart of the program."""

    def __init__(self, request: bytes) -> None:
        super().__init__()
        self.request = request


def answer_of(event: Answered, manifest: Manifest | None) -> Result:
    """The result, decodable where `manifest` is of its version."""
    return Result(**_common(event, manifest))


def result_of(event: ResultReceived, manifest: Manifest | None) -> ReceivedResult:
    """The same for a consumer."""
    return ReceivedResult(**_common(event, manifest), sender=event.sender, sender_key=event.sender_key)


def _common(event: Answered | ResultReceived, manifest: Manifest | None) -> dict[str, Any]:
    return {
        "request": event.request,
        "raw": event.output,
        "receipt": event.bundle,
        "agent": event.agent,
        "model": event.model,
        "version": event.version,
        "tier": event.tier,
        "step": event.step,
        "specs": shown_outputs(manifest) if manifest is not None and manifest.version == event.version else (),
    }


def error_of(event: RequestRefused | TimedOut) -> SealedgeError:
    """Why there is no result."""
    if isinstance(event, TimedOut):
        return TransportError(f"no result in time for request {event.request.hex()}", reason=event.because)
    refusal = event.refusal
    finding = Finding(refusal.claim or "", refusal.expected or "", refusal.found or "", refusal.policy or "")
    return EnclaveError(f"the enclave of {event.agent} refused the request", reason=refusal.reason, finding=finding)


def checked_specs(manifest: Manifest | None) -> Sequence[TensorSpec]:
    """The inputs that a sensor sends to a model. Raises `TransportError` (model-unknown) where no manifest has come."""
    if manifest is None:
        raise TransportError("no manifest of the model has come: is it published?", reason=Reason.MODEL_UNKNOWN)
    return sent_inputs(manifest)


def settle(pending: Pending, event: Answered | RequestRefused | TimedOut, manifest: Manifest | None) -> None:
    """Let whoever waits for this request go on. A future that was cancelled stays so."""
    if not isinstance(event, Answered):
        fail(pending, error_of(event))
    elif pending.set_running_or_notify_cancel():
        pending.set_result(answer_of(event, manifest))


def fail(pending: Pending, error: SealedgeError) -> None:
    """Let whoever waits for this request know why there is no result."""
    if pending.set_running_or_notify_cancel():
        pending.set_exception(error)
