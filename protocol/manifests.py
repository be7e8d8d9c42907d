"""Signed manifests, and the newest one of each model that everybody holds.

authority ─> publisher's credential ─> manifest ─> digests of the module and of its encrypted chunks
"""

from collections.abc import Iterator
from contextlib import suppress

from protocol.carried import check_state
from protocol.cbor import decode_untrusted, encode
from protocol.envelope import open_document_untrusted, signer_credential_untrusted
from protocol.errors import AppraisalError, AuthenticationError, Finding, FreshnessError, MalformedError, StoreError
from protocol.messages import digest
from protocol.party import Store
from protocol.trust import Identity, Trust, check_same, check_times
from schemas.kinds import Kind, Role
from schemas.model import Manifest
from schemas.reason import Reason

BUCKET = "manifests"


def open_manifest_untrusted(data: bytes, trust: Trust, model: str, now: float) -> tuple[Manifest, bytes]:
    """Returns the manifest of `model` and its digest (SHA-256 of the signed document, the name it goes by).

    After the call: a publisher of this fleet, whose credential holds now, signed it for this model; the module is
    not revoked; its state fits its tensors. Whether a newer version exists is asked of a `ManifestBook` (P8).

    Raises `AuthenticationError`, `FreshnessError`, `AppraisalError` (revoked), `MalformedError`.
    """
    manifest, _ = _open_untrusted(data, trust, model, now)
    return manifest, digest(data)


def _open_untrusted(data: bytes, trust: Trust, model: str, now: float) -> tuple[Manifest, Identity]:
    publisher = trust.identify_untrusted(signer_credential_untrusted(data), now, Role.PUBLISHER)
    manifest = open_document_untrusted(Manifest, data, Kind.MANIFEST, publisher.key)
    check_same(
        "manifest",
        "a manifest of another model or place",
        ("fleet", trust.fleet, manifest.fleet),
        ("publisher", publisher.name, manifest.publisher),
        ("model", model, manifest.model),
    )
    # A manifest has no end of its own: the publisher's credential and the revocations end it.
    check_times("manifest", manifest.issued, float("inf"), now)
    trust.revocations.check("model", manifest.digest)
    check_state(manifest)
    return manifest, publisher


class ManifestBook:
    """The newest manifest of each model. Versions and publishers are remembered across restarts (P8).

    A model belongs to the publisher whose manifest was seen first: no other publisher of the fleet replaces it.
    """

    def __init__(self, trust: Trust, store: Store, limit: int = 256) -> None:
        self._trust, self._store, self._limit = trust, store, limit
        self._held: dict[str, tuple[Manifest, bytes]] = {}
        self._publishers: dict[str, Identity] = {}

    def accept_untrusted(self, data: bytes, model: str, now: float) -> Manifest | None:
        """Take what stands on a model's manifest topic. Returns the manifest, or None if it is the one held.

        Raises `FreshnessError` (stale) for a lower version than ever seen and for another manifest under the same
        version, `AuthenticationError` for another publisher's, and as `open_manifest_untrusted` does.
        """
        name = digest(data)
        held = self._held.get(model)
        if held is not None and held[1] == name:
            return None
        manifest, publisher = _open_untrusted(data, self._trust, model, now)
        self._check_succession(manifest, name)
        self._remember(manifest, name)
        self._publishers[model] = publisher
        return manifest

    def newest(self, model: str) -> tuple[Manifest, bytes]:
        """The manifest held and its digest. Raises `AppraisalError` (model-unknown, revoked)."""
        held = self._held.get(model)
        if held is None:
            raise AppraisalError(
                "no manifest of this model",
                reason=Reason.MODEL_UNKNOWN,
                finding=Finding("manifest", f"one for {model}", "none"),
            )
        self._trust.revocations.check("model", held[0].digest)
        self._trust.check_not_revoked(self._publishers[model])
        return held

    def publisher(self, model: str) -> Identity:
        """Who signed the manifest held. Raises `AppraisalError` as `newest` does."""
        self.newest(model)
        return self._publishers[model]

    def forget(self, model: str) -> None:
        """Drop the manifest of a model that is no longer wanted; its version stays remembered."""
        self._held.pop(model, None)
        self._publishers.pop(model, None)

    def __iter__(self) -> Iterator[tuple[Manifest, bytes]]:
        return iter(tuple(self._held.values()))

    def _check_succession(self, manifest: Manifest, name: bytes) -> None:
        seen = self._store.read(BUCKET, manifest.model.encode())
        if seen is None:
            return
        version, known, publisher = _decode_seen(seen)
        if manifest.publisher != publisher:
            raise AuthenticationError(
                "this model belongs to another publisher",
                reason=Reason.ROLE_NOT_ALLOWED,
                finding=Finding("manifest.publisher", publisher, manifest.publisher),
            )
        if manifest.version < version or (manifest.version == version and name != known):
            raise FreshnessError(
                "an older manifest than one already seen",
                reason=Reason.STALE,
                finding=Finding("manifest.version", f"> {version}", str(manifest.version)),
            )

    def _remember(self, manifest: Manifest, name: bytes) -> None:
        if manifest.model not in self._held and len(self._held) >= self._limit:
            raise AppraisalError("too many models", reason=Reason.BUSY)
        seen = encode([manifest.version, name, manifest.publisher])
        self._store.write(BUCKET, manifest.model.encode(), seen)
        self._held[manifest.model] = (manifest, name)


def _decode_seen(data: bytes) -> tuple[int, bytes, str]:
    """What this party itself stored: anything else is a fault of the store, not of a peer."""
    with suppress(MalformedError):
        match decode_untrusted(data):
            case [int(version), bytes(name), str(publisher)]:
                return version, name, publisher
    raise StoreError("the store holds no manifest version where one should be")
