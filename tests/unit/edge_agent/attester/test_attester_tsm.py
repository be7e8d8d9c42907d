"""The kernel's report interface, with a folder and a made-up kernel in place of configfs: no hardware was there."""

import errno
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.attester import AttesterError
from edge_agent.attester.settings import TsmSettings
from edge_agent.attester.sev_certificates import ENTRY, NAMES, endorsing_parts, parse_certificate_table
from edge_agent.attester.tsm import ATTEMPTS, MAX_BLOB, TsmAttester
from protocol.cmw import unwrap_untrusted
from protocol.errors import ConfigurationError, ProtocolMisuseError
from schemas.evidence import CCA, SNP, TDX
from schemas.kinds import Tier
from schemas.reason import Reason
from tests.support.configfs import Kernel, KernelEntry
from tests.synthetic import snp as made
from verifier.evidence.examination import Examination
from verifier.evidence.snp import SnpAppraiser

REPORT_DATA = bytes(range(100, 164))
GUIDS = {name: guid for guid, name in NAMES.items()}


def table(*entries: tuple[bytes, bytes]) -> bytes:
    """A certificate table of (GUID, certificate) pairs, as clouds make it."""
    offset = (len(entries) + 1) * ENTRY.size
    heads, bodies = b"", b""
    for guid, body in entries:
        heads += ENTRY.pack(guid, offset + len(bodies), len(body))
        bodies += body
    return heads + bytes(ENTRY.size) + bodies


def named(**certificates: bytes) -> bytes:
    return table(*((GUIDS[name].bytes, body) for name, body in certificates.items()))


def snp_guest(report_data: bytes, *, auxblob: bytes | None = None) -> tuple[bytes, bytes]:
    parts = made.snp(report_data=report_data).parts
    full = named(VCEK=parts["vcek"], ASK=made.ask().der, ARK=made.ark().pem)
    return parts["report"], full if auxblob is None else auxblob


def attester_of(kernel: Kernel, folder: Path, **settings: int) -> TsmAttester:
    return TsmAttester(TsmSettings(folder=folder, **settings), kernel.make_entry)  # type: ignore[arg-type]


# From the kernel to the verifier


def test_an_snp_report_reaches_the_verifier_with_its_certificates(tmp_path: Path) -> None:
    """A made-up kernel over a folder, under a made-up ARK: no hardware was there."""
    kernel = Kernel("sev_guest", snp_guest, privlevel_floor=0)
    attester = attester_of(kernel, tmp_path)
    assert (attester.tier, attester.media_type) == (Tier.SEV_SNP, SNP.media_type)
    parts = unwrap_untrusted(SNP, attester.collect(REPORT_DATA))
    assert sorted(parts) == ["chain", "report", "vcek"]
    exhibit = made.snp()
    examination = Examination()
    claims = exhibit.appraiser.appraise_untrusted(parts, exhibit.now, examination)
    assert (claims.report_data, claims.tier, examination.signature) == (REPORT_DATA, attester.tier, "valid")


@pytest.mark.parametrize(
    ("provider", "form", "part", "tier"),
    [("tdx_guest", TDX, "quote", Tier.TDX), ("arm_cca_guest", CCA, "token", Tier.CCA)],
)
def test_other_guests_give_one_blob(provider: str, form: object, part: str, tier: Tier, tmp_path: Path) -> None:
    """A made-up kernel over a folder: no hardware was there."""
    attester = attester_of(Kernel(provider, lambda data: (b"head" + data + b"tail", b"")), tmp_path)
    assert attester.tier == tier
    parts = unwrap_untrusted(TDX if form is TDX else CCA, attester.collect(REPORT_DATA))
    assert parts == {part: b"head" + REPORT_DATA + b"tail"}


def test_a_cloud_that_gives_no_certificates_leaves_them_to_the_verifier(tmp_path: Path) -> None:
    kernel = Kernel("sev_guest", lambda data: snp_guest(data, auxblob=b""))
    evidence = attester_of(kernel, tmp_path).collect(REPORT_DATA)
    assert list(unwrap_untrusted(SNP, evidence)) == ["report"]


