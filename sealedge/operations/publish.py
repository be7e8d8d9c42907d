"""Publishing one retained document with somebody's account on the broker: what the authority signed offline."""

from collections.abc import Sequence
from typing import Final

from broker.link import Link
from broker.notes import Note
from broker.settings import ConnectionSettings
from protocol.errors import TransportError
from protocol.party import Delivery, Event, Noted, Publication
from schemas.reason import Reason

_FAULTS: Final = {
    Note.PUBLICATION_REFUSED,
    Note.PUBLICATION_OVERSIZED,
    Note.PUBLICATION_EXPIRED,
    Note.PUBLICATION_DROPPED,
    Note.LEFT_UNSENT,
}


class Courier:
    """A party that says one thing and goes. It has no key: what it brings is signed already."""

    deadline = None

    def __init__(self, client_id: str, publication: Publication) -> None:
        self.client_id, self._publication = client_id, publication

    def will(self, now: float) -> Publication | None:  # noqa: ARG002 - the interface of a party
        """None: nobody waits for it."""
        return None

    def connected(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """The document."""
        return [self._publication]

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Subscribed to nothing."""
        return []

    def expire(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Never due."""
        return []

    def leaving(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Nothing to add."""
        return []


def publish_retained(connection: ConnectionSettings, client_id: str, topic: str, payload: bytes) -> None:
    """Returns when the broker has it. Raises `TransportError` where it is out of reach, or does not take it."""
    faults: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, Noted) and event.what == Note.CONNECTED:
            # Leaving waits for what is unacknowledged.
            link.stop()
        elif isinstance(event, Noted) and event.what in _FAULTS:
            faults.append(f"{event.what}: {event.detail.get('why', '')}")

    link = Link(Courier(client_id, Publication(topic, payload, retain=True)), connection, listener=listen)
    link.run()
    if faults:
        raise TransportError(f"the broker did not take it: {faults[-1]}", reason=Reason.TRANSPORT_FAILED)
