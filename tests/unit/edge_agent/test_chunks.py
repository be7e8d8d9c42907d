"""The chunk cache and the fetching around it: whatever the disk and the broker do, only the named bytes come out."""

import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.chunks import MAX_CHUNK, ChunkCache
from edge_agent.enclave.needs import ChunksNeeded
from edge_agent.fetching import MAX_ROUNDS, SILENT_SECONDS, WINDOW, ChunkFetcher, Fetched
from protocol.errors import AuthenticationError, MalformedError, StoreError
from protocol.messages import digest
from protocol.party import Delivery, Event, Noted, Subscription
from schemas.reason import Reason
from schemas.topics import FleetTopics
from tests.support.examples import examples

TOPICS = FleetTopics("clinic")
NOW = 1_800_000_000.0
A, B, C = (bytes([letter]) * 100 for letter in b"abc")


def put(cache: ChunkCache, *payloads: bytes) -> None:
    for payload in payloads:
        cache.write_untrusted(digest(payload), payload)


def path_of(folder: Path, payload: bytes) -> Path:
    return folder / digest(payload).hex()


# The cache


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    put(ChunkCache(tmp_path / "cache"), A, B)
    again = ChunkCache(tmp_path / "cache")
    assert again.read(digest(A)) == A
    assert again.missing([digest(A), digest(C), digest(B), digest(C)]) == (digest(C),)
    assert again.bytes_held == 200
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_bytes_under_a_foreign_name_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path)
    with pytest.raises(AuthenticationError):
        cache.write_untrusted(digest(A), B)
    assert cache.missing([digest(A)]) == (digest(A),)
    assert list(tmp_path.iterdir()) == []


def test_a_chunk_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    large = bytes(MAX_CHUNK + 1)
    with pytest.raises(MalformedError) as refused:
        ChunkCache(tmp_path).write_untrusted(digest(large), large)
    assert refused.value.reason is Reason.OVERSIZED


@given(st.binary(max_size=300))
@settings(max_examples=examples(30))
def test_a_damaged_file_is_never_returned_and_deleted(tmp_path_factory: pytest.TempPathFactory, damaged: bytes) -> None:
    folder = tmp_path_factory.mktemp("cache")
    cache = ChunkCache(folder)
    put(cache, A, B)
    path_of(folder, A).write_bytes(damaged)
    assert cache.read(digest(A)) == (A if damaged == A else None)
    assert path_of(folder, A).exists() == (damaged == A)
    assert cache.read(digest(B)) == B


def test_a_file_that_grew_without_end_is_not_read_whole(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path)
    put(cache, A)
    with path_of(tmp_path, A).open("r+b") as file:
        file.truncate(2**40)
    assert cache.read(digest(A)) is None


def test_a_file_that_vanished_is_missing(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path)
    put(cache, A)
    path_of(tmp_path, A).unlink()
    assert cache.read(digest(A)) is None
    assert cache.missing([digest(A)]) == (digest(A),)
    assert cache.bytes_held == 0


def test_the_least_recently_used_makes_room(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path, max_bytes=250)
    put(cache, A, B)
    cache.read(digest(A))
    put(cache, C)
    assert cache.missing(map(digest, (A, B, C))) == (digest(B),)
    assert not path_of(tmp_path, B).exists()
    assert cache.bytes_held == 200


def test_the_order_of_use_outlives_a_restart(tmp_path: Path) -> None:
    put(ChunkCache(tmp_path), A, B)
    os.utime(path_of(tmp_path, A), (2_000_000_000, 2_000_000_000))
    put(ChunkCache(tmp_path, max_bytes=250), C)
    assert not path_of(tmp_path, B).exists()
    assert path_of(tmp_path, A).exists()


def test_what_is_kept_does_not_make_room(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path, max_bytes=250)
    put(cache, A, B)
    with pytest.raises(StoreError, match="too few"):
        cache.write_untrusted(digest(C), C, keep=(digest(A), digest(B)))
    assert cache.read(digest(A)) == A


