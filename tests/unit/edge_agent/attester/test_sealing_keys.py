"""Sealing keys: the same at the next start, another for another machine, code or label; None where a TEE has none."""

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.attester import AttesterError, SimulatedAttester
from edge_agent.attester.command import CommandAttester
from edge_agent.attester.gramine import GramineAttester
from edge_agent.attester.interface import SEALING_KEY_BYTES, derived_sealing_key
from edge_agent.attester.nitro import NitroAttester
from edge_agent.attester.settings import CommandSettings, GramineSettings, NitroSettings, TsmSettings
from edge_agent.attester.sev_sealing import (
    COMMITTED_TCB,
    MIXED,
    SNP_GET_DERIVED_KEY,
    GuestRequest,
    KeyRequest,
    KeyResponse,
    derived_key,
)
from edge_agent.attester.tsm import TsmAttester
from protocol.keys import SigningKey
from tests.support.configfs import Kernel

LABEL, SECRET = b"label", b"s" * 32
REPORT = bytes(COMMITTED_TCB.start) + (0x0102030405060708).to_bytes(8, "little") + bytes(700)


def test_the_key_of_one_label_says_nothing_of_another() -> None:
    keys = {derived_sealing_key(SECRET, b"%d" % number) for number in range(20)}
    assert len(keys) == 20
    assert {len(key) for key in keys} == {SEALING_KEY_BYTES}
    assert SECRET not in keys


@pytest.mark.parametrize("length", [0, 1, 15])
def test_a_short_secret_is_none(length: int) -> None:
    with pytest.raises(AttesterError):
        derived_sealing_key(bytes(length), LABEL)


# Simulated


def test_a_simulated_chip_gives_the_same_key_again_and_another_chip_another() -> None:
    chip, other, code = SigningKey.generate(), SigningKey.generate(), b"m" * 32
    key = SimulatedAttester(chip, code).sealing_key(LABEL)
    again = SigningKey.from_pem(chip.pem())
    assert SimulatedAttester(again, code).sealing_key(LABEL) == key
    others = (
        SimulatedAttester(other, code).sealing_key(LABEL),
        SimulatedAttester(chip, b"M" * 32).sealing_key(LABEL),
        SimulatedAttester(chip, code).sealing_key(b"another"),
    )
    assert len({key, *others}) == 4


# SGX under Gramine: a folder of files, no hardware was there


@pytest.fixture
def gramine(tmp_path: Path) -> Path:
    (tmp_path / "attestation_type").write_text("dcap")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "_sgx_mrenclave").write_bytes(bytes(range(16)))
    return tmp_path


def test_gramine_gives_a_key_that_follows_from_the_processors(gramine: Path) -> None:
    attester = GramineAttester(GramineSettings(folder=gramine))
    key = attester.sealing_key(LABEL)
    assert key == derived_sealing_key(bytes(range(16)), LABEL)
    (gramine / "keys" / "_sgx_mrenclave").write_bytes(bytes(range(1, 17)))
    assert attester.sealing_key(LABEL) != key


def test_a_gramine_that_shows_no_key_seals_nothing(gramine: Path) -> None:
    (gramine / "keys" / "_sgx_mrenclave").unlink()
    assert GramineAttester(GramineSettings(folder=gramine)).sealing_key(LABEL) is None


@pytest.mark.parametrize("content", [b"", b"short", bytes(65)])
def test_a_gramine_key_of_another_length_is_an_error(content: bytes, gramine: Path) -> None:
    (gramine / "keys" / "_sgx_mrenclave").write_bytes(content)
    with pytest.raises(AttesterError):
        GramineAttester(GramineSettings(folder=gramine)).sealing_key(LABEL)


# SEV-SNP: the device is played, no hardware was there


def answer(key: bytes, status: int = 0) -> bytes:
    return status.to_bytes(4, "little") + bytes(28) + key


def test_the_structures_have_the_kernels_sizes() -> None:
    sizes = [ctypes.sizeof(each) for each in (KeyRequest, KeyResponse, GuestRequest)]
    assert sizes == [32, 64, 32]
    assert SNP_GET_DERIVED_KEY == 0xC0205301


def test_the_processor_is_asked_for_a_key_of_this_image_policy_and_tcb() -> None:
    asked: list[KeyRequest] = []

    def exchange(request: KeyRequest) -> bytes:
        asked.append(request)
        return answer(b"k" * 32)

    assert derived_key(REPORT, 1, exchange) == b"k" * 32
    (request,) = asked
    assert (request.guest_field_select, request.tcb_version) == (MIXED, 0x0102030405060708)
    assert (request.root_key_select, request.vmpl, request.guest_svn) == (0, 1, 0)
    assert MIXED == 0b101001


@pytest.mark.parametrize("response", [b"", answer(b"k" * 32, 0x16), answer(bytes(32)), answer(b"k" * 31)])
def test_a_refused_key_is_an_error(response: bytes) -> None:
    with pytest.raises(AttesterError, match="derives no key"):
        derived_key(REPORT, 0, lambda _: response)


def failing(code: int) -> Callable[[KeyRequest], bytes]:
    def exchange(_request: KeyRequest) -> bytes:
        raise OSError(code, os.strerror(code), "/dev/sev-guest")

    return exchange


def test_no_device_is_no_key_and_a_forbidden_one_an_error() -> None:
    assert derived_key(REPORT, 0, failing(errno.ENOENT)) is None
    for code in (errno.EACCES, errno.EIO):
        with pytest.raises(AttesterError, match="/dev/sev-guest"):
            derived_key(REPORT, 0, failing(code))


@pytest.mark.parametrize("provider", ["sev_guest", "tdx_guest", "arm_cca_guest"])
def test_of_the_kernels_tees_snp_alone_gives_a_key(provider: str, tmp_path: Path) -> None:
    kernel = Kernel(provider, lambda _inblob: (REPORT, b""))
    attester = TsmAttester(TsmSettings(folder=tmp_path), kernel.make_entry, lambda _: answer(b"k" * 32))
    expected = derived_sealing_key(b"k" * 32, LABEL) if provider == "sev_guest" else None
    assert attester.sealing_key(LABEL) == expected
    assert all(entry.removed for entry in kernel.entries)


# TEEs that keep nothing


def test_others_give_none(tmp_path: Path) -> None:
    nitro = NitroAttester(NitroSettings(device=tmp_path), lambda _: b"")
    command = CommandAttester(CommandSettings(argv=("/bin/true",), kind="nitro", part="doc"))
    assert [nitro.sealing_key(LABEL), command.sealing_key(LABEL)] == [None, None]
