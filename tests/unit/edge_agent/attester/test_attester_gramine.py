"""Gramine, with a folder of files in place of /dev/attestation: no hardware was there."""

import os
from pathlib import Path

import pytest

from edge_agent.attester import AttesterError
from edge_agent.attester.attributes import read_attribute, write_attribute
from edge_agent.attester.gramine import MAX_QUOTE, GramineAttester
from edge_agent.attester.settings import GramineSettings
from protocol.cmw import unwrap_untrusted
from protocol.errors import ConfigurationError, ProtocolMisuseError
from schemas.evidence import SGX
from schemas.kinds import Tier

REPORT_DATA = bytes(range(100, 164))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "attestation_type").write_text("dcap")
    (tmp_path / "user_report_data").write_bytes(b"")
    (tmp_path / "quote").write_bytes(b"quote over " + REPORT_DATA)
    return tmp_path


def attester_of(folder: Path) -> GramineAttester:
    return GramineAttester(GramineSettings(folder=folder))


def test_report_data_is_written_and_the_quote_read(folder: Path) -> None:
    """A folder of files: no hardware was there."""
    attester = attester_of(folder)
    parts = unwrap_untrusted(SGX, attester.collect(REPORT_DATA))
    assert (folder / "user_report_data").read_bytes() == REPORT_DATA
    assert parts == {"quote": b"quote over " + REPORT_DATA}
    assert (attester.tier, attester.media_type) == (Tier.SGX, SGX.media_type)


@pytest.mark.parametrize("kind", ["none", "epid", ""])
def test_gramine_that_does_not_attest_is_told_how(kind: str, folder: Path) -> None:
    (folder / "attestation_type").write_text(kind)
    with pytest.raises(ConfigurationError, match="remote_attestation"):
        attester_of(folder)


def test_no_gramine_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="inside Gramine") as caught:
        attester_of(tmp_path)
    assert "attestation_type" in str(caught.value)


def test_the_quote_of_an_earlier_report_does_not_leave(folder: Path) -> None:
    with pytest.raises(AttesterError, match="other report data"):
        attester_of(folder).collect(bytes(64)[:63] + b"\x01")


@pytest.mark.parametrize("file", ["user_report_data", "quote"])
def test_a_file_that_fails_is_named(file: str, folder: Path) -> None:
    attester = attester_of(folder)
    (folder / file).unlink()
    with pytest.raises(AttesterError, match=file):
        attester.collect(REPORT_DATA)


@pytest.mark.parametrize(("size", "leaves"), [(MAX_QUOTE, True), (MAX_QUOTE + 1, False)])
def test_a_quote_is_read_up_to_its_bound(size: int, leaves: bool, folder: Path) -> None:
    (folder / "quote").write_bytes(REPORT_DATA.ljust(size, b"q"))
    if leaves:
        assert attester_of(folder).collect(REPORT_DATA)
        return
    with pytest.raises(AttesterError, match="too large"):
        attester_of(folder).collect(REPORT_DATA)


def test_report_data_of_another_length_is_not_written(folder: Path) -> None:
    with pytest.raises(ProtocolMisuseError):
        attester_of(folder).collect(bytes(65))
    assert (folder / "user_report_data").read_bytes() == b""


def test_a_write_that_is_taken_in_part_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(os, "write", lambda _, data: len(data) - 1)
    with pytest.raises(OSError, match="took 2 of 3"):
        write_attribute(tmp_path / "file", b"abc")


def test_nothing_is_made_where_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_attribute(tmp_path / "file", b"abc")
    with pytest.raises(FileNotFoundError):
        read_attribute(tmp_path / "file", max_bytes=1)
    assert list(tmp_path.iterdir()) == []
