"""The publisher from its settings, and a model into its store."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from protocol.keys import SigningKey
from protocol.party import Event, Randomness
from protocol.trust import Identity, Trust
from publisher.package import MAX_MODULE, ModelDescription, PackagedModel, package
from publisher.publisher import Publisher
from publisher.shelf import Shelf
from schemas.kinds import Role
from sealedge.operations.parties.basis import load_signing_key, open_store, open_trust, read_credential
from sealedge.operations.settings import PublisherSettings
from storage.files import read_bytes
from storage.store import SqliteStore


@dataclass(frozen=True, slots=True, repr=False)
class _Desk:
    """What serving and packaging have in common."""

    store: SqliteStore
    trust: Trust
    identity: Identity
    key: SigningKey


def build_publisher(
    settings: PublisherSettings, closing: ExitStack, *, now: float, randomness: Randomness = os.urandom
) -> Publisher:
    """A publisher of all that was packaged into its store."""
    desk = _open(settings, closing, now)
    return Publisher(
        desk.trust, settings.name, desk.key, desk.identity.credential, settings.release, desk.store, randomness
    )


def package_model(
    settings: PublisherSettings,
    module: Path,
    description: ModelDescription,
    closing: ExitStack,
    *,
    now: float,
    force: bool = False,
    randomness: Randomness = os.urandom,
) -> PackagedModel:
    """The next version of a model into the publisher's store; a publisher that runs may have it open, too."""
    desk = _open(settings, closing, now)
    return package(
        read_bytes(module, max_bytes=MAX_MODULE),
        description,
        fleet=settings.fleet,
        publisher=settings.name,
        store=desk.store,
        key=desk.key,
        credential=desk.identity.credential,
        now=now,
        randomness=randomness,
        force=force,
    )


def packaged_since(settings: PublisherSettings, closing: ExitStack) -> "Repackaged":
    """For a publisher that runs: publishes what another process packaged."""
    return Repackaged(open_store(settings, closing, "normal"))


class Repackaged:
    """Called in the link's thread with a running publisher: publishes each model whose newest version is new to it."""

    def __init__(self, store: SqliteStore) -> None:
        self._shelf = Shelf(store)

    def __call__(self, publisher: Publisher, now: float) -> Sequence[Event]:
        """What the publisher wants said of new versions; nothing where it serves them all."""
        return [event for model in self._shelf.models() for event in publisher.publish(model.manifest.model, now)]


def _open(settings: PublisherSettings, closing: ExitStack, now: float) -> _Desk:
    store = open_store(settings, closing, "full")
    trust = open_trust(settings, store)
    identity = read_credential(settings.path(settings.credential), trust, Role.PUBLISHER, settings.name, now)
    return _Desk(store, trust, identity, load_signing_key(settings.path(settings.signing_key), identity))
