"""Revoking counts up, keeps what was revoked, and names things by the files that hold them."""

from pathlib import Path

import pytest

from protocol.errors import ConfigurationError
from protocol.keys import SigningKey
from protocol.messages import digest
from protocol.trust import Trust
from schemas.kinds import Role
from sealedge.operations.fleet import Fleet
from sealedge.operations.revoke import identifiers, read_revocations, revoke
from storage.key_files import read_signing_key
from storage.store import MemoryStore

NOW = 1_800_000_000.0


def named(fleet: Fleet, kind: str, text: object) -> list[bytes]:
    return identifiers(kind, str(text), fleet.authority.key.public, fleet.name)  # type: ignore[arg-type]  # a kind


def test_a_list_counts_up_and_keeps_what_was_on_it(fleet: Fleet) -> None:
    first = revoke(fleet, "chip", [b"a" * 32], NOW + 1)
    second = revoke(fleet, "model", [b"b" * 32], NOW + 2)
    assert (first.sequence, second.sequence) == (2, 3)
    assert [(each.kind, each.identifier) for each in second.entries] == [("chip", b"a" * 32), ("model", b"b" * 32)]
    trust = Trust("plant", fleet.authority.key.public, MemoryStore())
    assert trust.revocations.accept_untrusted(fleet.folder.revocations.read_bytes())
    assert trust.revocations.sequence == 3


def test_what_is_revoked_already_needs_no_other_list(fleet: Fleet) -> None:
    revoke(fleet, "chip", [b"a" * 32], NOW)
    with pytest.raises(ConfigurationError, match="already"):
        revoke(fleet, "chip", [b"a" * 32], NOW)
    assert read_revocations(fleet).sequence == 2


def test_a_list_of_somebody_else_is_not_counted_on(fleet: Fleet) -> None:
    fleet.folder.revocations.write_bytes(b"garbage")
    with pytest.raises(ConfigurationError, match="revocation list"):
        revoke(fleet, "chip", [b"a" * 32], NOW)


def test_hex_is_an_identifier_of_the_right_length(fleet: Fleet) -> None:
    assert named(fleet, "chip", "ab" * 32) == [b"\xab" * 32]
    assert named(fleet, "credential", "AB" * 16) == [b"\xab" * 16]
    with pytest.raises(ConfigurationError) as refused:
        named(fleet, "chip", "ab" * 16)
    assert "expected 64 hex digits, found 32" in refused.value.diagnostics


def test_files_name_what_they_hold(fleet: Fleet, tmp_path: Path) -> None:
    agent, sensor = fleet.folder.party(Role.AGENT, "agent-1"), fleet.folder.party(Role.SENSOR, "sensor-1")
    chip = read_signing_key(agent / "chip.pem").public.thumbprint
    signing = read_signing_key(sensor / "signing.pem").public
    (tmp_path / "key.pem").write_bytes(signing.pem())
    (tmp_path / "m.wasm").write_bytes(b"\0asm")
    trust = Trust("plant", fleet.authority.key.public, MemoryStore())
    credential = (sensor / "credential.cwt").read_bytes()
    assert named(fleet, "chip", agent / "enrolment.cwt") == [chip]
    assert named(fleet, "key", sensor / "credential.cwt") == [signing.thumbprint]
    assert named(fleet, "key", tmp_path / "key.pem") == [signing.thumbprint]
    assert named(fleet, "model", tmp_path / "m.wasm") == [digest(b"\0asm")]
    identity = trust.identify_untrusted(credential, NOW, Role.SENSOR)
    assert named(fleet, "credential", sensor / "credential.cwt") == [identity.identifier]


@pytest.mark.parametrize(("kind", "file"), [("chip", "sensors/sensor-1"), ("key", "agents/agent-1")])
def test_a_file_that_does_not_hold_it_is_refused(kind: str, file: str, fleet: Fleet) -> None:
    document = "credential.cwt" if "sensor" in file else "enrolment.cwt"
    with pytest.raises(ConfigurationError, match=f"names no {kind}"):
        named(fleet, kind, fleet.folder.directory / file / document)


def test_a_private_key_is_no_public_one(fleet: Fleet) -> None:
    with pytest.raises(ConfigurationError, match="public key"):
        named(fleet, "key", fleet.folder.party(Role.SENSOR, "sensor-1") / "signing.pem")


def test_another_authoritys_credential_is_refused(fleet: Fleet) -> None:
    other = SigningKey.generate().public
    path = fleet.folder.party(Role.SENSOR, "sensor-1") / "credential.cwt"
    with pytest.raises(ConfigurationError, match="no credential of this authority"):
        identifiers("credential", str(path), other, "plant")
    with pytest.raises(ConfigurationError, match="another fleet"):
        identifiers("credential", str(path), fleet.authority.key.public, "other")
