"""What a connection reports to the link that drives it, in the order in which it happened."""

from dataclasses import dataclass

from broker.connack import Limits, Refusal
from protocol.party import Delivery, Noted, Publication


@dataclass(frozen=True, slots=True)
class Opened:
    """The broker accepted the connection and is fit for use."""

    session_present: bool
    limits: Limits


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker answered, and there is no connection."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Arrived:
    """A delivery within the payload cap; `packet_identifier` is None at QoS 0, which is not acknowledged.

    At `useless_at`, on the monotonic clock, its Message Expiry Interval has passed (MQTT 5 §3.3.2.3.3).
    """

    delivery: Delivery
    packet_identifier: int | None
    useless_at: float | None = None


@dataclass(frozen=True, slots=True)
class Discarded:
    """A delivery that no party will see, and why; it is still to be acknowledged."""

    note: Noted
    packet_identifier: int | None


@dataclass(frozen=True, slots=True)
class Taken:
    """The broker answered a QoS 1 publication: it has it, or `failure` says why not (MQTT 5 §3.4.2.1)."""

    publication: Publication
    failure: str | None


@dataclass(frozen=True, slots=True)
class Answered:
    """The broker answered a subscription: granted, or `failure` says why not (MQTT 5 §3.9.3)."""

    topic_filter: str
    failure: str | None


@dataclass(frozen=True, slots=True)
class Returned:
    """In flight on an earlier connection, oldest first, but not fit for this broker's limits as it was sent."""

    publications: tuple[Publication, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """There was a connection, or an attempt at one, and it broke."""

    why: str


Record = Opened | Refused | Arrived | Discarded | Taken | Answered | Returned | Lost
