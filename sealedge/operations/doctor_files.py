"""Checking the files of a party or of a whole fleet: are they there, owner-only, in force, and for how long."""

import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from protocol.envelope import open_document_untrusted
from protocol.errors import ConfigurationError, RemoteError
from protocol.keys import VerifyingKey
from protocol.messages import M
from schemas.attestation import Credential
from schemas.kinds import Kind, Role
from schemas.status import RevocationList
from sealedge.client.settings import ConsumerSettings, SensorSettings
from sealedge.operations.authority import DAY
from sealedge.operations.doctor import Check
from sealedge.operations.fleet import AUTHORITY_KEY, FleetFolder, read_description
from sealedge.operations.settings import AgentSettings, OperatorSettings, PublisherSettings, VerifierSettings
from sealedge.settings import FileSettings
from storage.files import read_bytes
from storage.key_files import read_verifying_key

SOON_DAYS: Final = 30

_SETTINGS: Final[dict[str, type[FileSettings]]] = {
    "operator": OperatorSettings,
    "verifier": VerifierSettings,
    "publisher": PublisherSettings,
    "agent": AgentSettings,
    "sensor": SensorSettings,
    "consumer": ConsumerSettings,
}
_PRIVATE: Final = ("signing_key", "kem_key", "chip_key")
_CREDENTIALS: Final = {"credential": "enrol it again", "enrolment": "enrol it again"}


def load_any(path: Path) -> Any:
    """The settings of whichever party the file is named for. Raises `ConfigurationError`."""
    role = path.stem
    if role not in _SETTINGS:
        known = ", ".join(f"{each}.toml" for each in _SETTINGS)
        raise ConfigurationError(f"{path}: is none of {known}")
    return _SETTINGS[role].load(path)


def check_party(path: Path, now: float) -> Iterator[Check]:
    """One party's settings, keys, credential and revocation list."""
    name = f"{path.parent.name}/{path.stem}"
    try:
        settings = load_any(path)
    except ConfigurationError as error:
        yield Check(name, "fail", str(error), "correct the line")
        return
    yield Check(name, "ok", f"{path} can be read")
    files = {field: getattr(settings, field, None) for field in (*_PRIVATE, *_CREDENTIALS)}
    for field in _PRIVATE:
        if files[field] is not None:
            yield check_private(f"{name} {field}", settings.path(files[field]))
    for field in ("password_file", "key_file"):
        if getattr(settings.broker, field) is not None:
            yield check_private(f"{name} broker {field}", settings.path(getattr(settings.broker, field)))
    if getattr(settings, "authority", None) is not None:
        yield from _check_documents(name, settings, now)


def check_fleet(directory: Path, now: float) -> Iterator[Check]:
    """A fleet's folder, and every party in it."""
    folder = FleetFolder(directory)
    try:
        description = read_description(folder)
    except ConfigurationError as error:
        yield Check("fleet", "fail", str(error), "see `sealedge init`")
        return
    yield Check("fleet", "ok", f"{description.fleet} in {directory}")
    key = folder.authority / AUTHORITY_KEY
    if key.exists():
        yield check_private("authority", key)
        yield Check("authority", "warn", f"{key} is on this machine", "keep it offline between enrolments")
    else:
        yield Check("authority", "ok", "its key is not on this machine")
    for role, name in folder.parties():
        yield from check_party(folder.settings(role, name), now)


def check_private(name: str, path: Path) -> Check:
    """That a secret file is there and its owner's alone."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        return Check(name, "fail", f"{path}: {error.strerror}", "bring the file here, or enrol the party anew")
    if mode & 0o077:
        return Check(name, "fail", f"{path} is open to others ({mode:04o})", f"chmod 600 {path}")
    return Check(name, "ok", f"{path} is owner-only")


def _check_documents(name: str, settings: Any, now: float) -> Iterator[Check]:
    path = settings.path(settings.authority)
    try:
        authority = read_verifying_key(path)
    except ConfigurationError as error:
        yield Check(f"{name} authority", "fail", str(error), "bring trust/ here from the fleet's folder")
        return
    for field, mend in _CREDENTIALS.items():
        relative = getattr(settings, field, None)
        if relative is not None:
            yield _check_credential(f"{name} {field}", settings.path(relative), authority, settings, mend, now)
    if getattr(settings, "revocations", None) is not None:
        yield _check_revocations(f"{name} revocations", settings.path(settings.revocations), authority, now)


def _check_credential(name: str, path: Path, authority: VerifyingKey, settings: Any, mend: str, now: float) -> Check:
    found = _opened(Credential, path, Kind.CREDENTIAL, authority)
    if isinstance(found, str):
        return Check(name, "fail", found, mend)
    if (found.fleet, found.subject) != (settings.fleet, settings.name):
        return Check(name, "fail", f"{path} is that of {found.fleet}/{found.subject}", mend)
    if now < found.not_before:
        return Check(name, "fail", f"{path} is from the future", "set the clock of this machine")
    return _lasting(name, f"{path} of role {Role(found.role)}", found.expires, now, mend)


def _check_revocations(name: str, path: Path, authority: VerifyingKey, now: float) -> Check:
    found = _opened(RevocationList, path, Kind.REVOCATIONS, authority)
    mend = "bring the newest trust/revocations.cose, or sign another with `sealedge revoke`"
    if isinstance(found, str):
        return Check(name, "fail", found, mend)
    age = max(0, int(now - found.issued)) // DAY
    what = f"list {found.sequence} with {len(found.entries)} entries, {age} days old,"
    return _lasting(name, what, found.expires, now, mend)


def _opened(model: type[M], path: Path, kind: Kind, authority: VerifyingKey) -> M | str:
    """The document, or why it is none."""
    try:
        return open_document_untrusted(model, read_bytes(path), kind, authority)
    except RemoteError as error:
        return f"{path}: {error}"
    except ConfigurationError as error:
        return str(error)


def _lasting(name: str, what: str, expires: int, now: float, mend: str) -> Check:
    day = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%d")
    if now >= expires:
        return Check(name, "fail", f"{what} ended on {day}", mend)
    if expires - now < SOON_DAYS * DAY:
        return Check(name, "warn", f"{what} ends on {day}", mend)
    return Check(name, "ok", f"{what} holds until {day}")
