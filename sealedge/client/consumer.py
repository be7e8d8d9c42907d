"""The consumer: verified results out of an inbox or a model's results topic, each one once.

    result ─> opened with the KEM key ─> attestation result, receipt, version, commitments ─> ResultReceived

A result is remembered on disk one step after its event was handed to the runner: a crash in between hands it over
again when the broker delivers it again, and loses nothing.
"""

from collections.abc import Sequence

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
from sealedge.client.results import ResultCheck, VerifiedResult, correlation_untrusted
from sealedge.client.seen import SeenResults
from sealedge.client.tensors import class_names_untrusted, split_outputs_untrusted
from sealedge.client.versions import ModelVersions

SEEN = 65_536
"""Results that are remembered, so that none is handed over twice."""


class ConsumerParty(Desk):
    """A consumer of results that sensors sealed to its KEM key.

    `models` are those whose manifests (for labels) and results topics it subscribes to, besides its own inbox.
    Results of other models are taken from the inbox, too. `tiers` are good enough for it.

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

    def _deadline(self) -> float | None:
        return self._told_at

    def _due(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - part of the interface
        self._remember_told()
        return []

    def _leaving(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - part of the interface
        self._remember_told()
        return []

    def _revoked(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - part of the interface
        self._check.forget()
        return []

    # Results

    def _result_untrusted(self, delivery: Delivery, now: float) -> Sequence[Event]:
        request = correlation_untrusted(delivery.correlation)
        self.trust.revocations.check_live(now)
        plaintext = self._opener.open_untrusted(delivery.payload, delivery.topic, request)
        verified = self._check.open_untrusted(plaintext, request, now)
        output = verified.result.output
        if output is None:
            raise UnexpectedError("a result without an output")
        identifier = _identifier(verified.receipt)
        if identifier in self._seen:
            self.board.count("duplicates")
            return []
        self._seen.check(verified.receipt.time)
        notes = self._accept_version(verified.receipt)
        self._seen.add(identifier, verified.receipt.time)
        self._told_at = now
        self.board.count("results")
        return [*notes, self._received(verified, output)]

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
        )

    def _labels(self, receipt: Receipt, output: bytes) -> tuple[str, ...]:
        """The class names of the outputs that have some. An output that does not fit its manifest has none."""
        manifest = self.manifest(receipt.model)
        if manifest is None or (manifest.version, manifest.digest) != (receipt.version, receipt.module):
            return ()
        try:
            parts = split_outputs_untrusted(manifest.outputs, output)
            return tuple(name for each in manifest.outputs for name in class_names_untrusted(each, parts[each.name]))
        except RemoteError:
            return ()

    def _remember_told(self) -> None:
        self._seen.write()
        self._told_at = None

    # Manifests

    def _manifest_untrusted(self, delivery: Delivery, model: str, now: float) -> Sequence[Event]:
        if not delivery.payload:
            return []
        manifest = self._manifests.accept_untrusted(delivery.payload, model, now)
        if manifest is None:
            return []
        return [Noted("manifest-accepted", {"model": manifest.model, "version": manifest.version})]


def _identifier(receipt: Receipt) -> bytes:
    """A request of one sender: the receipt signs both, so that no sensor can pass its result off as another's."""
    return digest(receipt.sender + receipt.request)
