"""What the link notes for a person: a small fixed vocabulary for `Noted.what`."""

from enum import StrEnum

from protocol.party import Noted


class Note(StrEnum):
    """What happened between a party and its broker."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    DELIVERY_EXPIRED = "delivery-expired"
    DELIVERY_OVERSIZED = "delivery-oversized"
    DELIVERY_UNREADABLE = "delivery-unreadable"
    PUBLICATION_OVERSIZED = "publication-oversized"
    PUBLICATION_REFUSED = "publication-refused"
    PUBLICATION_EXPIRED = "publication-expired"
    PUBLICATION_DROPPED = "publication-dropped"
    SUBSCRIPTION_REFUSED = "subscription-refused"
    PARTY_FAILED = "party-failed"
    LEFT_UNSENT = "left-unsent"


def noted(what: Note, **detail: str | int | float | bool | None) -> Noted:
    """The event for a listener; strings are shortened and escaped, for some of them a stranger chose."""
    return Noted(what.value, {key: _shown(value) for key, value in detail.items()})


def _shown(value: str | int | float | bool | None) -> str | int | float | bool | None:
    return value[:200].encode("unicode_escape").decode("ascii") if isinstance(value, str) else value
