"""The models an enclave holds: manifest, key, chunks, module; each lent for a time, each erased when that ends.

manifest ─> what the host keeps, sealed ─────────────────────┐
         └> key request ─> key grant ─> chunks ─> compiled ─┴> module running ─> key request (renewal) ─> ...
"""

from collections.abc import Sequence

from edge_agent.enclave.lending import check_grant, key_request
from edge_agent.enclave.loading import Loader, Running, Wanted
from edge_agent.enclave.needs import ChunksNeeded, SealedModelNeeded
from edge_agent.enclave.sealed_cache import SealedCache
from edge_agent.enclave.sealed_models import SealedModels
from protocol.attestation import Passport
from protocol.delivery import decrypt_chunks_untrusted, open_index_untrusted
from protocol.envelope import Address, open_sealed_untrusted, signer_credential_untrusted
from protocol.errors import AppraisalError, EnclaveError, Finding, FreshnessError, RemoteError
from protocol.kem_keys import KemPrivateKey
from protocol.keys import SigningKey
from protocol.manifests import ManifestBook
from protocol.messages import digest
from protocol.party import Delivery, Event, Noted, Randomness
from protocol.trust import Trust, check_times
from schemas.attestation import LoadedModel
from schemas.kinds import Kind, Role
from schemas.model import KeyGrant
from schemas.reason import Reason

ASK_AGAIN = 5.0
"""Seconds after which an unanswered key request is sent anew."""

FAILED_WAIT = 30.0
"""Seconds to wait after a refusal or a failed delivery."""


