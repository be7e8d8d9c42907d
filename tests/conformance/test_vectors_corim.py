"""CoRIMs of others: Veraison's and Confidential Containers' are read, or refused by the construct that is not used."""

from pathlib import Path

import pytest
from cbor2 import CBORTag, dumps

from protocol.errors import AuthenticationError, RemoteError, UnsupportedError
from schemas.reference_values import ReferenceDocument
from verifier.corim import read_corim_untrusted
from verifier.evidence.public_keys import PublicKey, public_key_untrusted

FOLDER = "corim/corim"
KEY = f"{FOLDER}/ec-p256.pub.jwk"
GOOD = bytes.fromhex("87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7")
IMPLEMENTATION = b"acme-implementation-id-000000001"
SIGNED = ("signed-good-corim.cbor", "signed-corim-with-extensions.cbor")
PROFILES = {
    "unsigned-example-corim.cbor": "http://example.com/example-profile",
    "unsigned-corim-with-extensions.cbor": "http://example.com/test-profile",
    "corim-firmware-cd.cbor": "6086480186f84d010f06",
}


@pytest.fixture
def key(vectors: Path) -> PublicKey:
    return public_key_untrusted((vectors / KEY).read_bytes(), "key")


def read(vectors: Path, path: str, *profiles: str) -> ReferenceDocument:
    return read_corim_untrusted((vectors / path).read_bytes(), path, None, profiles)


def outcome(data: bytes, keys: list[PublicKey] | None) -> tuple[int, str]:
    """The number of triples, and why there are none."""
    try:
        return len(read_corim_untrusted(data, "f", keys).triples), ""
    except UnsupportedError as error:
        return 0, f"{error} {error.finding}"


def test_every_corim_of_the_folder_is_read_or_refused_for_a_construct(vectors: Path, key: PublicKey) -> None:
    paths = sorted((vectors / "corim").rglob("*corim*.cbor"))
    assert len(paths) >= 9
    for path in paths:
        data = path.read_bytes()
        found, why = outcome(data, [key] if data[0] == 0xD2 else None)
        assert found or "profile" in why or "is not used" in why, path


def test_the_signed_corim_holds_what_its_supplier_says(vectors: Path, key: PublicKey) -> None:
    data = (vectors / FOLDER / SIGNED[0]).read_bytes()
    document = read_corim_untrusted(data, "good", [key])
    assert (document.not_before, document.not_after) == (1_640_908_800, 1_767_139_200)
    (triple,) = document.triples
    assert triple.environment.implementation == IMPLEMENTATION
    (measurement,) = triple.measurements
    assert len(measurement.digests) == 3
    assert GOOD in measurement.digests
    unsigned = read(vectors, f"{FOLDER}/unsigned-good-corim.cbor")
    assert unsigned.triples == document.triples


@pytest.mark.parametrize("name", SIGNED)
def test_signatures_are_checked_and_every_byte_is_signed(vectors: Path, key: PublicKey, name: str) -> None:
    data = (vectors / FOLDER / name).read_bytes()
    profiles = [PROFILES["unsigned-corim-with-extensions.cbor"]]
    assert read_corim_untrusted(data, name, [key], profiles).signer is not None
    with pytest.raises(AuthenticationError):
        read_corim_untrusted(data, name, [], profiles)
    for at in range(0, len(data), 3):
        flipped = data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]
        with pytest.raises(RemoteError):
            read_corim_untrusted(flipped, name, [key], profiles)
    for cut in range(0, len(data), 16):
        with pytest.raises(RemoteError):
            read_corim_untrusted(data[:cut], name, [key], profiles)


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_are_understood_by_name_alone(vectors: Path, name: str) -> None:
    with pytest.raises(UnsupportedError, match="profile"):
        read(vectors, f"{FOLDER}/{name}")
    assert read(vectors, f"{FOLDER}/{name}", PROFILES[name]).triples


def test_a_corim_of_a_version_alone_yields_nothing(vectors: Path) -> None:
    with pytest.raises(UnsupportedError, match="yields no reference value"):
        read(vectors, f"{FOLDER}/corim-roles.cbor")


TRIPLES = {
    "comid-1.cbor": 1,
    "comid-1a.cbor": 1,
    "comid-2b.cbor": 3,
    "comid-firmware-cd.cbor": 2,
    "comid-integrity-registers.cbor": 1,
    "comid-raw-value.cbor": 3,
}


def test_every_comid_of_the_folder_is_read_or_refused_for_a_construct(vectors: Path) -> None:
    paths = sorted((vectors / FOLDER).glob("comid-*.cbor"))
    assert len(paths) >= 17
    for path in paths:
        data = dumps(CBORTag(501, {0: path.stem, 1: [CBORTag(506, path.read_bytes())]}))
        found, why = outcome(data, None)
        assert found == TRIPLES.get(path.name, 0), path
        assert found or "not used" in why, path


def test_evidence_is_no_reference_value(vectors: Path) -> None:
    for path in sorted((vectors / FOLDER).glob("ce-*.cbor")):
        with pytest.raises(RemoteError):
            read_corim_untrusted(path.read_bytes(), path.name, None)
