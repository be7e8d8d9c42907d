"""Who listens to everything on the broker, keeps every byte, and looks for what must not be there (P1)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from protocol.party import Delivery, Event, Publication, Subscription

WINDOW = 12
"""Bytes of one needle cut out of a reading: three numbers, too many to be met by chance."""


class Eavesdropper:
    """A party that subscribes to `#` and says nothing."""

    client_id = "eavesdropper"
    deadline = None

    def __init__(self) -> None:
        self.heard: list[Delivery] = []

    def will(self, now: float) -> Publication | None:  # noqa: ARG002 - the interface of a party
        """Nobody shall know."""
        return None

    def connected(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Everything."""
        return [Subscription("#")]

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Keep it."""
        self.heard.append(delivery)
        return []

    def expire(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Never due."""
        return []

    def leaving(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Without a word."""
        return []


@dataclass(frozen=True, slots=True)
class Found:
    """What the search brought. `control` must be above zero: it is what anybody may see, by the same search."""

    messages: int
    bytes: int
    needles: int
    hits: int
    control: int


def search(heard: Iterable[Delivery], needles: Iterable[bytes], control: bytes) -> Found:
    """Look for each needle in every byte that was heard: topics, payloads and properties."""
    heard = list(heard)
    parts = chain.from_iterable(_parts(each) for each in heard)
    hay = b"\xff\x00\xff".join(parts)
    wanted = [needle for needle in needles if needle.strip(b"\0")]
    return Found(
        messages=len(heard),
        bytes=sum(len(each.payload) for each in heard),
        needles=len(wanted),
        hits=sum(needle in hay for needle in wanted),
        control=hay.count(control),
    )


def pieces(secret: bytes, step: int = WINDOW) -> Iterator[bytes]:
    """Needles cut from a longer secret, so that a part of it is found as well."""
    return (secret[start : start + WINDOW] for start in range(0, len(secret) - WINDOW + 1, step))


def private_keys(folder: Path) -> Iterator[bytes]:
    """The secret numbers of every key file below a folder: P-256 scalars and KEM seeds, 32 bytes each."""
    for path in folder.rglob("*.pem"):
        pem = path.read_bytes()
        if b"PRIVATE KEY" in pem:
            key = load_pem_private_key(pem, None)
            if isinstance(key, EllipticCurvePrivateKey):
                yield key.private_numbers().private_value.to_bytes(32, "big")
    for path in folder.rglob("kem.key"):
        yield path.read_bytes()


def _parts(delivery: Delivery) -> Iterator[bytes]:
    yield delivery.topic.encode()
    yield delivery.payload
    yield (delivery.response_topic or "").encode()
    yield delivery.correlation or b""
