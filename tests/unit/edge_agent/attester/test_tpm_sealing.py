"""Sealing to swtpm: no hardware was there. Whatever changes, the secret stays in the TPM."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.attester.tpm_sealing import MAX_SEALED, TpmSealer, _opened_untrusted
from edge_agent.attester.tpm_tools import TpmError
from protocol.cbor import decode_untrusted
from protocol.errors import MalformedError, ProtocolMisuseError
from tests.support.tpms import Machine, machine

SECRET = bytes(range(32))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("machine")) as found:
        yield found


@pytest.fixture
def here(made: Machine) -> Machine:
    made.restart()
    return made


def sealer(here: Machine, selection: str = "sha256:15") -> TpmSealer:
    return TpmSealer(here.tools, selection)


def extend(here: Machine, pcr: int) -> None:
    here.run("pcrextend", f"{pcr}:sha256={'11' * 32}")


@pytest.mark.parametrize(
    "length", [pytest.param(1, marks=pytest.mark.slow), 32, pytest.param(MAX_SEALED, marks=pytest.mark.slow)]
)
def test_what_is_sealed_comes_back(here: Machine, length: int) -> None:
    secret = b"\0" * length
    assert sealer(here).unseal(sealer(here).seal(secret)) == secret
    assert here.handles() == ""


@pytest.mark.parametrize("length", [0, MAX_SEALED + 1])
def test_no_other_length_is_sealed(here: Machine, length: int) -> None:
    with pytest.raises(ProtocolMisuseError):
        sealer(here).seal(bytes(length))


def test_the_blob_does_not_hold_the_secret(here: Machine) -> None:
    assert SECRET not in sealer(here).seal(SECRET)


@pytest.mark.slow
def test_a_changed_pcr_keeps_it_sealed_until_the_machine_is_as_it_was(here: Machine) -> None:
    extend(here, 15)
    blob = sealer(here).seal(SECRET)
    extend(here, 15)
    with pytest.raises(TpmError, match="policy check failed"):
        sealer(here).unseal(blob)
    here.restart()
    with pytest.raises(TpmError, match="policy check failed"):
        sealer(here).unseal(blob)
    extend(here, 15)
    assert sealer(here).unseal(blob) == SECRET


@pytest.mark.slow
def test_only_the_chosen_pcrs_count(here: Machine) -> None:
    one, both = sealer(here), sealer(here, "sha256:7,15")
    blob, stricter = one.seal(SECRET), both.seal(SECRET)
    extend(here, 7)
    assert one.unseal(blob) == SECRET
    with pytest.raises(TpmError):
        both.unseal(stricter)


@pytest.mark.slow
def test_another_selection_does_not_open_it(here: Machine) -> None:
    with pytest.raises(TpmError):
        sealer(here, "sha256:14").unseal(sealer(here).seal(SECRET))


@pytest.mark.slow
def test_there_is_no_way_around_the_policy(here: Machine) -> None:
    public, private = decode_untrusted(sealer(here).seal(SECRET))
    with here.tools.desk() as desk:
        desk.write("pub", public)
        desk.write("priv", private)
        TpmSealer(here.tools, "sha256:15")._create_parent(desk)
        desk.run("load", "-Q", "-C", "parent.ctx", "-u", "pub", "-r", "priv", "-c", "sealed")
        desk.flush()
        with pytest.raises(TpmError):
            desk.run("unseal", "-c", "sealed")


@pytest.mark.slow
def test_power_cuts_do_not_lock_the_tpm(here: Machine) -> None:
    """A TPM that is not told of its end counts a guess at a password, unless what was in use has none to guess."""
    before = lockouts(here)
    for _ in range(3):
        sealer(here).unseal(sealer(here).seal(SECRET))
        here.restart()
    assert lockouts(here) == before


def lockouts(here: Machine) -> str:
    said = here.run("getcap", "properties-variable").decode()
    return next(line for line in said.splitlines() if "LOCKOUT_COUNTER" in line)


@pytest.mark.slow
def test_another_tpm_does_not_open_it(here: Machine, tmp_path_factory: pytest.TempPathFactory) -> None:
    blob = sealer(here).seal(SECRET)
    with machine(tmp_path_factory.mktemp("other")) as other, pytest.raises(TpmError):
        sealer(other).unseal(blob)


@pytest.mark.parametrize("step", [pytest.param(11, marks=pytest.mark.slow), 67])
def test_a_blob_that_was_changed_is_refused_everywhere(here: Machine, step: int) -> None:
    blob = sealer(here).seal(SECRET)
    for position in range(0, len(blob), step):
        changed = bytearray(blob)
        changed[position] ^= 0x01
        with pytest.raises((TpmError, MalformedError)):
            sealer(here).unseal(bytes(changed))
    assert here.handles() == ""


@given(st.binary(max_size=300))
def test_bytes_of_anybody_are_refused_before_the_tpm_sees_them(data: bytes) -> None:
    with pytest.raises(MalformedError):
        _opened_untrusted(data)
