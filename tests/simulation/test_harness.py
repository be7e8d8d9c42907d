"""The harness itself: it shrinks, it taints, its disks fail as told, and what it plants is taken out again."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.channel import ReplayWindow
from protocol.errors import FreshnessError, StoreError
from protocol.party import Store
from simulation.__main__ import main
from simulation.disks import Disk, PowerCutError
from simulation.drawing import drawn
from simulation.mutations.catalogue import MUTATIONS
from simulation.mutations.hunting import hunt
from simulation.mutations.rewriting import RewritingError, mutation, planted
from simulation.report import replay_command
from simulation.running import run
from simulation.shrinking import shrunk, smallest
from simulation.taint import Taint

BUG = "use-a-nonce-twice"


def write_all(store: Store, keys: list[bytes]) -> None:
    for key in keys:
        store.write("a", key, b"")


@given(st.sets(st.integers(0, 30), max_size=4))
def test_shrinking_leaves_what_is_needed_and_no_more(needed: set[int]) -> None:
    assert set(smallest(range(31), lambda kept: needed <= set(kept))) == needed


def test_a_seed_that_does_not_fail_cannot_be_shrunk() -> None:
    with pytest.raises(ValueError, match="does not break"):
        shrunk(drawn(1), "authentic")


@pytest.mark.slow
def test_a_caught_bug_shrinks_to_a_few_acts_that_still_show_it() -> None:
    caught = hunt(BUG)
    assert caught.is_caught
    invariant = caught.invariants[0]
    with planted(MUTATIONS[BUG]):
        plan = drawn(caught.seed)
        kept = shrunk(plan, invariant)
        assert len(kept) < len(plan.acts)
        assert invariant in run(plan.only(kept)).broken
    assert run(drawn(caught.seed)).broken == {}, "the bug was taken out again"


def test_the_replay_command_names_all_that_is_needed() -> None:
    assert replay_command(7, [1, 2], BUG) == f".venv/bin/python -m simulation --seed 7 --acts 1,2 --plant {BUG}"


def test_words_that_are_not_there_cannot_be_replaced() -> None:
    target = "protocol.channel:ReplayWindow.accept"
    with pytest.raises(RewritingError), planted(mutation("none", "P7", (target, "words that never stood there", ""))):
        pass
    window = ReplayWindow()
    with planted(MUTATIONS["forget-the-replay-window"]):
        window.accept(1)
        window.accept(1)
    with pytest.raises(FreshnessError):
        window.accept(1)


def test_a_fleet_of_planted_bugs() -> None:
    assert len(MUTATIONS) >= 25
    for each in MUTATIONS.values():
        with planted(each):
            pass


@pytest.mark.parametrize("shown", [lambda secret: secret, lambda secret: secret.hex().encode()])
def test_a_secret_is_found_wherever_it_stands(shown: Callable[[bytes], bytes]) -> None:
    taint = Taint()
    secret, public = taint.draws("somebody", Random(1))(32), taint.draws("somebody", Random(2))(16)
    text = b"before " + shown(secret) + b" after"
    assert taint.leaks(text, text)
    assert taint.leaks(public, public.hex().encode()) == []


def test_base64_of_a_secret_is_found_at_every_offset() -> None:
    taint, secret = Taint(), Random(3).randbytes(40)
    taint.note("a reading", secret)
    for before in (b"", b"a", b"ab", b"abc"):
        assert taint.leaks(b"", b64encode(before + secret)) == ["a reading, in a text"]
        assert taint.leaks(b"", urlsafe_b64encode(before + secret)) == ["a reading, in a text"]


@pytest.mark.parametrize(("writes", "kept"), [(0, []), (1, [b"0"]), (2, [b"0"]), (3, [b"0", b"1"])])
def test_the_power_goes_when_it_was_told_to(writes: int, kept: list[bytes]) -> None:
    disk, nine = Disk(), [b"%d" % number for number in range(9)]
    store = disk.mount()
    disk.dies_after(writes)
    with pytest.raises(PowerCutError):
        write_all(store, nine)
    assert [key for key, _ in disk.mount().items("a")] == kept


def test_a_full_disk_takes_nothing_and_a_transaction_that_lost_its_power_left_nothing() -> None:
    disk = Disk()
    store = disk.mount()
    disk.full = True
    with pytest.raises(StoreError):
        store.write("a", b"key", b"")
    disk.full = False
    disk.dies_after(2)
    with pytest.raises(PowerCutError), store.transaction():
        write_all(store, [b"one", b"two"])
    assert list(disk.mount().items("a")) == []


def test_the_report_counts_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "2", "--first", "5", "--jobs", "1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["seeds"], shown["first_seed"], shown["failing"]) == (2, 5, {})
    assert shown["simulated_hours"] > 0
    assert shown["steps"] > 100


@pytest.mark.slow
def test_a_failing_seed_prints_the_command_that_replays_it(capsys: pytest.CaptureFixture[str]) -> None:
    seed = hunt(BUG).seed
    assert main(["--seed", str(seed), "--plant", BUG, "--acts", "", "--json"]) == 0
    capsys.readouterr()
    assert main(["--seed", str(seed), "--plant", BUG]) == 1
    said = capsys.readouterr()
    assert "breaks attested" in said.err
    assert f".venv/bin/python -m simulation --seed {seed} --acts" in said.err
    assert "attestation-result-issued" in said.out
