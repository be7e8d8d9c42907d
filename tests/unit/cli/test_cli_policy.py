"""`sealedge policy`: what is printed, in which form, and the status that it ends with."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sealedge.cli.application import main
from tests.support.enclaves import MEASUREMENT, FakeEnclave, Fleet
from tests.support.replay import VerifierFolder
from tests.synthetic.corim import comid, measurement, triple, unsigned

Run = Callable[..., tuple[int, str, str]]
SAME = f'name = "new"\n[tiers]\naccept = ["simulated"]\n[reference_values]\nmeasurements = ["{MEASUREMENT.hex()}"]\n'


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(each) for each in arguments])
        captured = capfd.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture
def place(tmp_path: Path) -> Iterator[VerifierFolder]:
    place = VerifierFolder(tmp_path, Fleet())
    with place.store:
        yield place


def test_show_prints_reference_values_by_their_source(run: Run, place: VerifierFolder) -> None:
    listed = comid(triple(measurement(bytes([7]) * 32, key="firmware", n1=2)), n2=[])
    (place.folder / "vendor.corim").write_bytes(unsigned(listed, n4={1: 5}))
    path = place.policy("policy.toml", f'{SAME}corim_unsigned = ["vendor.corim"]\n')
    status, out, error = run("policy", "show", path)
    assert (status, error) == (0, "")
    assert f"measurements    {MEASUREMENT.hex()}  policy" in out
    assert "corim           vendor.corim (corim-1), unsigned" in out
    assert "validity      always to 1970-01-01 00:00 UTC: NOT VALID NOW" in out
    assert f"digest      {'07' * 32}  firmware +svn" in out
    assert "not used      comid-1: identity keys are not used" in out
    assert "caution         simulated: proves nothing about hardware" in out
    status, out, _ = run("policy", "show", path, "--json")
    assert status == 0
    assert json.loads(out)["documents"][0]["file"] == "vendor.corim"


def test_no_control_character_of_a_supplier_s_reaches_the_terminal(run: Run, place: VerifierFolder) -> None:
    escape = "\x1b]0;owned\x07\u202e\n"
    listed = comid(triple(measurement(bytes(32), key=escape), environment={0: {1: escape}}), tag=escape, n1=[])
    (place.folder / "vendor.corim").write_bytes(unsigned(listed))
    path = place.policy("policy.toml", f'{SAME}corim_unsigned = ["vendor.corim"]\n')
    status, out, _ = run("policy", "show", path)
    assert status == 0
    assert "owned" in out
    assert not any(each in out for each in "\x1b\x07\u202e")
    status, out, _ = run("policy", "show", path, "--json")
    assert not any(each in out for each in "\x1b\x07\u202e")


def test_show_refuses_what_cannot_be_used_in_one_line(run: Run, place: VerifierFolder) -> None:
    (place.folder / "words.corim").write_bytes(unsigned(comid(triple(measurement(n11="words")))))
    for text, word in (
        ('[tiers]\naccepts = ["simulated"]', "accepts"),
        ('[reference_values]\ncorim_unsigned = ["words.corim"]', "yields no reference value"),
        ('[reference_values]\ncorim_unsigned = ["missing.corim"]', "missing.corim"),
    ):
        status, out, error = run("policy", "show", place.policy("p.toml", text))
        assert (status, out, error.count("\n")) == (2, "", 1)
        assert word in error
    assert run("policy", "show", place.folder / "missing.toml")[0] == 2


def test_try_tells_who_loses_and_ends_with_1(run: Run, place: VerifierFolder) -> None:
    place.attest(FakeEnclave(place.fleet, "east"))
    place.attest(FakeEnclave(place.fleet, "west"), measurement=bytes([0xBB]) * 32)
    new = place.policy("new.toml", SAME.replace(MEASUREMENT.hex(), "bb" * 32))
    status, out, error = run("policy", "try", new, "--config", place.config)
    assert (status, error) == (1, "")
    assert out.startswith("1 of 2 agents would lose their attestation result under new@sha256:")
    assert "LOSES  east  was affirmed at 2027-01-15 08:00 UTC, would be refused (measurement-unknown)" in out
    assert "gains  west  was refused (measurement-unknown)" in out
    assert "tee.measurement: expected bbbbbbbbbbbbbbbb, found aaaaaaaaaaaaaaaa" in out
    assert "reference_values.measurements" in out
    status, out, _ = run("policy", "try", new, "--config", place.config, "--json")
    said = json.loads(out)
    assert (status, said["lost"]) == (1, 1)
    assert [(each["agent"], each["was"], each["would_be"]) for each in said["agents"]] == [
        ("east", "affirmed", "measurement-unknown"),
        ("west", "measurement-unknown", "affirmed"),
    ]


def test_try_ends_with_0_where_nobody_loses(run: Run, place: VerifierFolder) -> None:
    new = place.policy("new.toml", SAME)
    status, out, _ = run("policy", "try", new, "--config", place.config)
    assert (status, "nothing to try" in out) == (0, True)
    place.attest(FakeEnclave(place.fleet, "east"))
    status, out, _ = run("policy", "try", new, "--config", place.config)
    assert (status, "same   east  was affirmed" in out) == (0, True)


def test_try_ends_with_2_where_it_cannot_try(run: Run, place: VerifierFolder, tmp_path: Path) -> None:
    new = place.policy("new.toml", SAME)
    assert run("policy", "try", new, "--config", tmp_path / "missing.toml")[0] == 2
    assert run("policy", "try", place.policy("bad.toml", "[tier]"), "--config", place.config)[0] == 2
    place.config.write_text(place.config.read_text().replace('"state"', '"elsewhere"'))
    status, _, error = run("policy", "try", new, "--config", place.config)
    assert status == 2
    assert "no store of a verifier" in error
