"""The fuzzer's own parts: the committed corpus, what an input may cost, the faults on purpose, and what is reported."""

from pathlib import Path

import pytest

from tests.fuzz import bounds, corpus
from tests.fuzz.bounds import MAX_BYTES, TookTooLongError, TookTooMuchError, bounded
from tests.fuzz.corpus import ARCHIVE, MOST, archive, archived, smallest
from tests.fuzz.planted import HONEST, planted
from tests.fuzz.registry import target
from tests.fuzz.running import Outcome, outcome

KEPT = archived()
FUNCTIONS = [name for name in KEPT if name.startswith("bytes:")]
OTHERS = [name for name in KEPT if not name.startswith("bytes:")]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_still_refuses_or_parses_what_was_found(name: str) -> None:
    for data in KEPT[name]:
        target(name).run(data)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_a_party_still_refuses_or_takes_what_was_found(name: str) -> None:
    for data in KEPT[name]:
        target(name).run(data)


def test_the_corpus_is_small_and_holds_nothing_twice() -> None:
    assert ARCHIVE.stat().st_size < 300_000
    for name, contents in KEPT.items():
        assert len(set(contents)) == len(contents), name
        assert sum(map(len, contents)) <= MOST, name
        assert max(map(len, contents)) <= MAX_BYTES, name


def test_an_archive_is_the_same_bytes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "ARCHIVE", tmp_path / "corpus.tar.xz")
    kept = {"b": [b"two", b"one"], "a": [b"x"]}
    archive(kept)
    before = corpus.ARCHIVE.read_bytes()
    assert archived() == {"a": [b"x"], "b": [b"one", b"two"]}
    archive({place: list(reversed(contents)) for place, contents in reversed(kept.items())})
    assert corpus.ARCHIVE.read_bytes() == before


def test_the_smallest_are_kept() -> None:
    assert smallest([b"333", b"1", b"22", b"1"], known=[b"22"], most=4) == [b"1", b"333"]
    assert smallest([b"333", b"1", b"22"], known=[], most=3) == [b"1", b"22"]


def test_an_input_may_not_take_long() -> None:
    with pytest.raises(TookTooLongError), bounded(seconds=0.05):
        _without_end()


def test_an_input_may_not_take_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the system counts what is taken is seen by `planted:takes-memory`, in a process of its own."""
    peaks = iter((100, 150, 100, 151))
    monkeypatch.setattr(bounds, "peak", lambda: next(peaks))
    with bounded(memory=50):
        pass
    with pytest.raises(TookTooMuchError), bounded(memory=50):
        pass


def _without_end() -> None:
    while True:
        pass


def test_a_fault_on_purpose_is_none_until_it_is_hit() -> None:
    for name, each in planted().items():
        each.target.run(HONEST)
        assert target(name).seeds() == [HONEST]
    with pytest.raises(KeyError):
        target("planted:raises").run(b"\x5e\xa1\xed")
    with pytest.raises(TypeError):
        target("planted:believes-a-field").run(b"\xa2\x01\x63one\x02\x82\x05\x41x")


RAN = "INFO: Seed: 1\n#2\tINITED cov: 7 ft: 7 corp: 1/10b\n#655\tNEW    cov: 11 ft: 14 corp: 3/9b lim: 12288\n"
WRITTEN = "Test unit written to .fuzz/found/a-target/crash-1\n"


def test_what_a_clean_run_reports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = said(monkeypatch, tmp_path, RAN + "stat::number_of_executed_units: 9000\n", status=0)
    assert (found.runs, found.coverage, found.features, found.corpus, found.found) == (9000, 11, 14, 3, "")
    assert found.is_clean
    assert found.line == "ok         9000 runs    11 edges     14 features     3 inputs  a:target"


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("\n === Uncaught Python exception: ===\nKeyError: 3\nTraceback\n" + WRITTEN, "KeyError"),
        ("\n === Uncaught Python exception: ===\na.b.SlowError: all of it\n" + WRITTEN, "SlowError"),
        ("==1== ERROR: libFuzzer: timeout after 30 seconds\n" + WRITTEN, "timeout"),
        ("==1== ERROR: libFuzzer: out-of-memory (used: 2000Mb)\n" + WRITTEN, "out-of-memory"),
        ("Traceback\nImportError: a module is gone\n", "ended"),
    ],
)
def test_what_a_fault_reports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, told: str, found: str) -> None:
    outcome = said(monkeypatch, tmp_path, RAN + told, status=1)
    assert (outcome.found, outcome.runs, outcome.is_clean) == (found, 655, False)
    assert outcome.line.startswith("FAULT")
    replayed = ".venv/bin/python -m tests.fuzz --replay .fuzz/found/a-target/crash-1"
    assert outcome.replay == (replayed if WRITTEN in told else "see .fuzz/log/a-target/log.txt")


def test_a_run_of_nothing_is_no_clean_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not said(monkeypatch, tmp_path, "", status=0).is_clean


def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, status: int) -> Outcome:
    monkeypatch.chdir(tmp_path)
    (corpus.folder("log", "a:target") / "log.txt").write_text(text, "utf-8")
    return outcome("a:target", status)