# Entries


def test_every_entry_is_its_own_and_taken_away(tmp_path: Path) -> None:
    kernel = Kernel("sev_guest", snp_guest)
    attester = attester_of(kernel, tmp_path)
    attester.collect(REPORT_DATA)
    attester.collect(REPORT_DATA)
    assert all(entry.removed for entry in kernel.entries)
    assert len({entry.path for entry in kernel.entries}) == len(kernel.entries) == 3
    assert list(tmp_path.iterdir()) == []


def test_an_entry_is_taken_away_after_a_failure_too(tmp_path: Path) -> None:
    kernel = Kernel("sev_guest", snp_guest)
    attester = attester_of(kernel, tmp_path)
    kernel.failure = errno.EIO
    with pytest.raises(AttesterError, match="Input/output error") as caught:
        attester.collect(REPORT_DATA)
    assert "outblob" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("intruders", range(ATTEMPTS))
def test_a_torn_report_is_asked_for_again(intruders: int, tmp_path: Path) -> None:
    kernel = Kernel("sev_guest", snp_guest, intruders=intruders)
    assert attester_of(kernel, tmp_path).collect(REPORT_DATA)
    assert len(kernel.entries) == 1 + intruders + 1


def test_reports_that_are_torn_again_and_again_are_an_error(tmp_path: Path) -> None:
    kernel = Kernel("sev_guest", snp_guest, intruders=ATTEMPTS)
    attester = attester_of(kernel, tmp_path)
    with pytest.raises(AttesterError, match="keeps writing"):
        attester.collect(REPORT_DATA)
    assert len(kernel.entries) == 1 + ATTEMPTS
    assert attester.collect(REPORT_DATA)


@pytest.mark.parametrize(
    ("floor", "configured", "written"),
    [(None, None, None), (0, None, None), (2, None, b"2"), (2, 3, b"3"), (0, 0, b"0")],
)
def test_the_privilege_level_is_the_configured_one_or_the_floor(
    floor: int | None, configured: int | None, written: bytes | None, tmp_path: Path
) -> None:
    kernel = Kernel("sev_guest", snp_guest, privlevel_floor=floor)
    settings = {} if configured is None else {"privlevel": configured}
    assert attester_of(kernel, tmp_path, **settings).collect(REPORT_DATA)
    assert kernel.entries[-1].written.get("privlevel") == written


def test_report_data_of_another_length_asks_nobody(tmp_path: Path) -> None:
    kernel = Kernel("sev_guest", snp_guest)
    attester = attester_of(kernel, tmp_path)
    with pytest.raises(ProtocolMisuseError):
        attester.collect(bytes(63))
    assert len(kernel.entries) == 1


# What is missing, and what fails


