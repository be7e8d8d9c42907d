"""Each party's way into the broker: an account with a password, or with a certificate where the fleet has its own CA.

The broker is trusted with nothing, and an account proves nothing inside the fleet: it keeps strangers from using the
broker, and parties from each other's topics.
"""

import base64
import hashlib
from pathlib import Path
from typing import Final

from broker.acl import OPERATOR, Member
from protocol.errors import ConfigurationError
from protocol.party import Randomness
from schemas.kinds import Role
from sealedge.operations.fleet import BROKER_CA, Fleet
from sealedge.operations.texts import Value
from storage.files import read_bytes, read_private, read_text, write_private

PASSWORD_FILE: Final = "broker.password"  # noqa: S105 - a file's name
CERTIFICATE_FILE, KEY_FILE = "broker.pem", "broker.key"
_ITERATIONS: Final = 101
"""mosquitto_passwd's own number. The passwords are 192 random bits: there is nothing to stretch."""


THE_OPERATOR: Final = Member(OPERATOR, OPERATOR, OPERATOR)
"""The operator has an account and is no party."""


def member(role: Role, name: str) -> Member:
    """A party's account: unique on a broker that serves this fleet alone."""
    return Member(f"{role}-{name}", str(role), name)


def members(fleet: Fleet) -> list[Member]:
    """All that the fleet's folder has parties for, and the operator."""
    return [THE_OPERATOR, *(member(role, name) for role, name in fleet.folder.parties())]


def grant(
    fleet: Fleet, account: Member, folder: Path, trust: str, *, now: float, randomness: Randomness
) -> list[tuple[str, Value]]:
    """Make an account and put its secret into `folder`. Returns the `[broker]` table; `trust` is the way to trust/."""
    url: list[tuple[str, Value]] = [("url", fleet.description.broker)]
    if fleet.description.certificates:
        _certify(fleet, account, folder, now)
        ours: list[tuple[str, Value]] = [("certificate_file", CERTIFICATE_FILE), ("key_file", KEY_FILE)]
        return [*url, ("ca_file", f"{trust}/{fleet.folder.broker_ca.name}"), *ours]
    password = base64.urlsafe_b64encode(randomness(24)).decode()
    write_private(folder / PASSWORD_FILE, f"{password}\n".encode(), replace=False)
    _remember(fleet.folder.broker / "passwd", account.username, password, randomness(12))
    return [*url, ("username", account.username), ("password_file", PASSWORD_FILE)]


def _certify(fleet: Fleet, account: Member, folder: Path, now: float) -> None:
    # Imported here: X.509 takes time to load, and only fleets with a CA of their own need it.
    from sealedge.operations.certificates import BrokerCA  # noqa: PLC0415

    key = read_private(fleet.folder.authority / f"{BROKER_CA}.key")
    issued = BrokerCA.load(read_bytes(fleet.folder.broker_ca), key).issue_client(account.username, fleet.name, now)
    write_private(folder / CERTIFICATE_FILE, issued.certificate, replace=False)
    write_private(folder / KEY_FILE, issued.key, replace=False)


def _remember(path: Path, username: str, password: str, salt: bytes) -> None:
    """One more line of mosquitto's password file: `USER:$7$ITERATIONS$SALT$HASH` (PBKDF2 with SHA-512)."""
    lines = read_text(path).splitlines() if path.exists() else []
    if any(line.startswith(f"{username}:") for line in lines):
        raise ConfigurationError(f"{path}: has an account {username} already")
    hashed = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    encoded = "$".join(base64.b64encode(each).decode() for each in (salt, hashed))
    lines.append(f"{username}:$7${_ITERATIONS}${encoded}")
    write_private(path, "".join(f"{line}\n" for line in lines).encode())
