"""Parties that take several deliveries in one step, and those that do not (`protocol.party.BatchParty`)."""

from collections.abc import Sequence
from typing import cast

from protocol.party import BatchParty, Delivery, Event, Party


def takes_many(party: Party) -> bool:
    """Whether a party offers `receive_many`."""
    return hasattr(party, "receive_many")


def receive_many(party: Party, deliveries: Sequence[Delivery], now: float) -> Sequence[Event]:
    """Together where the party offers that, one after the other where it does not."""
    if takes_many(party):
        return cast(BatchParty, party).receive_many(deliveries, now)
    return [event for delivery in deliveries for event in party.receive(delivery, now)]
