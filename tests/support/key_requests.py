"""The scene of the attacks on key release: one model, its publisher, an honest enclave and a hostile one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cbor2 import CBORTag

from protocol.cbor import decode_untrusted, encode
from protocol.cose import parse_sign1_untrusted, sign1
from protocol.envelope import Address
from protocol.keys import SigningKey
from protocol.party import Delivery, Event, Publication, Store
from publisher.policy import ReleasePolicy
from schemas.kinds import Kind
from storage.store import MemoryStore
from tests.support.publishing import (
    NOW,
    Enclave,
    Fleet,
    module_of,
    published,
    reason_of,
)

FLEET = Fleet(seed=11)
OTHER_FLEET = Fleet("mill", seed=12)
TOPICS = FLEET.topics


class Scene:
    """One model, its publisher, and two enclaves: an honest one and the attacker's own genuine one."""

    def __init__(self, policy: ReleasePolicy | None = None) -> None:
        self.store: Store = MemoryStore()
        self.model = FLEET.package(self.store, module_of(1))
        self.party = FLEET.run(self.store, policy)
        self.honest, self.mallory = FLEET.enclave("honest"), FLEET.enclave("mallory")
        self.sequence = int(NOW * 1000)

    def ask(self, enclave: Enclave | None = None, **changes: Any) -> Delivery:
        return (enclave or self.mallory).ask(self.model, **changes)

    def try_(self, delivery: Delivery, now: float = NOW) -> Sequence[Event]:
        return self.party.receive(delivery, now)

    def refuses(self, delivery: Delivery, reason: str, now: float = NOW, *, answers: bool) -> Sequence[Event]:
        """The attack fails for this reason, releases nothing, and does not disturb others."""
        events = self.try_(delivery, now)
        assert reason_of(events) == reason
        assert releases(events) == []
        assert bool(published(events)) is answers
        self.serves_others(now)
        return events

    def serves_others(self, now: float = NOW) -> None:
        seconds = int(now)
        passport = self.honest.passport(issued=seconds, expires=seconds + 300, sequence=self.next_sequence())
        asked = self.honest.ask(self.model, attestation_result=passport, issued=seconds)
        assert len(releases(self.try_(asked, now))) == 1

    def next_sequence(self) -> int:
        self.sequence += 1
        return self.sequence


def releases(events: Sequence[Event]) -> list[Publication]:
    return [each for each in published(events) if parse_sign1_untrusted(each.payload).typ == Kind.KEY_RELEASE]


def resigned(delivery: Delivery, fields: dict[int, Any], key: SigningKey) -> Delivery:
    """The delivery with other content under a genuine signature."""
    address = Address(delivery.topic, "publisher-1", fields.get(6, b""))
    aad = address.aad(Kind.KEY_REQUEST, key.public.thumbprint)
    payload = sign1(key, encode(fields), typ=str(Kind.KEY_REQUEST), external_aad=aad)
    return replace(delivery, payload=payload)


def parts(document: bytes) -> list[Any]:
    """The four parts of a COSE_Sign1, to be spliced."""
    return list(decode_untrusted(document).value)


def joined(spliced: list[Any]) -> bytes:
    return encode(CBORTag(18, spliced))


def fields_of(delivery: Delivery) -> dict[int, Any]:
    return dict(decode_untrusted(parts(delivery.payload)[2]))
