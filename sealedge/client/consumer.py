"""The consumer: verified results out of an inbox or a model's results topic, each one once.

    result ─> opened with the KEM key ─> attestation result, receipt, version, commitments ─> ResultReceived

A result is remembered on disk one step after its event was handed to the runner: a crash in between hands it over
again when the broker delivers it again, and loses nothing. One that comes before the manifest that it is read by
waits on disk, sealed, as `sealedge.client.held` says.
"""

from collections.abc import Sequence

from protocol.carried import shown_outputs
from protocol.desk import Desk
from protocol.errors import RemoteError, UnexpectedError
from protocol.kem_keys import KemPrivateKey
from protocol.keys import SigningKey
from protocol.manifests import ManifestBook
from protocol.messages import digest
from protocol.party import Delivery, Event, Noted, Store, Subscription
from protocol.results import ResultOpener
from protocol.trust import Trust
from schemas.base import Name
from schemas.kinds import Role, Tier
from schemas.model import Manifest
from schemas.session import Receipt
from sealedge.client.events import ResultReceived
from sealedge.client.held import HeldResults
from sealedge.client.missing import MissingResults
from sealedge.client.results import ResultCheck, VerifiedResult, correlation_untrusted
from sealedge.client.seen import SeenResults
from sealedge.client.tensors import class_names_untrusted, sized_untrusted, split_outputs_untrusted
from sealedge.client.versions import ModelVersions

SEEN = 65_536
"""Results that are remembered, so that none is handed over twice."""


