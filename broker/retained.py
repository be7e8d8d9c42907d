"""The retained messages of the in-memory broker (MQTT 5 §3.3.1.3)."""

from collections.abc import Iterator
from dataclasses import dataclass

from broker.expiry import aged
from broker.topic_filter import matches
from protocol.party import Publication


@dataclass(frozen=True, slots=True)
class _Kept:
    publication: Publication
    since: float


class Retained:
    """The last retained publication of every topic, and every one that it replaced.

    `history` is what a hostile broker remembers: it holds what was deleted, replaced or has expired, oldest first.
    """

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self.history: list[Publication] = []

    def keep(self, publication: Publication, now: float) -> None:
        """Replace what is retained for the topic; an empty payload deletes it (MQTT-3.3.1-6)."""
        self.history.append(publication)
        if publication.payload:
            self._kept[publication.topic] = _Kept(publication, now)
        else:
            self._kept.pop(publication.topic, None)

    def matching(self, topic_filter: str, now: float) -> Iterator[Publication]:
        """What a new subscription is sent: unexpired, each with the expiry it has left."""
        for topic, kept in tuple(self._kept.items()):
            left = aged(kept.publication, now - kept.since)
            if left is None:
                del self._kept[topic]
            elif matches(topic_filter, topic):
                yield left

    def find(self, topic: str, now: float) -> Publication | None:
        """What is retained for exactly this topic, or None."""
        return next(self.matching(topic, now), None)

    def __len__(self) -> int:
        return len(self._kept)
