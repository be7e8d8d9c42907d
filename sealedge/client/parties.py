"""Parties from their settings: files read, own credential checked, state opened."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from broker.threaded import ThreadedLink
from protocol.errors import ConfigurationError, FreshnessError, RemoteError
from protocol.keys import SigningKey
from protocol.party import Randomness
from protocol.trust import Identity, Trust
from schemas.kinds import Role
from sealedge.client.consumer import ConsumerParty
from sealedge.client.sensor import SensorParty
from sealedge.client.settings import ClientSettings, ConsumerSettings, SensorSettings
from storage.files import read_bytes
from storage.key_files import read_kem_key, read_signing_key, read_verifying_key
from storage.store import SqliteStore

STATE_FILE = "state.db"


@contextmanager
def opened_store(settings: ClientSettings) -> Iterator[SqliteStore]:
    """The party's durable state, created where it is missing; it stays open unless the block fails.

    Raises `StoreError`.
    """
    store = SqliteStore(settings.path(settings.state) / STATE_FILE, durability=settings.durability)
    try:
        yield store
    except BaseException:
        store.close()
        raise


def start(link: ThreadedLink, store: SqliteStore) -> None:
    """Start a link; where that fails, the party's state is closed. Raises `TransportError`."""
    try:
        link.start()
    except BaseException:
        store.close()
        raise


def sensor_from(settings: SensorSettings, store: SqliteStore, randomness: Randomness = os.urandom) -> SensorParty:
    """A sensor. Raises `ConfigurationError` for files that are missing, wrong or somebody else's."""
    trust, key, credential = _identity(settings, store, Role.SENSOR)
    recipients = tuple(read_bytes(settings.path(path)) for path in settings.recipients)
    consumers = [
        _checked(trust, data, settings.path(path), Role.CONSUMER)
        for path, data in zip(settings.recipients, recipients, strict=True)
    ]
    return SensorParty(
        trust,
        settings.name,
        key,
        credential,
        settings.model,
        store,
        randomness,
        tiers=settings.tiers,
        agent=settings.agent,
        recipients=recipients,
        deliver_to=_topic_of(settings, trust, consumers),
        return_result=settings.return_result,
        request_seconds=settings.request_seconds,
        session_seconds=settings.session_seconds,
        in_flight=settings.in_flight,
        retry_seconds=settings.retry_seconds,
        pad_to=settings.pad_to,
        one_shot=settings.one_shot,
        minimum_version=settings.minimum_version,
    )


def consumer_from(settings: ConsumerSettings, store: SqliteStore) -> ConsumerParty:
    """A consumer. Raises `ConfigurationError` for files that are missing, wrong or somebody else's."""
    trust, key, credential = _identity(settings, store, Role.CONSUMER)
    kem_key = read_kem_key(settings.path(settings.kem_key))
    path = settings.path(settings.credential)
    vouched = _checked(trust, credential, path, Role.CONSUMER).kem_key
    if vouched != kem_key.public:
        raise ConfigurationError(f"{path}: vouches for another KEM key than {settings.path(settings.kem_key)}")
    return ConsumerParty(trust, settings.name, key, kem_key, store, tiers=settings.tiers, models=settings.models)


def _identity(settings: ClientSettings, store: SqliteStore, role: Role) -> tuple[Trust, SigningKey, bytes]:
    trust = Trust(settings.fleet, read_verifying_key(settings.path(settings.authority)), store)
    _take_revocations(settings, trust)
    key = read_signing_key(settings.path(settings.signing_key))
    path = settings.path(settings.credential)
    credential = read_bytes(path)
    identity = _checked(trust, credential, path, role)
    if identity.name != settings.name or identity.signing_key != key.public:
        raise ConfigurationError(f"{path}: vouches for another name or signing key than this party's")
    return trust, key, credential


def _checked(trust: Trust, credential: bytes, path: Path, role: Role) -> Identity:
    try:
        return trust.identify_untrusted(credential, time.time(), role)
    except RemoteError as error:
        raise ConfigurationError(f"{path}: {error.diagnostics}", finding=error.finding) from None


def _take_revocations(settings: ClientSettings, trust: Trust) -> None:
    """A file that is older than what the store holds is no news, and no error."""
    if settings.revocations is None:
        return
    path = settings.path(settings.revocations)
    try:
        trust.revocations.accept_untrusted(read_bytes(path))
    except FreshnessError:
        return
    except RemoteError as error:
        raise ConfigurationError(f"{path}: {error.diagnostics}", finding=error.finding) from None


def _topic_of(settings: SensorSettings, trust: Trust, consumers: list[Identity]) -> str | None:
    """Where results go; without a word on it to the only recipient's inbox, or to the model's results topic."""
    wanted = settings.deliver_to
    if not consumers:
        return wanted
    if wanted == "inbox" or (wanted is None and len(consumers) == 1):
        return trust.topics.inbox(Role.CONSUMER, consumers[0].name)
    if wanted in {"results", None}:
        return trust.topics.results(settings.model)
    return wanted
