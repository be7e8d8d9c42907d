"""What every party stands on: its durable store, the authority's key, the newest revocations, its own credential."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from protocol.errors import ConfigurationError, Finding, FreshnessError, RemoteError
from protocol.keys import SigningKey
from protocol.party import Store
from protocol.trust import Identity, Trust
from schemas.kinds import Role
from sealedge.operations.party_settings import PartySettings
from storage.files import read_bytes
from storage.key_files import read_signing_key, read_verifying_key

if TYPE_CHECKING:
    from storage.store import SqliteStore

STATE_FILE: Final = "state.db"
MAX_CREDENTIAL: Final = 65_536


def open_store(settings: PartySettings, closing: ExitStack, durability: Literal["full", "normal"]) -> "SqliteStore":
    """The party's store, made where it is missing. Raises `StoreError`."""
    from storage.store import SqliteStore  # noqa: PLC0415 - an agent keeps no store

    return closing.enter_context(SqliteStore(settings.path(settings.state) / STATE_FILE, durability=durability))


def open_trust(settings: PartySettings, store: Store) -> Trust:
    """The trust anchor, with the revocation list of the store or the file, whichever is newer."""
    authority = read_verifying_key(settings.path(settings.authority))
    try:
        trust = Trust(settings.fleet, authority, store)
    except RemoteError as error:
        state = settings.path(settings.state)
        raise ConfigurationError(f"{state}: is the state of a party under another authority: {error}") from None
    if settings.revocations is not None:
        _accept_revocations(trust, settings.path(settings.revocations))
    return trust


def _accept_revocations(trust: Trust, path: Path) -> None:
    try:
        trust.revocations.accept_untrusted(read_bytes(path))
    except FreshnessError:
        # A file of the day of the enrolment; the store has seen a newer one since.
        return
    except RemoteError as error:
        raise _not_ours(path, error) from None


def read_credential(path: Path, trust: Trust, role: Role, name: str, now: float) -> Identity:
    """The party's own credential, in force now. Raises `ConfigurationError` where nobody else would accept it."""
    try:
        identity = trust.identify_untrusted(read_bytes(path, max_bytes=MAX_CREDENTIAL), now, role)
    except RemoteError as error:
        raise _not_ours(path, error) from None
    if identity.name != name:
        finding = Finding("credential.subject", name, identity.name)
        raise ConfigurationError(f"{path}: is the credential of another party", finding=finding)
    return identity


def load_signing_key(path: Path, identity: Identity) -> SigningKey:
    """The private key of this credential. Raises `ConfigurationError`."""
    key = read_signing_key(path)
    if key.public != identity.key:
        finding = Finding("key", identity.key.thumbprint.hex()[:16], key.public.thumbprint.hex()[:16])
        raise ConfigurationError(f"{path}: is not the key of the credential", finding=finding)
    return key


def _not_ours(path: Path, error: RemoteError) -> ConfigurationError:
    return ConfigurationError(f"{path}: {error} ({error.reason})", finding=error.finding)
