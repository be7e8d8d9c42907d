"""Packaging: versions only count up, nothing moves that did not change, nothing is half stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import publisher.package
from protocol.delivery import decrypt_chunks_untrusted, open_index_untrusted
from protocol.errors import AuthenticationError, ConfigurationError, StoreError
from protocol.keys import SigningKey
from protocol.manifests import open_manifest_untrusted
from publisher.package import PackagedModel
from publisher.shelf import CHUNKS, MODELS, Shelf
from schemas.kinds import Role
from storage.store import MemoryStore, SqliteStore
from tests.support.examples import examples
from tests.support.publishing import DESCRIPTION, NOW, Fleet, module_of


def content_key(store: MemoryStore, model: str = "scan") -> bytes:
    found = Shelf(store).newest(model)
    assert found is not None
    return found.content_key


def opened(store: MemoryStore, packaged: PackagedModel) -> bytes:
    manifest = packaged.manifest
    index = open_index_untrusted(manifest, content_key(store, manifest.model))
    return decrypt_chunks_untrusted(manifest, index, [Shelf(store).chunk(name) for name in manifest.chunks])


def test_a_packaged_module_is_signed_stored_and_opens_to_the_same_bytes() -> None:
    fleet, store, module = Fleet(), MemoryStore(), module_of(1, 2, 3) + b"tail"
    packaged = fleet.package(store, module)
    manifest, digest = open_manifest_untrusted(packaged.document, fleet.trust(), "scan", NOW)
    assert (manifest, digest) == (packaged.manifest, packaged.digest)
    assert (manifest.version, manifest.size, len(manifest.chunks)) == (1, len(module), 4)
    assert (packaged.new, packaged.moved, packaged.stale) == (True, manifest.chunks, ())
    assert opened(store, packaged) == module


def test_versions_count_up_across_restarts(tmp_path: Path) -> None:
    fleet = Fleet()
    for version in (1, 2, 3):
        with SqliteStore(tmp_path / "store", durability="normal") as store:
            assert fleet.package(store, module_of(version)).manifest.version == version


def test_the_same_module_with_the_same_description_makes_no_new_version() -> None:
    fleet, store = Fleet(), MemoryStore()
    first = fleet.package(store)
    again = fleet.package(store, now=NOW + 1000)
    assert not again.new
    assert not again.moved
    assert again.document == first.document


def test_forced_it_makes_a_new_version_with_a_new_content_key_and_the_same_chunks() -> None:
    fleet, store = Fleet(), MemoryStore()
    first, first_key = fleet.package(store), content_key(store)
    again = fleet.package(store, force=True)
    assert again.new
    assert again.manifest.version == 2
    assert again.manifest.chunks == first.manifest.chunks
    assert not again.moved
    assert content_key(store) != first_key


@pytest.mark.parametrize("field", ["inputs", "outputs", "tiers", "limits"])
def test_another_description_makes_a_new_version(field: str) -> None:
    fleet, store = Fleet(), MemoryStore()
    fleet.package(store)
    changes = {
        "inputs": DESCRIPTION.outputs,
        "outputs": DESCRIPTION.inputs,
        "tiers": DESCRIPTION.tiers * 2,
        "limits": DESCRIPTION.limits.model_copy(update={"milliseconds": 999}),
    }
    other = DESCRIPTION.model_copy(update={field: changes[field]})
    assert fleet.package(store, description=other).manifest.version == 2


def test_a_new_credential_or_key_makes_a_new_version_of_the_same_chunks() -> None:
    fleet, store = Fleet(), MemoryStore()
    first = fleet.package(store)
    renewed = fleet.credential("publisher-1", Role.PUBLISHER, fleet.publisher.public)
    second = fleet.package(store, credential=renewed)
    key = SigningKey.generate(fleet.randomness)
    third = fleet.package(store, key=key, credential=fleet.credential("publisher-1", Role.PUBLISHER, key.public))
    assert [each.manifest.version for each in (first, second, third)] == [1, 2, 3]
    assert first.manifest.chunks == second.manifest.chunks == third.manifest.chunks


@pytest.mark.parametrize("change", [{"publisher": "publisher-2"}, {"fleet": "mill"}])
def test_another_publishers_version_is_not_replaced(change: dict[str, str]) -> None:
    fleet, store = Fleet(), MemoryStore()
    fleet.package(store)
    key = content_key(store)
    with pytest.raises(ConfigurationError, match="another publisher"):
        fleet.package(store, module_of(2), **change)
    assert content_key(store) == key


def test_only_what_changed_moves_and_what_is_gone_is_known() -> None:
    fleet, store = Fleet(), MemoryStore()
    first = fleet.package(store, module_of(1, 2, 3, 4))
    second = fleet.package(store, module_of(1, 2, 9, 4))
    old, new = first.manifest.chunks, second.manifest.chunks
    assert (old[0], old[1], old[3]) == (new[0], new[1], new[3])
    assert second.moved == (new[2],)
    assert second.stale == (old[2],)
    assert {name for name, _ in store.items(CHUNKS)} == set(new)


def test_a_chunk_that_comes_back_is_no_longer_stale() -> None:
    fleet, store = Fleet(), MemoryStore()
    first = fleet.package(store, module_of(1, 2))
    second = fleet.package(store, module_of(1, 3))
    third = fleet.package(store, module_of(1, 2, 4))
    assert third.manifest.chunks[:2] == first.manifest.chunks
    assert third.stale == (second.manifest.chunks[1],)


def test_equal_chunks_inside_a_module_are_one_chunk() -> None:
    fleet, store = Fleet(), MemoryStore()
    packaged = fleet.package(store, module_of(1, 5, 5, 5))
    assert len(packaged.manifest.chunks) == 4
    assert len(packaged.moved) == len(list(store.items(CHUNKS))) == 2
    assert opened(store, packaged) == module_of(1, 5, 5, 5)


def test_the_content_key_of_a_version_does_not_open_the_next_and_is_not_kept() -> None:
    fleet, store = Fleet(), MemoryStore()
    fleet.package(store, module_of(1, 2))
    old_key = content_key(store)
    second = fleet.package(store, module_of(1, 3))
    with pytest.raises(AuthenticationError):
        open_index_untrusted(second.manifest, old_key)
    for bucket in ("publisher-models", "publisher-secrets", "publisher-chunks", "publisher-stale"):
        assert not any(old_key in value for _, value in store.items(bucket))


def test_two_models_share_no_chunk_and_no_secret() -> None:
    fleet, store = Fleet(), MemoryStore()
    one = fleet.package(store)
    other = fleet.package(store, description=DESCRIPTION.model_copy(update={"name": "other"}))
    assert one.manifest.digest == other.manifest.digest
    assert not set(one.manifest.chunks) & set(other.manifest.chunks)
    with pytest.raises(AuthenticationError):
        open_index_untrusted(other.manifest, content_key(store, "scan"))


@pytest.mark.parametrize("module", [b"", b"\0as", b"\x7fELF" + bytes(64), b"asm\0" + bytes(64)])
def test_what_is_no_module_is_refused_and_nothing_is_stored(module: bytes) -> None:
    store = MemoryStore()
    with pytest.raises(ConfigurationError) as refused:
        Fleet().package(store, module)
    assert "expected" in refused.value.diagnostics
    assert list(store.items(MODELS)) == []


def test_a_module_above_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher.package, "MAX_MODULE", 100)
    fleet = Fleet()
    fleet.package(MemoryStore(), b"\0asm" + bytes(96))
    with pytest.raises(ConfigurationError, match="too large"):
        fleet.package(MemoryStore(), b"\0asm" + bytes(97))


def test_chunks_grow_where_a_manifest_could_not_name_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher.package, "MAX_CHUNKS", 2)
    fleet, store, module = Fleet(), MemoryStore(), module_of(1, 2, 3, 4, 5)
    packaged = fleet.package(store, module)
    assert len(packaged.manifest.chunks) == 2
    assert opened(store, packaged) == module


def test_the_largest_module_has_chunks_that_a_manifest_can_name() -> None:
    largest = publisher.package._chunk_bytes(publisher.package.MAX_MODULE)
    assert publisher.package.MAX_MODULE / largest <= publisher.package.MAX_CHUNKS
    assert largest == 128 * 1024


def test_a_manifest_that_no_one_would_parse_is_refused() -> None:
    labels = tuple(f"{number:0>250}" for number in range(4096))
    outputs = (DESCRIPTION.outputs[0].model_copy(update={"labels": labels}),) * 2
    with pytest.raises(ConfigurationError, match="fewer labels"):
        Fleet().package(MemoryStore(), description=DESCRIPTION.model_copy(update={"outputs": outputs}))


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "a+", "#", "-a", "x" * 33])
def test_a_name_that_could_not_stand_in_a_topic_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        type(DESCRIPTION)(**{**dict(DESCRIPTION), "name": name})


class DyingStore(MemoryStore):
    """Dies at the n-th write, as a power cut would."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.left = writes

    def write(self, bucket: str, key: bytes, value: bytes) -> None:
        self.left -= 1
        if self.left < 0:
            raise StoreError("the power is gone")
        super().write(bucket, key, value)