def test_an_interrupted_write_is_cleared_away_and_strangers_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".chunk-left").write_bytes(b"half")
    (tmp_path / "README").write_bytes(b"mine")
    (tmp_path / ("e" * 64)).symlink_to("/etc/passwd")
    cache = ChunkCache(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["README", "e" * 64]
    assert cache.bytes_held == 0
    assert cache.read(bytes.fromhex("e" * 64)) is None


def test_the_same_chunk_twice_counts_once(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path)
    put(cache, A, A)
    assert cache.bytes_held == 100


def test_a_folder_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(StoreError, match="cache: "):
        ChunkCache(tmp_path / "cache")


# Fetching


class Broker:
    """Retains chunks; follows what a fetcher subscribes to and counts what it was asked for."""

    def __init__(self, *payloads: bytes) -> None:
        self.retained = {TOPICS.chunk("scan", digest(each)): each for each in payloads}
        self.subscribed: list[str] = []
        self.asked: list[str] = []
        self.notes: list[str] = []

    def follow(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Noted):
                self.notes.append(event.what)
            elif isinstance(event, Subscription) and event.wanted:
                self.asked.append(event.topic_filter)
                if event.topic_filter not in self.subscribed:
                    self.subscribed.append(event.topic_filter)
            elif isinstance(event, Subscription):
                self.subscribed.remove(event.topic_filter)

    def serve(self, fetcher: ChunkFetcher, random: Random | None = None) -> list[Fetched]:
        """Deliver what is subscribed to, in any order, until the fetcher asks for nothing more."""
        finished: list[Fetched] = []
        events, done = fetcher.finish(NOW)
        while True:
            self.follow(events)
            finished += done
            ready = [each for each in self.subscribed if each in self.retained]
            if not ready:
                return finished
            topic = random.choice(ready) if random else ready[0]
            events = fetcher.receive_untrusted(Delivery(topic, self.retained[topic], retained=True), NOW)
            more, done = fetcher.finish(NOW)
            events += more


def need(*payloads: bytes, model: str = "scan") -> ChunksNeeded:
    return ChunksNeeded(model, tuple(map(digest, payloads)))


def numbered(count: int) -> tuple[bytes, ...]:
    return tuple(number.to_bytes(4, "big") * 10 for number in range(count))


@given(st.integers(0, 2**32))
@settings(max_examples=examples(20))
def test_chunks_come_in_the_order_of_the_manifest_whatever_order_they_arrive_in(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    payloads = numbered(3 * WINDOW)
    fetcher, broker = ChunkFetcher(TOPICS, ChunkCache(tmp_path_factory.mktemp("cache"))), Broker(*payloads)
    broker.follow(fetcher.begin(need(*payloads), NOW))
    assert len(broker.subscribed) == WINDOW
    assert broker.serve(fetcher, Random(seed)) == [Fetched("scan", payloads)]
    assert broker.subscribed == []
    assert len(broker.asked) == len(payloads)
    assert fetcher.deadline is None


def test_only_what_is_missing_is_asked_for(tmp_path: Path) -> None:
    """A break and a new version move only what changed."""
    payloads = numbered(20)
    fetcher, broker = ChunkFetcher(TOPICS, ChunkCache(tmp_path)), Broker(*payloads[:7])
    broker.follow(fetcher.begin(need(*payloads), NOW))
    assert broker.serve(fetcher) == []
    after_restart, whole = ChunkFetcher(TOPICS, ChunkCache(tmp_path)), Broker(*payloads)
    whole.follow(after_restart.begin(need(*payloads), NOW))
    assert whole.serve(after_restart) == [Fetched("scan", payloads)]
    assert len(whole.asked) == 13


def test_a_repeated_chunk_is_asked_for_once_and_handed_in_twice(tmp_path: Path) -> None:
    fetcher, broker = ChunkFetcher(TOPICS, ChunkCache(tmp_path)), Broker(A, B)
    broker.follow(fetcher.begin(need(A, B, A), NOW))
    assert broker.serve(fetcher) == [Fetched("scan", (A, B, A))]
    assert len(broker.asked) == 2


def test_a_model_that_lies_in_the_cache_is_ready_at_once(tmp_path: Path) -> None:
    cache = ChunkCache(tmp_path)
    put(cache, A, B)
    fetcher, broker = ChunkFetcher(TOPICS, cache), Broker()
    broker.follow(fetcher.begin(need(A, B), NOW))
    assert broker.serve(fetcher) == [Fetched("scan", (A, B))]
    assert broker.asked == []


def test_wrong_bytes_are_refused_and_the_right_ones_still_come(tmp_path: Path) -> None:
    fetcher, broker = ChunkFetcher(TOPICS, ChunkCache(tmp_path)), Broker(A)
    broker.follow(fetcher.begin(need(A), NOW))
    (topic,) = broker.subscribed
    for wrong in (b"", B, A + b"x"):
        with pytest.raises(AuthenticationError):
            fetcher.receive_untrusted(Delivery(topic, wrong), NOW)
    assert broker.serve(fetcher) == [Fetched("scan", (A,))]


def test_a_file_damaged_before_it_is_handed_in_is_fetched_again(tmp_path: Path) -> None:
    put(ChunkCache(tmp_path), A, B)
    path_of(tmp_path, A).write_bytes(b"damaged")
    fetcher, broker = ChunkFetcher(TOPICS, ChunkCache(tmp_path)), Broker(A, B)
    broker.follow(fetcher.begin(need(A, B), NOW))
    assert broker.serve(fetcher) == [Fetched("scan", (A, B))]
    assert broker.asked == [TOPICS.chunk("scan", digest(A))]


def test_a_disk_that_loses_every_chunk_ends_the_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ChunkCache(tmp_path)
    monkeypatch.setattr(cache, "read", cache.delete)
    fetcher, broker = ChunkFetcher(TOPICS, cache), Broker(A)
    broker.follow(fetcher.begin(need(A), NOW))
    assert broker.serve(fetcher) == [Fetched("scan", ())]
    assert len(broker.asked) == MAX_ROUNDS
    assert broker.notes[-1] == "chunks-failed"


def test_a_cache_too_small_for_the_model_ends_the_fetch(tmp_path: Path) -> None:
    fetcher, broker = ChunkFetcher(TOPICS, ChunkCache(tmp_path, max_bytes=250)), Broker(A, B, C)
    broker.follow(fetcher.begin(need(A, B, C), NOW))
    assert broker.serve(fetcher) == [Fetched("scan", ())]
    assert broker.subscribed == []


def test_a_newer_version_replaces_the_fetch_before(tmp_path: Path) -> None:
    fetcher, broker = ChunkFetcher(TOPICS, ChunkCache(tmp_path)), Broker(B, C)
    broker.follow(fetcher.begin(need(A, B), NOW))
    broker.follow(fetcher.begin(need(B, C), NOW))
    assert broker.serve(fetcher) == [Fetched("scan", (B, C))]
    assert not fetcher.expects(TOPICS.chunk("scan", digest(A)))


def test_silence_is_noted_and_asked_about_again(tmp_path: Path) -> None:
    fetcher, broker = ChunkFetcher(TOPICS, ChunkCache(tmp_path)), Broker()
    broker.follow(fetcher.begin(need(A, B), NOW))
    assert fetcher.deadline == NOW + SILENT_SECONDS
    assert fetcher.expire(NOW + SILENT_SECONDS - 1) == []
    broker.follow(fetcher.expire(NOW + SILENT_SECONDS))
    assert len(broker.asked) == 4
    assert broker.notes[-1] == "chunks-silent"
    assert fetcher.deadline == NOW + 2 * SILENT_SECONDS


def test_two_models_share_the_cache_and_not_the_topics(tmp_path: Path) -> None:
    fetcher = ChunkFetcher(TOPICS, ChunkCache(tmp_path))
    fetcher.begin(need(A), NOW)
    fetcher.begin(need(A, B, model="other"), NOW)
    fetcher.receive_untrusted(Delivery(TOPICS.chunk("scan", digest(A)), A), NOW)
    assert fetcher.finish(NOW)[1] == [Fetched("scan", (A,))]
    assert fetcher.expects(TOPICS.chunk("other", digest(A)))
    fetcher.end_all()
    assert not fetcher.expects(TOPICS.chunk("other", digest(A)))
    assert fetcher.deadline is None
