"""The model publisher: retained manifests and chunks for everybody, content keys for attested enclaves alone.

connected    subscribe to the key topics, publish all chunks, then the manifests, clear stale chunks
publish      the same for one newly packaged version, with only the chunks that the one before did not have
key request  checked by `publisher.release`, answered in the agent's inbox with a sealed grant or a signed refusal
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.attestation import PassportBook
from protocol.desk import Desk
from protocol.envelope import Address, seal_message, sign_message
from protocol.errors import ConfigurationError, Finding, RemoteError, UnexpectedError
from protocol.keys import SigningKey
from protocol.manifests import open_manifest_untrusted
from protocol.party import Delivery, Event, Noted, Publication, Randomness, Store, Subscription
from protocol.status import refusal_of
from protocol.trust import Trust
from publisher.policy import ReleasePolicy
from publisher.release import Asker, check_release, key_grant, open_key_request_untrusted
from publisher.shelf import Shelf, ShelvedModel
from schemas.kinds import Kind, Role
from schemas.model import KeyGrant
from schemas.reason import Reason

MAX_ANSWERS = 1024
"""Answers kept for repeated key requests; the oldest is dropped, and its request would be sealed anew."""

Detail = dict[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class _Answer:
    payload: bytes = field(repr=False)
    expires: int


class Publisher(Desk):
    """Publishes what was packaged into `store`, and lends the keys under `policy` while it runs.

    `key` and `credential` are the publisher's own. A key request is checked anew each time it comes; a repeated one
    that still passes is answered with the same bytes and prolongs no lease (P7). Raises `ConfigurationError` for a
    store that holds models of another fleet or publisher, `StoreError`.
    """

    role = Role.PUBLISHER

    def __init__(
        self,
        trust: Trust,
        name: str,
        key: SigningKey,
        credential: bytes,
        policy: ReleasePolicy,
        store: Store,
        randomness: Randomness,
    ) -> None:
        super().__init__(trust, name, key)
        self._credential, self._policy, self._randomness = credential, policy, randomness
        self._shelf = Shelf(store)
        self._passports = PassportBook(trust, store)
        self._served: dict[str, ShelvedModel] = {}
        self._retained: dict[str, frozenset[bytes]] = {}
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        self._load()

    def publish(self, model: str, now: float) -> Sequence[Event]:
        """Publish the newest version of a model that was packaged while this party runs.

        From here on the version before is stale, and its key is lent to nobody. Nothing is done twice: a version
        that is served already gives no events. Raises `ConfigurationError` where the model was never packaged.
        """
        newest = self._shelf.newest(model)
        if newest is None:
            raise ConfigurationError(f"no model {model} was packaged into this store")
        before = self._served.get(self.topics.key(model))
        if before is not None and before.digest == newest.digest:
            return []
        self._serve(newest)
        had = self._retained.get(model, frozenset())
        subscription = Subscription(self.topics.key(model))
        return [subscription, *self._publications(newest, had, now), *self._cleared(model)]

    def connected(self, now: float) -> Sequence[Event]:
        """Begin with the newest versions in the store, also those packaged since the last connect."""
        self._load()
        return super().connected(now)

    # The desk

    def _subscriptions(self) -> Sequence[Subscription]:
        return [Subscription(topic) for topic in self._served]

    def _connected(self, now: float) -> Sequence[Event]:
        """Everything again: the broker may have lost what it retained, and does not say so."""
        published = [event for model in self._served.values() for event in self._publications(model, frozenset(), now)]
        return [*published, *self._cleared()]

    def _handle(self, delivery: Delivery, now: float) -> Sequence[Event]:
        model = self._served.get(delivery.topic)
        if model is None:
            raise UnexpectedError("no model is served on this topic", reason=Reason.MODEL_UNKNOWN)
        asker = open_key_request_untrusted(delivery, self.name, self.trust, now)
        self._forget_ended(now)
        try:
            check_release(asker, model, self._policy, self.trust, self._passports, delivery.response_topic, now)
        except RemoteError as error:
            return [*self._refuse(error, delivery, now), self._refusal(error, asker, now)]
        return self._release(asker, model, now)

    def _revoked(self, now: float) -> Sequence[Event]:
        """Revoked models stay served, to be refused by name; their owner is told here."""
        faults = ((model, self._fault(model, now)) for model in self._served.values())
        return [_withheld(model, fault) for model, fault in faults if fault is not None]

    # Models

    def _load(self) -> None:
        for model in self._shelf.models():
            self._serve(model)

    def _serve(self, model: ShelvedModel) -> None:
        manifest = model.manifest
        if (manifest.fleet, manifest.publisher) != (self.trust.fleet, self.name):
            raise ConfigurationError(
                f"the store holds the model {manifest.model} of another publisher",
                finding=Finding(
                    "publisher", f"{self.trust.fleet}/{self.name}", f"{manifest.fleet}/{manifest.publisher}"
                ),
            )
        self._served[self.topics.key(manifest.model)] = model
        self.board.details["models"] = len(self._served)

    def _publications(self, model: ShelvedModel, had: frozenset[bytes], now: float) -> Sequence[Event]:
        """Chunks first: whoever sees the manifest finds them all. Nothing of what everybody would refuse."""
        fault = self._fault(model, now)
        if fault is not None:
            return [_withheld(model, fault)]
        name, chunks = model.manifest.model, frozenset(model.manifest.chunks)
        moved = {each: self._shelf.chunk(each) for each in dict.fromkeys(model.manifest.chunks) if each not in had}
        self._retained[name] = chunks
        return [
            *(Publication(self.topics.chunk(name, each), payload, retain=True) for each, payload in moved.items()),
            Publication(self.topics.manifest(name), model.document, retain=True),
            _published(model, len(chunks) - len(moved), tuple(moved.values())),
        ]

    def _cleared(self, only: str | None = None) -> Sequence[Event]:
        """Empty retained messages in place of the chunks that no version uses any more (MQTT 5 §3.3.1.3)."""
        stale = self._shelf.sweep(only)
        if not stale:
            return []
        cleared = [Publication(self.topics.chunk(model, name), b"", retain=True) for model, name in stale]
        return [*cleared, Noted("chunks-cleared", {"publisher": self.name, "chunks": len(stale)})]

    def _fault(self, model: ShelvedModel, now: float) -> RemoteError | None:
        """Why nobody would accept this manifest now: its credential has ended, or something is revoked."""
        try:
            open_manifest_untrusted(model.document, self.trust, model.manifest.model, now)
        except RemoteError as error:
            return error
        return None

    # Keys

    def _release(self, asker: Asker, model: ShelvedModel, now: float) -> Sequence[Event]:
        known = self._answers.get(asker.content)
        if known is not None:
            self.board.count("repeated")
            return [self._publication(asker, known.payload, known.expires - now)]
        grant = key_grant(asker, model, self._policy, now)
        payload = self._seal(grant, asker)
        self._answers[asker.content] = _Answer(payload, grant.expires)
        if len(self._answers) > MAX_ANSWERS:
            self._answers.popitem(last=False)
        self.board.count("released")
        return [self._publication(asker, payload, grant.expires - now), _released(grant, asker)]

    def _seal(self, grant: KeyGrant, asker: Asker) -> bytes:
        return seal_message(
            Kind.KEY_RELEASE,
            grant,
            self.key,
            asker.passport.kem_key,
            Address(self._inbox(asker), asker.agent, grant.request),
            self._randomness,
            self._credential,
        )

    def _refusal(self, error: RemoteError, asker: Asker, now: float) -> Publication:
        """Always to the inbox of the agent that the verifier names, wherever the request wanted its answer."""
        address = Address(self._inbox(asker), asker.agent, asker.request.request)
        payload = sign_message(Kind.REFUSAL, refusal_of(error, now), self.key, address, self._credential)
        return self._publication(asker, payload, self._policy.request_seconds)

    def _publication(self, asker: Asker, payload: bytes, seconds: float) -> Publication:
        correlation = asker.request.request
        return Publication(self._inbox(asker), payload, expiry=max(1, int(seconds)), correlation=correlation)

    def _inbox(self, asker: Asker) -> str:
        return self.topics.inbox(Role.AGENT, asker.agent)

    def _forget_ended(self, now: float) -> None:
        for passport in self._passports:
            if now >= passport.result.expires:
                self._passports.forget(passport.agent)


def _published(model: ShelvedModel, unchanged: int, moved: Sequence[bytes]) -> Noted:
    manifest = model.manifest
    detail: Detail = {
        "publisher": manifest.publisher,
        "model": manifest.model,
        "version": manifest.version,
        "module_bytes": manifest.size,
        "chunks": len(moved),
        "unchanged": unchanged,
        "bytes": sum(map(len, moved)),
    }
    return Noted("model-published", detail)


def _withheld(model: ShelvedModel, fault: RemoteError) -> Noted:
    manifest = model.manifest
    return Noted("model-withheld", {"model": manifest.model, "version": manifest.version, "why": fault.diagnostics})


def _released(grant: KeyGrant, asker: Asker) -> Noted:
    detail: Detail = {
        "agent": grant.agent,
        "model": grant.model,
        "version": grant.version,
        "tier": asker.passport.result.tier,
        "lease_seconds": grant.expires - grant.issued,
    }
    return Noted("key-released", detail)