class ConsumerParty(Desk):
    """A consumer of results that sensors sealed to its KEM key.

    `models` are those whose manifests (for labels) and results topics it subscribes to, besides its own inbox.
    Results of other models are taken from the inbox, too. A result of these models waits for the manifest of its
    version, but not for long. `tiers` are good enough for it.

    Results are refused while no revocation list is in force: a broker that holds the list back would otherwise
    keep a revoked enclave in business.

    Raises:
        StoreError: the store fails.
    """

    role = Role.CONSUMER

    def __init__(
        self,
        trust: Trust,
        name: str,
        key: SigningKey,
        kem_key: KemPrivateKey,
        store: Store,
        *,
        tiers: tuple[Tier, ...],
        models: tuple[Name, ...] = (),
        seen: int = SEEN,
    ) -> None:
        super().__init__(trust, name, key)
        self._opener = ResultOpener(trust.fleet, kem_key)
        self._check = ResultCheck(trust, tiers, "consumer.tiers")
        self._versions = ModelVersions(store)
        self._manifests = ManifestBook(trust, store)
        self._seen = SeenResults(store, seen)
        self._held = HeldResults(store, models, self._seen)
        self._missing = MissingResults(store)
        self._told_at: float | None = None
        topics = self.topics
        self._manifest_topics = {topics.manifest(model): model for model in models}
        self._result_topics = (topics.inbox(Role.CONSUMER, name), *(topics.results(model) for model in models))

    def manifest(self, model: str) -> Manifest | None:
        """The newest manifest of a model, verified; None while none has come."""
        return next((manifest for manifest, _ in self._manifests if manifest.model == model), None)

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:
        """Take one delivery."""
        self._remember_told()
        return super().receive(delivery, now)

    def _subscriptions(self) -> Sequence[Subscription]:
        # Manifests first: a retained one is there before the first result wants its labels.
        return [Subscription(topic) for topic in (*self._manifest_topics, *self._result_topics)]

    def _handle(self, delivery: Delivery, now: float) -> Sequence[Event]:
        if delivery.topic in self._result_topics:
            return self._result_untrusted(delivery, now)
        model = self._manifest_topics.get(delivery.topic)
        if model is None:
            raise UnexpectedError("nothing is expected on this topic")
        return self._manifest_untrusted(delivery, model, now)

    def _connected(self, now: float) -> Sequence[Event]:
        self._held.begin(now)
        self._missing.begin(now)
        return []

    def _deadline(self) -> float | None:
        due = (self._told_at, self._held.due, self._missing.due)
        return min((each for each in due if each is not None), default=None)

    def _due(self, now: float) -> Sequence[Event]:
        self._remember_told()
        return [*self._let_go_ready(now), *self._tell_missing(self._missing.take(now), now)]

    def _leaving(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - part of the interface
        self._remember_told()
        return []

    def _revoked(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - part of the interface
        self._check.forget()
        return []

    # Results

    def _result_untrusted(self, delivery: Delivery, now: float) -> Sequence[Event]:
        verified, output = self._open_untrusted(delivery, now)
        receipt = verified.receipt
        notes = self._tell_missing(self._missing.came(receipt, now), now)
        identifier = _identifier(receipt)
        if identifier in self._seen or identifier in self._held:
            self.board.count("duplicates")
            return notes
        self._seen.check(receipt.time)
        notes += self._accept_version(receipt)
        if self._lacks_manifest(receipt) and self._held.wants(receipt.model, receipt.version, len(delivery.payload)):
            self._held.hold(identifier, receipt.model, receipt.version, delivery, now)
            return notes
        return [*notes, self._hand_over(verified, output, now)]

    def _open_untrusted(self, delivery: Delivery, now: float) -> tuple[VerifiedResult, bytes]:
        request = correlation_untrusted(delivery.correlation)
        self.trust.revocations.check_live(now)
        plaintext = self._opener.open_untrusted(delivery.payload, delivery.topic, request)
        verified = self._check.open_untrusted(plaintext, request, now)
        if verified.result.output is None:
            raise UnexpectedError("a result without an output")
        return verified, verified.result.output

    def _let_go_ready(self, now: float) -> list[Event]:
        return [event for delivery in self._held.take(now) for event in self._let_go(delivery, now)]

    def _let_go(self, delivery: Delivery, now: float) -> Sequence[Event]:
        """What was held is verified again: something may have been revoked since. Its version was accepted then."""
        try:
            return [self._hand_over(*self._open_untrusted(delivery, now), now)]
        except RemoteError as error:
            return self._refuse(error, delivery, now)

    def _hand_over(self, verified: VerifiedResult, output: bytes, now: float) -> ResultReceived:
        self._seen.add(_identifier(verified.receipt), verified.receipt.time)
        self._told_at = now
        self.board.count("results")
        return self._received(verified, output)

    def _lacks_manifest(self, receipt: Receipt) -> bool:
        manifest = self.manifest(receipt.model)
        return manifest is None or manifest.version < receipt.version

    def _accept_version(self, receipt: Receipt) -> list[Event]:
        """Raises `FreshnessError` (stale) where this agent went back; notes an agent that lags behind others."""
        model, version, agent = receipt.model, receipt.version, receipt.agent
        self._versions.check(model, version, agent)
        self._versions.accepted(model, version, agent)
        highest = self._versions.highest(model)
        self._versions.accepted(model, version)
        if version >= highest:
            return []
        return [Noted("older-version", {"agent": agent, "model": model, "version": version, "highest": highest})]

    def _received(self, verified: VerifiedResult, output: bytes) -> ResultReceived:
        receipt = verified.receipt
        return ResultReceived(
            request=receipt.request,
            sender=verified.result.sender,
            sender_key=receipt.sender,
            output=output,
            labels=self._labels(receipt, output),
            bundle=verified.bundle,
            agent=receipt.agent,
            model=receipt.model,
            version=receipt.version,
            tier=receipt.tier,
            step=verified.step,
        )

    def _labels(self, receipt: Receipt, output: bytes) -> tuple[str, ...]:
        """The class names of the outputs that have some. An output that does not fit its manifest has none."""
        manifest = self.manifest(receipt.model)
        if manifest is None or (manifest.version, manifest.digest) != (receipt.version, receipt.module):
            return ()
        try:
            specs = sized_untrusted(shown_outputs(manifest), output)
            parts = split_outputs_untrusted(specs, output)
            return tuple(name for each in specs for name in class_names_untrusted(each, parts[each.name]))
        except RemoteError:
            return ()

    def _tell_missing(self, notes: list[Noted], now: float) -> list[Event]:
        for note in notes:
            self.board.count("missing", int(str(note.detail["count"])))
            self._told_at = now
        return [*notes]

    def _remember_told(self) -> None:
        # Numbers first: what came and is not known to be seen is handed over again, and is not missing.
        self._missing.write()
        self._seen.write()
        self._held.forget_taken()
        self._told_at = None

    # Manifests

    def _manifest_untrusted(self, delivery: Delivery, model: str, now: float) -> Sequence[Event]:
        if not delivery.payload:
            return []
        manifest = self._manifests.accept_untrusted(delivery.payload, model, now)
        if manifest is None:
            return []
        self._held.settle(manifest.model, manifest.version, now)
        note = Noted("manifest-accepted", {"model": manifest.model, "version": manifest.version})
        return [note, *self._let_go_ready(now)]


def _identifier(receipt: Receipt) -> bytes:
    """A request of one sender: the receipt signs both, so that no sensor can pass its result off as another's."""
    return digest(receipt.sender + receipt.request)
