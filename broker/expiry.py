"""How the message expiry interval of a waiting publication shrinks (MQTT 5 §3.3.2.3.3)."""

from dataclasses import replace

from protocol.party import Publication


def aged(publication: Publication, seconds: float) -> Publication | None:
    """The publication after it waited so many seconds: with less expiry left, or None once it has expired."""
    if publication.expiry is None or seconds <= 0:
        return publication
    left = publication.expiry - seconds
    return replace(publication, expiry=max(1, int(left))) if left > 0 else None
