"""What the in-memory broker keeps for one client identifier: an MQTT 5 session (§4.1) and its network."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from broker.topic_filter import matches, shared
from protocol.party import Delivery, Event, Party, Publication


@dataclass(frozen=True, slots=True)
class Waiting:
    """One delivery in an inbox. `expires_at` in seconds on the broker's clock (MQTT 5 §3.3.2.3.3)."""

    delivery: Delivery
    qos: int
    expires_at: float | None


@dataclass(slots=True)
class Session:
    """`party` is None while nobody runs; `online` is False while the network between is cut.

    The inbox is the broker's queue and outlives the party; the outbox is the party's and dies with it.
    """

    client_id: str
    party: Party | None = None
    online: bool = False
    will: Publication | None = None
    connects: int = 0
    dies_before_acknowledging: bool = False
    subscriptions: dict[str, int] = field(default_factory=dict)
    inbox: deque[Waiting] = field(default_factory=deque)
    outbox: deque[Event] = field(default_factory=deque)

    def granted(self, topic: str) -> int | None:
        """The highest QoS among the plain subscriptions that match, or None where none does."""
        found = [qos for wanted, qos in self.subscriptions.items() if self._is_plain_match(wanted, topic)]
        return max(found, default=None)

    @staticmethod
    def _is_plain_match(topic_filter: str, topic: str) -> bool:
        name, plain = shared(topic_filter)
        return name is None and matches(plain, topic)

    def shares(self, topic: str) -> Sequence[tuple[str, int]]:
        """The shared subscriptions (MQTT 5 §4.8.2) that match a topic, each with its QoS."""
        return [
            (wanted, qos)
            for wanted, qos in self.subscriptions.items()
            if shared(wanted)[0] is not None and matches(shared(wanted)[1], topic)
        ]

    def end(self) -> None:
        """Forget the party, and what it had not published yet."""
        self.party = None
        self.dies_before_acknowledging = False
        self.outbox.clear()

    def forget_unreliable(self) -> None:
        """Drop what waits at QoS 0: nobody keeps it for a client that is away (MQTT 5 §4.3.1)."""
        self.inbox = deque(waiting for waiting in self.inbox if waiting.qos > 0)


def delivery_of(publication: Publication, *, retained: bool = False) -> Delivery:
    """The delivery as a subscriber sees it; content type and expiry do not reach a party."""
    return Delivery(
        topic=publication.topic,
        payload=publication.payload,
        response_topic=publication.response_topic,
        correlation=publication.correlation,
        retained=retained,
    )