class ModelShelf:
    """All models of one enclave."""

    def __init__(
        self,
        trust: Trust,
        agent: str,
        key: SigningKey,
        book: ManifestBook,
        load: Loader,
        randomness: Randomness,
        cache: SealedCache | None = None,
    ) -> None:
        """Without a `cache`, nothing of a model outlives the enclave."""
        self._trust, self._agent, self._key = trust, agent, key
        self._book, self._load, self._randomness = book, load, randomness
        self._sealed = SealedModels(trust, load, cache)
        self._wanted: dict[str, Wanted] = {}
        self._running: dict[str, Running] = {}

    @property
    def loaded(self) -> tuple[LoadedModel, ...]:
        """What stands in the enclave's claims."""
        return tuple(
            LoadedModel(model=name, version=each.manifest.version, digest=each.manifest.digest)
            for name, each in sorted(self._running.items())
        )

    def running(self, model: str, now: float) -> Running:
        """The module, while its lease runs. Raises `AppraisalError` (model-unknown, lease-expired)."""
        found = self._running.get(model)
        if found is None:
            raise AppraisalError(
                "this model is not loaded", reason=Reason.MODEL_UNKNOWN, finding=Finding("model", model, "not loaded")
            )
        if now >= found.expires:
            raise AppraisalError("the model's lease has ended", reason=Reason.LEASE_EXPIRED)
        return found

    def holds(self, running: Running) -> bool:
        """Whether this very module, as it was loaded, is still here."""
        return self._running.get(running.manifest.model) is running

    def accept_manifest_untrusted(self, data: bytes, model: str, passport: Passport | None, now: float) -> list[Event]:
        """Take a manifest; ask for its key if it is new."""
        if not data:
            return []
        manifest = self._book.accept_untrusted(data, model, now)
        if manifest is None:
            return []
        self._wanted[model] = Wanted(manifest, digest(data), self._book.publisher(model))
        return self.ask(passport, now)

    def ask(self, passport: Passport | None, now: float) -> list[Event]:
        """Ask for all that is wanted and not asked for lately. Without a live passport nothing is asked (P3)."""
        if passport is None:
            return []
        due = [each for each in self._wanted.values() if each.ask_at <= now and each.index is None]
        return [self._asking(each, passport, now) for each in due]

    def sealed_model_read_untrusted(
        self, model: str, lease: bytes, code: bytes, passport: Passport, now: float
    ) -> list[Event]:
        """Take what the host kept: if all of it holds, the model runs; if not, why is noted, and its key asked for."""
        wanted = self._wanted.get(model)
        if wanted is None or not wanted.looking:
            return []
        wanted.looking = False
        if not lease:
            return [self._key_request(wanted, passport, now)]
        try:
            self._running[model] = self._sealed.restored(wanted, lease, code, passport, now)
        except (RemoteError, EnclaveError) as error:
            detail = {"model": model, "reason": error.reason.value, "why": error.diagnostics}
            # With a newer revocation list, the same bytes may hold.
            ended = [] if error.reason is Reason.STALE else self._sealed.ended(model)
            return [Noted("sealed-model-refused", {**detail}), *ended, self._key_request(wanted, passport, now)]
        del self._wanted[model]
        expires = int(wanted.expires - now)
        return [Noted("model-restored", {"model": model, "version": wanted.manifest.version, "lease_seconds": expires})]

    def accept_grant_untrusted(
        self, delivery: Delivery, keys: Sequence[KemPrivateKey], now: float, passport: Passport | None = None
    ) -> list[Event]:
        """Take a key release: renew the lease of what runs, or name the chunks that the host shall fetch."""
        wanted = self._asked(delivery.correlation)
        if wanted is None or wanted.index is not None or wanted.request is None:
            raise FreshnessError("a key release that nobody asked for", reason=Reason.UNEXPECTED)
        manifest = wanted.manifest
        publisher = self._trust.identify_untrusted(signer_credential_untrusted(delivery.payload), now, Role.PUBLISHER)
        address = Address(delivery.topic, self._agent, wanted.request)
        grant = open_sealed_untrusted(KeyGrant, delivery.payload, Kind.KEY_RELEASE, publisher.key, keys, address)
        check_grant(grant, manifest, wanted.digest, wanted.request, self._agent, publisher.name)
        check_times("key-release", grant.issued, grant.expires, now)
        index = open_index_untrusted(manifest, grant.content_key)
        renew_at = now + (grant.expires - now) / 2
        detail: dict[str, str | int | float | bool | None] = {
            "model": manifest.model,
            "version": manifest.version,
            "lease_seconds": int(grant.expires - now),
        }
        running = self._running.get(manifest.model)
        if running is not None and running.manifest_digest == wanted.digest:
            running.expires, running.renew_at = grant.expires, renew_at
            del self._wanted[manifest.model]
            return [Noted("key-renewed", detail), *self._sealed.kept(running, passport)]
        wanted.index, wanted.expires, wanted.renew_at = index, grant.expires, renew_at
        return [Noted("key-released", detail), ChunksNeeded(manifest.model, manifest.chunks)]

    def chunks_collected_untrusted(
        self, model: str, payloads: Sequence[bytes], now: float, passport: Passport | None = None
    ) -> list[Event]:
        """Decrypt, check, compile: from here on the model runs, and with a `passport` it is sealed for the next start.

        Raises `RemoteError` for wrong chunks, and where the lease ended meanwhile (P3): the key is asked for again
        later. Raises `EnclaveError` for a module that will not run: it is not asked for again until a newer manifest
        comes, unless the fault was this enclave's own (internal).
        """
        wanted = self._wanted.get(model)
        if wanted is None or wanted.index is None:
            return []
        index, wanted.index, wanted.ask_at = wanted.index, None, now + FAILED_WAIT
        if now >= wanted.expires:
            raise AppraisalError("the model's lease ended before its chunks came", reason=Reason.LEASE_EXPIRED)
        module = decrypt_chunks_untrusted(wanted.manifest, index, payloads)
        running, machine_code = self._loaded(wanted, module)
        self._running[model] = running
        del self._wanted[model]
        detail: dict[str, str | int | float | bool | None] = {
            "model": model,
            "version": wanted.manifest.version,
            "bytes": len(module),
            "chunks": len(payloads),
        }
        return [Noted("model-loaded", detail), *self._sealed.kept(running, passport, module, machine_code)]

    def _loaded(self, wanted: Wanted, module: bytes) -> tuple[Running, bytes]:
        manifest = wanted.manifest
        try:
            loaded = self._load(module, manifest.limits, None)
        except EnclaveError as error:
            if error.reason is not Reason.INTERNAL:
                del self._wanted[manifest.model]
            raise
        return wanted.running(loaded.compute), loaded.machine_code

    def refused(self, request: bytes | None, by: str, now: float) -> None:
        """A key request was refused: ask again later. Counts once, and from the model's publisher alone."""
        wanted = self._asked(request)
        if wanted is not None and wanted.index is None and wanted.manifest.publisher == by:
            wanted.request, wanted.ask_at = None, now + FAILED_WAIT

    def expire(self, passport: Passport | None, now: float) -> list[Event]:
        """Erase what has ended, ask for what ends soon. Without a live passport nothing is kept (P3)."""
        if passport is None:
            return self.erase_all("not-attested")
        events: list[Event] = []
        for name in [name for name, each in self._running.items() if now >= each.expires]:
            events += self._erase(name, "lease-expired")
        for name, running in self._running.items():
            if name not in self._wanted and now >= running.renew_at:
                self._wanted[name] = Wanted(running.manifest, running.manifest_digest, running.publisher)
        return [*events, *self.ask(passport, now)]

    def erase_revoked(self) -> list[Event]:
        """Erase every model that the revocation list names, running or on its way (P9)."""
        events: list[Event] = []
        for name in [name for name, each in self._running.items() if self._is_revoked(each)]:
            events += self._erase(name, "revoked")
        for name in [name for name, each in self._wanted.items() if self._is_revoked(each)]:
            del self._wanted[name]
            events += self._sealed.ended(name)
        for each in self._wanted.values():
            # What the host keeps may have been refused for want of this very list.
            each.looked = False
        return events

    def erase_all(self, why: str) -> list[Event]:
        """Erase every model, and every key to one: the enclave's own passport has ended or is revoked."""
        self._wanted = {name: each.afresh() for name, each in self._wanted.items()}
        return [event for name in list(self._running) for event in self._erase(name, why)]

    @property
    def deadline(self) -> float | None:
        """When `expire` has something to do."""
        asked = [each.ask_at for each in self._wanted.values() if each.index is None and each.ask_at > 0]
        ends = [each.expires for each in self._running.values()]
        renewals = [each.renew_at for name, each in self._running.items() if name not in self._wanted]
        return min((*asked, *ends, *renewals), default=None)

    def _erase(self, name: str, why: str) -> list[Event]:
        running = self._running.pop(name)
        self._wanted.setdefault(name, Wanted(running.manifest, running.manifest_digest, running.publisher))
        erased = Noted("model-erased", {"model": name, "version": running.manifest.version, "why": why})
        # A passport that lapsed may come back while the lease runs; what has ended or is revoked does not.
        return [erased] if why == "not-attested" else [erased, *self._sealed.ended(name)]

    def _asking(self, wanted: Wanted, passport: Passport, now: float) -> Event:
        """The host is asked first, once; the publisher then."""
        if not self._sealed.enabled or wanted.looked or wanted.manifest.model in self._running:
            return self._key_request(wanted, passport, now)
        wanted.looked = wanted.looking = True
        wanted.ask_at = now + ASK_AGAIN
        return SealedModelNeeded(wanted.manifest.model)

    def _asked(self, request: bytes | None) -> Wanted | None:
        if request is None:
            return None
        return next((each for each in self._wanted.values() if each.request == request), None)

    def _is_revoked(self, model: Running | Wanted) -> bool:
        try:
            self._trust.revocations.check("model", model.manifest.digest)
            self._trust.check_not_revoked(model.publisher)
        except RemoteError:
            return True
        return False

    def _key_request(self, wanted: Wanted, passport: Passport, now: float) -> Event:
        wanted.request, wanted.ask_at = self._randomness(16), now + ASK_AGAIN
        wanted.looking = False
        return key_request(self._trust, passport, self._key, wanted.manifest, wanted.digest, wanted.request, now)
