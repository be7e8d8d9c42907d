"""The encrypted chunk cache: a disk, a key or a machine that is not as it was costs a fetch, and gives nothing away."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.chunk_sealing import KEY_BYTES, OVERHEAD, ChunkCipher, open_cipher
from edge_agent.chunks import MAX_CHUNK, ChunkCache
from edge_agent.enclave.needs import ChunksNeeded
from edge_agent.fetching import ChunkFetcher
from protocol.errors import AuthenticationError, ConfigurationError, LocalError, MalformedError
from protocol.messages import digest
from protocol.party import Delivery, Noted, Subscription
from schemas.topics import FleetTopics

A, B = b"a" * 1000, b"b" * 1000
NOW = 1_800_000_000.0
TOPICS = FleetTopics("clinic")


class FakeSealer:
    """Seals by remembering. `machine` is what it is bound to."""

    def __init__(self) -> None:
        self.machine = "as it was"
        self.kept: dict[bytes, tuple[str, bytes]] = {}

    def seal(self, data: bytes) -> bytes:
        blob = b"blob %d" % len(self.kept)
        self.kept[blob] = (self.machine, data)
        return blob

    def unseal(self, blob: bytes) -> bytes:
        if blob not in self.kept:
            raise MalformedError("no blob of mine")
        machine, data = self.kept[blob]
        if machine != self.machine:
            raise ConfigurationError("another machine")
        return data


def cipher(letter: bytes = b"k") -> ChunkCipher:
    return ChunkCipher(letter * KEY_BYTES, os.urandom)


def cache(folder: Path, key: ChunkCipher | None) -> ChunkCache:
    return ChunkCache(folder, cipher=key)


def file_of(folder: Path, payload: bytes) -> Path:
    return folder / digest(payload).hex()


def test_what_is_written_comes_back_and_is_not_on_the_disk(tmp_path: Path) -> None:
    cache(tmp_path, cipher()).write_untrusted(digest(A), A)
    assert cache(tmp_path, cipher()).read(digest(A)) == A
    content = file_of(tmp_path, A).read_bytes()
    assert A[:16] not in content
    assert len(content) == len(A) + OVERHEAD == cache(tmp_path, cipher()).bytes_held


def test_the_largest_chunk_fits(tmp_path: Path) -> None:
    largest = bytes(MAX_CHUNK)
    held = cache(tmp_path, cipher())
    held.write_untrusted(digest(largest), largest)
    assert held.read(digest(largest)) == largest


def test_the_same_chunk_is_never_encrypted_alike(tmp_path: Path) -> None:
    contents = set()
    for _ in range(20):
        cache(tmp_path, cipher()).write_untrusted(digest(A), A)
        contents.add(file_of(tmp_path, A).read_bytes()[:12])
    assert len(contents) == 20


@given(st.integers(0, 1000 + OVERHEAD - 1), st.integers(1, 255))
def test_a_file_that_was_edited_anywhere_counts_as_missing(
    tmp_path_factory: pytest.TempPathFactory, place: int, change: int
) -> None:
    folder = tmp_path_factory.getbasetemp() / "edited"
    held = cache(folder, cipher())
    held.write_untrusted(digest(A), A)
    content = bytearray(file_of(folder, A).read_bytes())
    content[place] ^= change
    file_of(folder, A).write_bytes(content)
    assert held.read(digest(A)) is None
    assert held.missing([digest(A)]) == (digest(A),)
    assert not file_of(folder, A).exists()


@pytest.mark.parametrize("length", [0, 5, 12, 27, 28])
def test_a_file_that_was_cut_counts_as_missing(tmp_path: Path, length: int) -> None:
    held = cache(tmp_path, cipher())
    held.write_untrusted(digest(A), A)
    file_of(tmp_path, A).write_bytes(file_of(tmp_path, A).read_bytes()[:length])
    assert held.read(digest(A)) is None


def test_a_chunk_in_the_place_of_another_is_refused(tmp_path: Path) -> None:
    held = cache(tmp_path, cipher())
    for each in (A, B):
        held.write_untrusted(digest(each), each)
    file_of(tmp_path, B).replace(file_of(tmp_path, A))
    assert held.read(digest(A)) is None
    with pytest.raises(AuthenticationError):
        cipher().open(digest(A), cipher().close(digest(B), A))


@pytest.mark.parametrize(("before", "after"), [(b"k", b"l"), (b"k", None), (None, b"k")], ids=repr)
def test_another_key_or_none_is_a_cache_that_is_empty(tmp_path: Path, before: bytes, after: bytes) -> None:
    cache(tmp_path, before and cipher(before)).write_untrusted(digest(A), A)
    assert cache(tmp_path, after and cipher(after)).read(digest(A)) is None


def test_what_was_lost_is_fetched_again_and_told(tmp_path: Path) -> None:
    cache(tmp_path, cipher(b"k")).write_untrusted(digest(A), A)
    fetcher = ChunkFetcher(TOPICS, cache(tmp_path, cipher(b"l")))
    fetcher.begin(ChunksNeeded("m", (digest(A),)), NOW)
    events, fetched = fetcher.finish(NOW)
    assert fetched == []
    assert Noted("chunks-lost", {"model": "m", "missing": 1}) in events
    assert Subscription(TOPICS.chunk("m", digest(A))) in events
    fetcher.receive_untrusted(Delivery(TOPICS.chunk("m", digest(A)), A, retained=True), NOW)
    _, [again] = fetcher.finish(NOW)
    assert again.payloads == (A,)


# The key


def test_the_key_is_made_once(tmp_path: Path) -> None:
    sealer, path = FakeSealer(), tmp_path / "key"
    first, notes = open_cipher(sealer, path, os.urandom)
    again, more = open_cipher(sealer, path, os.urandom)
    assert again.open(b"n", first.close(b"n", A)) == A
    assert (notes, more, len(sealer.kept)) == ([], [], 1)
    assert path.stat().st_mode & 0o777 == 0o600
    [(_, key)] = sealer.kept.values()
    assert key not in path.read_bytes()
    assert key.hex() not in repr(first)


@pytest.mark.parametrize("fault", ["machine", "edited", "open", "length"])
def test_a_key_that_cannot_be_unsealed_is_replaced_and_told(tmp_path: Path, fault: str) -> None:
    sealer, path = FakeSealer(), tmp_path / "key"
    first, _ = open_cipher(sealer, path, os.urandom)
    if fault == "machine":
        sealer.machine = "another"
    elif fault == "edited":
        path.write_bytes(b"x")
    elif fault == "open":
        path.chmod(0o644)
    else:
        sealer.kept[path.read_bytes()] = (sealer.machine, b"short")
    second, [note] = open_cipher(sealer, path, os.urandom)
    assert note.what == "cache-key-lost"
    with pytest.raises(AuthenticationError):
        second.open(b"n", first.close(b"n", A))
    assert open_cipher(sealer, path, os.urandom)[1] == []


def test_where_nothing_can_be_sealed_nothing_is_kept_in_the_open(tmp_path: Path) -> None:
    class Broken(FakeSealer):
        def seal(self, data: bytes) -> bytes:
            raise ConfigurationError("no TPM")

    with pytest.raises(LocalError):
        open_cipher(Broken(), tmp_path / "key", os.urandom)
    assert list(tmp_path.iterdir()) == []
