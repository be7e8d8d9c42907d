"""Models over a restart: sealed for the host to keep, taken back where they still hold.

The publisher is not asked, so the enclave looks at all that the publisher would look at (P3, P6, P8, P9).
"""

from edge_agent.enclave.loading import Loader, Running, Wanted
from edge_agent.enclave.needs import ModelSealed, SealedModelEnded
from edge_agent.enclave.sealed_cache import ModelCode, ModelLease, SealedCache
from protocol.attestation import Passport
from protocol.errors import AppraisalError, Finding, FreshnessError
from protocol.party import Event, Noted
from protocol.trust import Trust
from schemas.reason import Reason


class SealedModels:
    """Without a `cache`, nothing of a model outlives the enclave."""

    def __init__(self, trust: Trust, load: Loader, cache: SealedCache | None) -> None:
        self._trust, self._load, self._cache = trust, load, cache

    @property
    def enabled(self) -> bool:
        """Whether the host is worth asking."""
        return self._cache is not None

    def kept(
        self, running: Running, passport: Passport | None, module: bytes = b"", machine_code: bytes = b""
    ) -> list[Event]:
        """For the host to keep: the lease, and with it the code where that is new."""
        if self._cache is None or passport is None:
            return []
        manifest, named = running.manifest, running.manifest_digest
        code: bytes | None = b""
        if machine_code:
            made = ModelCode(module=module, machine_code=machine_code)
            code = self._cache.seal_code(manifest, named, passport, made)
        if code is None:
            return [Noted("model-not-kept", {"model": manifest.model, "why": "larger than what is kept"})]
        lease = self._cache.seal_lease(manifest, named, passport, self._lease(running))
        return [ModelSealed(manifest.model, lease, code, len(code))]

    def restored(self, wanted: Wanted, lease: bytes, code: bytes, passport: Passport, now: float) -> Running:
        """The model, running: this enclave sealed it for this manifest, and its publisher lent it until after `now`.

        Raises `RemoteError` (decryption-failed, lease-expired, revoked, stale ...), and `EnclaveError` for a module
        that does not run.
        """
        if self._cache is None:
            raise AppraisalError("no model is kept here", reason=Reason.UNEXPECTED)
        found = self._cache.open_untrusted(wanted.manifest, wanted.digest, passport, lease, code)
        self._check_still_lent(wanted, found.lease, passport, now)
        loaded = self._load(found.code.module, wanted.manifest.limits, found.code.machine_code)
        wanted.expires, wanted.renew_at = found.lease.expires, found.lease.renew_at
        return wanted.running(loaded.compute)

    def ended(self, model: str) -> list[Event]:
        """Tell the host that what it keeps of this model is of no use any more."""
        return [] if self._cache is None else [SealedModelEnded(model)]

    def _lease(self, running: Running) -> ModelLease:
        return ModelLease(
            expires=int(running.expires),
            renew_at=int(running.renew_at),
            revocations=max(self._trust.revocations.sequence, 0),
        )

    def _check_still_lent(self, wanted: Wanted, lease: ModelLease, passport: Passport, now: float) -> None:
        if now >= lease.expires:
            raise AppraisalError(
                "the model's lease ended meanwhile",
                reason=Reason.LEASE_EXPIRED,
                finding=Finding("lease.expires", f"> {int(now)}", str(lease.expires)),
            )
        revocations = self._trust.revocations
        revocations.check("model", wanted.manifest.digest)
        self._trust.check_standing(wanted.publisher, now)
        passport.check_live(now)
        passport.check_tier(wanted.manifest.tiers, "manifest.tiers")
        revocations.check_live(now)
        # With an older list than before the restart, what was revoked meanwhile would not be seen.
        if revocations.sequence < lease.revocations:
            raise FreshnessError(
                "an older revocation list than the one that was in force",
                reason=Reason.STALE,
                finding=Finding("revocations.sequence", f">= {lease.revocations}", str(revocations.sequence)),
            )
