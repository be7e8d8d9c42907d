"""A policy's file and what it names; and what a new policy would do to agents whose evidence is stored."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.errors import ConfigurationError, StoreError
from protocol.party import Delivery
from schemas.kinds import Tier
from schemas.reason import Reason
from sealedge.operations import texts
from sealedge.operations.policy import cautions, describe, read_policy
from sealedge.operations.policy_try import Trial, copy_of_store, try_policy
from storage.store import SqliteStore
from tests.support.enclaves import MEASUREMENT, NOW, FakeEnclave, Fleet
from tests.support.replay import VerifierFolder
from tests.support.tee import policy_of
from tests.synthetic.corim import SUPPLIER, comid, corim, measurement, signed, triple, unsigned
from tests.synthetic.cose import pem
from verifier.policy import load_policy, policy_id

SAME = f'[tiers]\naccept = ["simulated"]\n[reference_values]\nmeasurements = ["{MEASUREMENT.hex()}"]\n'
STRICTER = SAME.replace(MEASUREMENT.hex(), "bb" * 32)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[VerifierFolder]:
    place = VerifierFolder(tmp_path, Fleet())
    with place.store:
        yield place


def trials(place: VerifierFolder, text: str) -> list[Trial]:
    return try_policy(load_policy(text), place.settings)


def outcomes(place: VerifierFolder, text: str) -> dict[str, tuple[Reason | None, Reason | None]]:
    return {trial.agent: (trial.was, trial.would_be) for trial in trials(place, text)}


# Files


def test_a_policy_is_read_with_its_files_from_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "a.corim").write_bytes(signed())
    (tmp_path / "key.pem").write_bytes(pem(SUPPLIER))
    policy = tmp_path / "policy.toml"
    policy.write_text('[reference_values]\ncorim = ["vendor/a.corim"]\ncorim_keys = ["key.pem"]')
    monkeypatch.chdir("/")
    assert [each.name for each in read_policy(policy).documents] == ["vendor/a.corim"]


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 10, bytes((1 << 20) + 1), unsigned()])
def test_a_file_at_fault_is_named_after_the_policy_s(tmp_path: Path, content: bytes | None) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[reference_values]\ncorim = ["a.corim"]')
    if content is not None:
        (tmp_path / "a.corim").write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        read_policy(policy)
    assert str(caught.value).startswith(f"{policy}: ")
    assert "a.corim" in str(caught.value)
    assert "\n" not in caught.value.diagnostics


def test_a_description_names_every_reference_value_and_where_it_is_from(tmp_path: Path) -> None:
    content = corim(comid(triple(measurement(MEASUREMENT, n1=3)), n1=[]), n4={1: 100})
    (tmp_path / "a.corim").write_bytes(signed(content))
    (tmp_path / "key.pem").write_bytes(pem(SUPPLIER))
    path = tmp_path / "policy.toml"
    path.write_text(
        f'{SAME}corim = ["a.corim"]\ncorim_keys = ["key.pem"]\n[tcb.minimum."sev-snp"]\nsnp = 3',
    )
    policy = read_policy(path)
    said = describe(policy, 50.0)
    assert said["policy"] == policy_id(policy)
    assert said["reference_values"]["measurements"] == [MEASUREMENT.hex()]
    assert said["tcb"]["minimum"]["sev-snp"]["snp"] == 3
    (document,) = said["documents"]
    assert (document["file"], document["valid"], document["not_after"]) == ("a.corim", False, 100)
    assert document["triples"][0]["measurements"] == [{"digests": [MEASUREMENT.hex()], "svn": 3}]
    assert document["skipped"] == ["comid-1: endorsed values are not used"]


@pytest.mark.parametrize(
    ("tiers", "more", "word"),
    [
        ((Tier.SIMULATED,), "", "simulated: proves nothing about hardware"),
        ((Tier.SEV_SNP,), "", 'sev-snp: every agent is refused: there is no [tcb.minimum."sev-snp"]'),
        ((Tier.TDX,), "", "tdx: the measurement is the firmware's"),
        ((Tier.TPM,), "", "tpm: no [[expect]] names pcrs"),
        ((Tier.AZURE_TDX,), "", "azure-tdx: no [[expect]] names vtpm.pcrs"),
        ((Tier.CCA,), "", "cca: every realm is refused"),
        ((Tier.NITRO,), '[chips]\nunnamed = ["nitro"]', "nitro: may name no chip"),
    ],
)
def test_cautions_say_what_may_not_be_meant(tiers: tuple[Tier, ...], more: str, word: str) -> None:
    assert any(line.startswith(word) for line in cautions(policy_of(*tiers, more=more), NOW))


def test_cautions_end_where_the_policy_is_complete() -> None:
    minimum = '[tcb.minimum."sev-snp"]\nsnp = 3\n'
    registers = '[[expect]]\ntier = "tdx"\nclaim = "rtmr1"\nany_of = ["00"]\n'
    assert list(cautions(policy_of(Tier.SEV_SNP, Tier.TDX, Tier.NITRO, more=minimum + registers), NOW)) == []
    assert len(list(cautions(load_policy("allow_debug = true\nallow_migration = true"), NOW))) == 4


def test_the_policy_of_a_new_fleet_says_what_it_may_say_besides() -> None:
    """Every line that is off holds as soon as it is on."""
    text = texts.policy("plant", Tier.SIMULATED, "ab" * 32, "cd" * 32)
    written, _, further = text.partition("# [tcb]")
    assert load_policy(text) == load_policy(written)
    policy = load_policy(written + "[tcb]" + further.replace("\n# ", "\n"))
    assert policy.tcb.minimum.sev_snp is not None
    assert policy.expect[0].tier is Tier.TPM


# Trials


def test_a_policy_that_says_the_same_changes_nothing(place: VerifierFolder) -> None:
    place.attest(FakeEnclave(place.fleet))
    place.attest(FakeEnclave(place.fleet, "agent-2"), measurement=bytes(32))
    assert outcomes(place, SAME) == {
        "agent-1": (None, None),
        "agent-2": (Reason.MEASUREMENT_UNKNOWN, Reason.MEASUREMENT_UNKNOWN),
    }
    assert not any(trial.loses or trial.gains for trial in trials(place, SAME))


def test_who_loses_and_who_gains_and_by_which_line(place: VerifierFolder) -> None:
    place.attest(FakeEnclave(place.fleet, "loser"))
    place.attest(FakeEnclave(place.fleet, "winner"), measurement=bytes([0xBB]) * 32)
    lost, won = trials(place, STRICTER)
    assert (lost.agent, lost.loses, lost.gains) == ("loser", True, False)
    assert (won.agent, won.loses, won.gains) == ("winner", False, True)
    assert lost.deciding is not None
    assert lost.deciding.policy == f"{policy_id(load_policy(STRICTER))} reference_values.measurements"
    assert lost.summary()["deciding"]["found"] == MEASUREMENT.hex()[:16]
    assert (won.summary()["would_be"], won.summary()["deciding"]) == ("affirmed", None)


def test_evidence_is_judged_at_the_time_at_which_it_was_appraised(place: VerifierFolder) -> None:
    """The enrolment, the enclave's clock and the challenge have all ended since; the evidence was good."""
    ending = place.fleet.enrol("agent-1", (enclave := FakeEnclave(place.fleet)).chip, expires=int(NOW) + 60)
    enclave.enrolment = ending
    place.attest(enclave)
    (trial,) = trials(place, SAME)
    assert (trial.time, trial.would_be) == (int(NOW), None)


