"""What a sensor or consumer says happened. Readings, results and salts are never in their text forms."""

from dataclasses import dataclass, field

from protocol.party import Event
from schemas.kinds import Tier
from schemas.reason import Reason
from schemas.status import Refusal


@dataclass(frozen=True, slots=True)
class Answered(Event):
    """A request's result, verified: enclave, tier, receipt and commitments hold.

    `output` is None where the sensor asked for the receipt alone. `bundle` is the encoded `ReceiptBundle`. `step` is
    how many requests of its session the model's state was carried through before, 0 where it started from zeros;
    None where the model has no state.
    """

    request: bytes
    output: bytes | None = field(repr=False)
    bundle: bytes = field(repr=False)
    agent: str
    model: str
    version: int
    tier: Tier
    step: int | None = None


@dataclass(frozen=True, slots=True)
class RequestRefused(Event):
    """An attested enclave refused this request for good; sending it again would change nothing."""

    request: bytes
    agent: str
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class TimedOut(Event):
    """The request's time ran out. `because` is the last known obstacle; `timeout` where nobody answered."""

    request: bytes
    because: Reason


@dataclass(frozen=True, slots=True)
class ResultReceived(Event):
    """A result for this consumer, verified like `Answered`.

    `sender_key` is the thumbprint of the sensor's signing key: the receipt signs it. `sender` is its name as the
    enclave's result gives it: another recipient of the same result could have sealed it again under another name.
    `labels` are the class names that the manifest gives to the output; empty where the manifest has none, or is
    not of this version. `step` is as in `Answered`.
    """

    request: bytes
    sender: str
    sender_key: bytes
    output: bytes = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    bundle: bytes = field(repr=False)
    agent: str
    model: str
    version: int
    tier: Tier
    step: int | None = None