@pytest.mark.parametrize("writes", range(8))
def test_a_crash_while_packaging_leaves_the_version_before(writes: int) -> None:
    fleet, store = Fleet(), DyingStore(100)
    first = fleet.package(store, module_of(1, 2))
    key = content_key(store)
    store.left = writes
    try:
        fleet.package(store, module_of(3, 4))
        expected = 2
    except StoreError:
        expected = 1
    survivor = store.crash()
    found = Shelf(survivor).newest("scan")
    assert found is not None
    assert found.manifest.version == expected
    assert {name for name, _ in survivor.items(CHUNKS)} == set(found.manifest.chunks)
    assert expected == 2 or (found.document == first.document and found.content_key == key)


def test_no_secret_is_in_any_text_form() -> None:
    fleet, store = Fleet(), MemoryStore()
    packaged, shelved = fleet.package(store), Shelf(store).newest("scan")
    assert shelved is not None
    for secret in (shelved.content_key, Shelf(store).secret("scan", fleet.randomness)):
        for text in (repr(packaged), repr(shelved), str(packaged), str(shelved)):
            assert secret.hex() not in text
            assert repr(secret) not in text


@contextmanager
def damaged(store: MemoryStore, bucket: str, key: bytes, value: bytes) -> Iterator[None]:
    before = store.read(bucket, key)
    store.write(bucket, key, value)
    yield
    if before is not None:
        store.write(bucket, key, before)


@given(st.binary(max_size=200))
@settings(max_examples=examples(50), deadline=None)
def test_a_damaged_store_is_a_store_error_and_nothing_else(garbage: bytes) -> None:
    fleet, store = Fleet(), MemoryStore()
    packaged = fleet.package(store)
    with damaged(store, MODELS, b"scan", garbage), pytest.raises(StoreError):
        Shelf(store).newest("scan")
    name = packaged.manifest.chunks[0]
    with damaged(store, CHUNKS, name, garbage), pytest.raises(StoreError):
        Shelf(store).chunk(name)
    store.write("publisher-stale", garbage, b"\0")
    with pytest.raises(StoreError):
        Shelf(store).sweep()
