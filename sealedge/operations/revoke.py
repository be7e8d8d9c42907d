"""Revoking: the next revocation list, signed by the authority, one count higher than the one in trust/."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Final, get_args

from protocol.envelope import open_document_untrusted
from protocol.errors import ConfigurationError, Finding, RemoteError
from protocol.keys import VerifyingKey
from protocol.messages import digest
from schemas.attestation import Credential
from schemas.kinds import Kind, Role
from schemas.status import Revocation, RevocationKind, RevocationList
from schemas.topics import FleetTopics
from sealedge.operations.fleet import Fleet
from sealedge.operations.settings import access_of
from storage.files import read_bytes, write_private

KINDS: Final[tuple[RevocationKind, ...]] = get_args(RevocationKind)
MAX_MODULE: Final = 2**30
_HEX: Final = re.compile(r"(?:[0-9a-f]{2})+", re.IGNORECASE)
_LENGTHS: Final = {"credential": 16}


def revoke(fleet: Fleet, kind: RevocationKind, identifiers: list[bytes], now: float) -> RevocationList:
    """Sign the list that names these besides all before, and put it into trust/. Publishing it is another step.

    Raises `ConfigurationError`: a broken list in trust/, one that is full, or nothing in `identifiers` that is new.
    """
    known = read_revocations(fleet)
    named = {(each.kind, each.identifier) for each in known.entries}
    added = tuple(
        Revocation(kind=kind, identifier=each, time=int(now)) for each in identifiers if (kind, each) not in named
    )
    if not added:
        raise ConfigurationError(f"this {kind} is revoked already", finding=Finding(kind, "one not revoked", "revoked"))
    entries = (*known.entries, *added)
    if len(entries) > 4096:
        raise ConfigurationError("the revocation list is full: rotate the authority's key and enrol anew")
    document = fleet.authority.revoke(known.sequence + 1, entries, now=now)
    write_private(fleet.folder.revocations, document)
    return read_revocations(fleet)


def publish_revocations(fleet: Fleet, config: Path | None, broker: str | None) -> None:
    """Publish the list in trust/, retained, with the account of these settings (by default the verifier's).

    Raises `ConfigurationError`, and `TransportError` where the broker is out of reach or does not take it.
    """
    # Imported here: signing a list offline needs no broker.
    from sealedge.operations.publish import publish_retained  # noqa: PLC0415

    path = config or fleet.folder.settings(Role.VERIFIER, Role.VERIFIER)
    connection = access_of(path).with_broker(broker).connection
    topic = FleetTopics(fleet.name).revocations
    payload = read_bytes(fleet.folder.revocations)
    publish_retained(replace(connection, network_tries=3), f"sealedge-{fleet.name}-authority", topic, payload)


def read_revocations(fleet: Fleet) -> RevocationList:
    """The list in trust/, if the authority signed it. Raises `ConfigurationError`."""
    path = fleet.folder.revocations
    try:
        found = open_document_untrusted(RevocationList, read_bytes(path), Kind.REVOCATIONS, fleet.authority.key.public)
    except RemoteError as error:
        raise ConfigurationError(f"{path}: is not this authority's revocation list: {error}") from None
    if found.fleet != fleet.name:
        raise ConfigurationError(f"{path}: is of another fleet", finding=Finding("fleet", fleet.name, found.fleet))
    return found


def identifiers(kind: RevocationKind, text: str, authority: VerifyingKey, fleet: str) -> list[bytes]:
    """What `text` names: an identifier in hex, or a file that holds it.

    credential   a `.cwt`                        its identifier (16 bytes)
    chip         an enrolment `.cwt`             the chips that it lists
    key          a `.cwt` or a public `.pem`     the key's thumbprint
    model        the WebAssembly module          its SHA-256

    Raises `ConfigurationError`.
    """
    path = Path(text)
    if _HEX.fullmatch(text) and not path.is_file():
        return [_checked(kind, bytes.fromhex(text))]
    if kind == "measurement":
        raise ConfigurationError("a measurement is given in hex", finding=Finding(kind, "64 hex digits", repr(text)))
    if kind == "model":
        return [digest(read_bytes(path, max_bytes=MAX_MODULE))]
    data = read_bytes(path)
    if kind == "key" and data.lstrip().startswith(b"-----BEGIN"):
        return [VerifyingKey.from_pem(data).thumbprint]
    return _of_credential(kind, path, _credential(path, data, authority, fleet))


def _checked(kind: RevocationKind, identifier: bytes) -> bytes:
    expected = _LENGTHS.get(kind, 32)
    if len(identifier) != expected:
        finding = Finding(kind, f"{2 * expected} hex digits", f"{2 * len(identifier)}")
        raise ConfigurationError(f"this is no identifier of a {kind}", finding=finding)
    return identifier


def _credential(path: Path, data: bytes, authority: VerifyingKey, fleet: str) -> Credential:
    """Signed by the authority, valid or not: what has ended may still be revoked."""
    try:
        found = open_document_untrusted(Credential, data, Kind.CREDENTIAL, authority)
    except RemoteError as error:
        raise ConfigurationError(f"{path}: is no credential of this authority: {error}") from None
    if found.fleet != fleet:
        raise ConfigurationError(f"{path}: is of another fleet", finding=Finding("fleet", fleet, found.fleet))
    return found


def _of_credential(kind: RevocationKind, path: Path, credential: Credential) -> list[bytes]:
    if kind == "credential":
        return [credential.identifier]
    if kind == "chip" and credential.chips:
        return list(credential.chips)
    if kind == "key" and credential.confirmation is not None:
        return [VerifyingKey.from_cose_key_untrusted(credential.confirmation.signing_key).thumbprint]
    raise ConfigurationError(f"{path}: names no {kind}")