@pytest.mark.parametrize("provider", ["", "sev-guest", "riscv_cove"])
def test_a_provider_that_is_not_known_is_named(provider: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no TEE that is known") as caught:
        attester_of(Kernel(provider, snp_guest), tmp_path)
    assert caught.value.finding is not None
    assert caught.value.finding.found == (provider or "none")


def test_a_report_over_other_report_data_does_not_leave(tmp_path: Path) -> None:
    kernel = Kernel("sev_guest", lambda _: snp_guest(bytes(64)))
    with pytest.raises(AttesterError, match="other report data"):
        attester_of(kernel, tmp_path).collect(REPORT_DATA)


def test_an_empty_report_does_not_leave(tmp_path: Path) -> None:
    with pytest.raises(AttesterError, match="empty report"):
        attester_of(Kernel("sev_guest", lambda _: (b"", b"")), tmp_path).collect(REPORT_DATA)


def test_a_report_too_large_to_send_is_said_to_be(tmp_path: Path) -> None:
    attester = attester_of(Kernel("tdx_guest", lambda data: (data.ljust(MAX_BLOB, b"x"), b"")), tmp_path)
    with pytest.raises(AttesterError) as caught:
        attester.collect(REPORT_DATA)
    assert caught.value.reason == Reason.OVERSIZED


def test_a_blob_without_end_is_not_read(tmp_path: Path) -> None:
    attester = attester_of(Kernel("tdx_guest", lambda data: (data.ljust(MAX_BLOB + 1, b"x"), b"")), tmp_path)
    with pytest.raises(AttesterError, match="too large"):
        attester.collect(REPORT_DATA)


def test_a_kernel_that_does_not_count_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attester = attester_of(Kernel("sev_guest", snp_guest), tmp_path)
    monkeypatch.setattr(KernelEntry, "_count", lambda entry: entry._put("generation", "many"))
    with pytest.raises(AttesterError, match="generation is no number"):
        attester.collect(REPORT_DATA)
    assert list(tmp_path.iterdir()) == []


# The certificate table


def test_a_table_is_read_by_its_guids() -> None:
    stranger = bytes(range(16))
    aux = table((GUIDS["VLEK"].bytes, b"vlek"), (stranger, b"?"), (GUIDS["CRL"].bytes, b"crl"))
    assert parse_certificate_table(aux) == {"VLEK": b"vlek", "CRL": b"crl"}
    assert endorsing_parts(parse_certificate_table(aux)) == {"vlek": b"vlek", "crl": b"crl"}


def test_guids_stand_in_the_order_in_which_they_are_written() -> None:
    head = bytes.fromhex("63da758de6644564adc5f4b93be8accd") + struct.pack("<II", 48, 4)
    assert parse_certificate_table(head + bytes(24) + b"vcek") == {"VCEK": b"vcek"}


def test_a_chain_is_whole_or_none() -> None:
    assert endorsing_parts({"ASK": made.ask().der}) == {}
    chain = endorsing_parts({"ARK": made.ark().pem + b"\0\0", "ASK": made.ask().der})["chain"]
    assert chain == made.ask().pem + made.ark().pem


@pytest.mark.parametrize("empty", [b"", bytes(24), bytes(4096)])
def test_an_empty_table_has_no_certificates(empty: bytes) -> None:
    assert parse_certificate_table(empty) == {}


@pytest.mark.parametrize(
    "broken",
    [
        ENTRY.pack(GUIDS["VCEK"].bytes, 48, 100) + bytes(24) + b"short",
        ENTRY.pack(GUIDS["VCEK"].bytes, 0, 8) + bytes(24),
        ENTRY.pack(GUIDS["VCEK"].bytes, 2**32 - 1, 2**32 - 1) + bytes(24),
        ENTRY.pack(GUIDS["VCEK"].bytes, 24, 0),
        table(*[(bytes((each + 1,)) * 16, b"x") for each in range(17)]),
        table((GUIDS["ASK"].bytes, b"a"), (GUIDS["ASK"].bytes, b"b")),
    ],
    ids=["beyond the end", "over the head", "overflow", "no last entry", "too many", "twice"],
)
def test_a_broken_table_is_an_error(broken: bytes) -> None:
    with pytest.raises(AttesterError, match="table is broken"):
        parse_certificate_table(broken)


@given(st.binary(max_size=200) | st.binary(max_size=40).map(lambda tail: GUIDS["VCEK"].bytes + tail))
def test_whatever_the_host_gives_is_a_table_or_an_error(aux: bytes) -> None:
    try:
        found = parse_certificate_table(aux)
    except AttesterError:
        return
    assert sum(map(len, found.values())) <= len(NAMES) * len(aux)


def test_the_verifier_knows_the_names_that_are_sent() -> None:
    parts = endorsing_parts(dict.fromkeys(NAMES.values(), made.ark().der))
    assert all(SnpAppraiser.form.part(name) is not None for name in parts)
    assert sorted(parts) == ["chain", "crl", "vcek", "vlek"]