def test_only_the_newest_evidence_of_an_agent_is_tried(place: VerifierFolder) -> None:
    enclave = FakeEnclave(place.fleet)
    place.attest(enclave)
    place.attest(enclave, NOW + 5, measurement=bytes(32))
    assert outcomes(place, SAME) == {"agent-1": (Reason.MEASUREMENT_UNKNOWN, Reason.MEASUREMENT_UNKNOWN)}


def test_a_revocation_since_then_is_nothing_that_the_policy_takes(place: VerifierFolder) -> None:
    enclave = FakeEnclave(place.fleet)
    place.attest(enclave)
    revoked = place.fleet.revocations(1, ("chip", enclave.chip))
    place.verifier.receive(Delivery(place.fleet.topics.revocations, revoked), NOW + 1)
    (trial,) = trials(place, SAME)
    assert (trial.was, trial.would_be, trial.loses) == (None, Reason.REVOKED, False)


def test_nothing_reaches_the_verifier_s_store(place: VerifierFolder) -> None:
    place.attest(FakeEnclave(place.fleet))
    buckets = ("verifier-verdicts", "revocations", "verifier-leases", "verifier-nonces")
    before = {bucket: list(place.store.items(bucket)) for bucket in buckets}
    copy = copy_of_store(place.folder / "state" / "state.db")
    copy.write("verifier-verdicts", b"agent-9", b"x")
    trials(place, STRICTER)
    assert {bucket: list(place.store.items(bucket)) for bucket in buckets} == before
    # The verifier, which runs all the time, goes on.
    place.attest(FakeEnclave(place.fleet, "agent-2"))
    assert len(trials(place, SAME)) == 2


def test_a_verifier_without_evidence_has_no_trials(place: VerifierFolder) -> None:
    assert trials(place, SAME) == []


def test_a_store_that_is_not_there_is_not_made(place: VerifierFolder, tmp_path: Path) -> None:
    missing = tmp_path / "elsewhere" / "state.db"
    with pytest.raises(ConfigurationError, match="no store of a verifier"):
        copy_of_store(missing)
    assert not missing.parent.exists()


def test_a_store_that_is_damaged_is_a_fault_of_the_store(place: VerifierFolder) -> None:
    place.store.write("verifier-verdicts", b"agent-1", b"damaged")
    with pytest.raises(StoreError):
        trials(place, SAME)


def test_a_stopped_verifier_s_store_is_read_as_well(place: VerifierFolder) -> None:
    place.attest(FakeEnclave(place.fleet))
    place.store.close()
    assert outcomes(place, SAME) == {"agent-1": (None, None)}
    place.store = SqliteStore(place.folder / "state" / "state.db")
