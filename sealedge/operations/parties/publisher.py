"""The publisher from its settings, and a model into its store."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Signal
from threading import Thread
from typing import Final

from broker.link import Link
from broker.process import run
from broker.stepping import Listener
from broker.submissions import Act
from protocol.errors import TransportError
from protocol.keys import SigningKey
from protocol.party import Event, Noted, Randomness
from protocol.trust import Identity, Trust
from publisher.package import MAX_MODULE, ModelDescription, PackagedModel, package
from publisher.publisher import Publisher
from publisher.shelf import Shelf
from schemas.kinds import Role
from sealedge.operations.parties.basis import STATE_FILE, load_signing_key, open_store, open_trust, read_credential
from sealedge.operations.settings import PublisherSettings
from storage.files import read_bytes
from storage.store import SqliteStore

LOOK_SECONDS: Final = 0.5


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
    return _publisher(settings, _open(settings, closing, now), randomness)


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


def serve_publisher(settings: PublisherSettings, closing: ExitStack, listener: Listener, *, now: float) -> int:
    """Run the publisher until a signal comes. The exit status.

    What another process packages meanwhile is published within `LOOK_SECONDS`.
    """
    desk = _open(settings, closing, now)
    publisher = _publisher(settings, desk, os.urandom)
    link = Link(publisher, settings.connection, listener=listener)
    shelf, stopped = Shelf(desk.store), Signal()

    def publish(publisher: Publisher, now: float) -> Sequence[Event]:
        models = [each.manifest.model for each in shelf.models()]
        return [event for model in models for event in publisher.publish(model, now)]

    looking = Thread(target=_look, args=(link, publish, settings.path(settings.state), stopped, listener), daemon=True)
    looking.start()
    try:
        return run(link)
    finally:
        stopped.set()
        looking.join()


def _look(link: Link, publish: Act, state: Path, stopped: Signal, listener: Listener) -> None:
    """Look whether the store changed, and let the publisher, in its own thread, see whether that is a new version."""
    seen = _stamp(state)
    while not stopped.wait(LOOK_SECONDS):
        found = _stamp(state)
        if found == seen:
            continue
        seen, fault = found, link.submit(publish).exception()
        if isinstance(fault, TransportError):
            return
        if fault is not None:
            listener(Noted("publishing-failed", {"why": type(fault).__name__}))


def _stamp(state: Path) -> list[tuple[int, int]]:
    """When the store's files were last written to."""
    files = sorted(state.glob(f"{STATE_FILE}*"))
    return [(found.st_mtime_ns, found.st_size) for found in map(_stat, files) if found is not None]


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _open(settings: PublisherSettings, closing: ExitStack, now: float) -> _Desk:
    store = open_store(settings, closing, "full")
    trust = open_trust(settings, store)
    identity = read_credential(settings.path(settings.credential), trust, Role.PUBLISHER, settings.name, now)
    return _Desk(store, trust, identity, load_signing_key(settings.path(settings.signing_key), identity))


def _publisher(settings: PublisherSettings, desk: _Desk, randomness: Randomness) -> Publisher:
    return Publisher(
        desk.trust, settings.name, desk.key, desk.identity.credential, settings.release, desk.store, randomness
    )
