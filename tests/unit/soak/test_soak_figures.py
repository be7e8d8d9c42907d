"""The soak's figures: growth, kills, and readings of which no two have one output."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guests.breast_cancer.patients import Patients
from soak.growth import MEGABYTE, Sample, growth, sampled, shown
from soak.readings import BAD_EVERY, Floats, drawn
from soak.wounds import VICTIMS, Wound
from soak.wounds import shown as wounds_shown


@settings(deadline=None)
@given(st.floats(-100, 100), st.integers(3, 50))
def test_a_line_is_found_as_it_is(megabytes_an_hour: float, count: int) -> None:
    sizes = [int((200 + megabytes_an_hour * number * 5 / 3600) * MEGABYTE) for number in range(count)]
    found = growth([Sample(5.0 * number, size, 1, 1) for number, size in enumerate(sizes)])
    assert found is not None
    assert found.megabytes_an_hour == pytest.approx(megabytes_an_hour, abs=0.02)
    assert found.standard_error == pytest.approx(0, abs=0.02)


def test_what_only_jumps_about_has_no_growth_beyond_its_error() -> None:
    samples = [Sample(5.0 * number, int((50 + number % 2) * MEGABYTE), 1, 1) for number in range(60)]
    found = growth(samples)
    assert found is not None
    assert abs(found.megabytes_an_hour) < 2 * found.standard_error


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_samples_have_no_growth(count: int) -> None:
    assert growth([Sample(float(number), 1, 1, 1) for number in range(count)]) is None


def test_growth_is_of_what_comes_after_the_warm_up() -> None:
    samples = [Sample(float(at), (10 if at < 5 else 90) * 10**6, 40 if at == 2 else 9, 2) for at in range(10)]
    row = shown(samples, warm_from=5.0)
    assert row["memory"] == {**row["memory"], "megabytes_an_hour": 0.0, "first_megabytes": 90.0, "samples": 5}
    assert row["descriptors"] == {"highest": 40, "first_warm": 9, "last": 9}
    assert shown([], 0.0)["memory"] is None


def test_a_process_is_sampled_as_it_is(tmp_path: Path) -> None:
    before = sampled([os.getpid()], 1.0)
    with (tmp_path / "open").open("w"):
        during = sampled([os.getpid()], 2.0)
    assert before is not None
    assert during is not None
    assert during.descriptors == before.descriptors + 1
    assert before.memory > MEGABYTE


def test_what_has_ended_is_not_sampled() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert sampled([ended.pid], 1.0) is None
    assert sampled([], 1.0) is None


def test_a_wound_is_healed_by_its_own_events_and_by_answers_to_later_readings() -> None:
    wound = Wound("verifier", 100.0, {"steady", "single"})
    wound.hear("agent", "connected", 100.5)
    wound.hear("verifier", "challenged", 100.6)
    wound.see_answer("steady", sent_at=99.9, at=101.0)
    assert (wound.back, wound.answered) == (None, None)
    wound.hear("verifier", "connected", 102.0)
    wound.hear("verifier", "connected", 103.0)
    wound.see_answer("steady", sent_at=100.1, at=104.0)
    assert not wound.is_healed
    wound.see_answer("single", sent_at=100.1, at=105.0)
    wound.see_answer("single", sent_at=105.1, at=106.0)
    assert wound.is_healed
    assert (wound.back, wound.answered) == (2.0, 5.0)


def test_kills_are_told_by_victim() -> None:
    wounds = [Wound("broker", 0.0, set(), back=1.0, answered=answered) for answered in (2.0, 9.0, 3.0, None)]
    rows = {row["victim"]: row for row in wounds_shown(wounds)}
    assert list(rows) == list(VICTIMS)
    assert rows["broker"]["answered_again"] == {"median_seconds": 3.0, "longest_seconds": 9.0}
    assert (rows["broker"]["kills"], rows["broker"]["not_recovered"]) == (4, 1)
    assert rows["agent"]["back"] == {"median_seconds": None, "longest_seconds": None}


def test_no_two_readings_have_one_output_and_bad_ones_have_none() -> None:
    rng = np.random.default_rng(0)
    patients = Patients(rng.random((40, 30), dtype=np.float32), np.arange(40) % 2)

    def coarse(readings: Floats) -> Floats:
        # So few outputs that many readings would share one.
        rounded = np.round(readings[:, 0], 3)
        return np.stack([1 - rounded, rounded], axis=1).astype(np.float32)

    found = drawn(patients, coarse, 200, seed=1)
    outputs = [output for _, output in found if output is not None]
    assert len(set(outputs)) == len(outputs) == 200 - 200 // BAD_EVERY
    for line, output in found:
        assert (output is None) == (float("inf") in json.loads(line))


def test_a_reading_is_told_with_its_own_output() -> None:
    patients = Patients(np.array([[0.0] * 30, [1.0] * 30], dtype=np.float32), np.array([0, 1]))
    for line, output in drawn(patients, lambda readings: readings[:, :2], 30, seed=2):
        assert output is None or tuple(json.loads(line)[:2]) == output
