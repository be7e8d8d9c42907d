"""SEV-SNP: what genuine evidence says, and where its endorsements come from."""

from hashlib import sha256

import pytest

from protocol.errors import (
    AuthenticationError,
    MalformedError,
)
from schemas.kinds import Tier
from tests.synthetic import snp as made
from tests.synthetic.pki import DAY, START, crl
from tests.synthetic.snp import ark, ask, leaf, snp
from verifier.evidence.examination import Examination
from verifier.evidence.snp import SnpAppraiser


@pytest.mark.parametrize("processor", sorted(made.CPUID))
@pytest.mark.parametrize("kind", ["vcek", "vlek"])
@pytest.mark.parametrize("version", [2, 3, 5])
def test_genuine(processor: str, kind: str, version: int) -> None:
    exhibit, examination = snp(processor, kind, version=version, revoked=()), Examination()
    claims = exhibit.appraise(examination)
    assert (claims.tier, claims.debug, claims.tcb_status) == (Tier.SEV_SNP, False, None)
    assert (claims.measurement, claims.report_data) == (made.MEASUREMENT, exhibit.nonce)
    assert claims.claims["product"] == made.LINE[processor]
    assert claims.claims["signing_key"] == kind
    assert ("cpuid" in claims.claims, "mitigations" in claims.claims) == (version >= 3, version == 5)
    assert examination.signature == "valid"
    assert all(line.holds for line in examination.lines)


def test_claims() -> None:
    claims = snp("Turin", version=5, policy=0x60016, guest_svn=7, vmpl=2, platform_info=1 << 40 | 2).appraise()
    said = claims.claims
    assert said["policy"] == {
        "abi": {"major": 0, "minor": 0x16},
        "smt": False,
        "migrate_ma": True,
        "debug": False,
        "single_socket": False,
        "cxl_allowed": False,
        "mem_aes_256_xts": False,
        "rapl_disabled": False,
        "ciphertext_hiding": False,
        "page_swap_disabled": False,
    }
    assert said["tcb"]["reported"] == {"fmc": 1, "bootloader": 2, "tee": 3, "snp": 4, "microcode": 77}  # type: ignore[index,call-overload]
    assert said["platform"]["tsme"] is True  # type: ignore[index,call-overload]
    assert said["platform"]["other"] == 1 << 40  # type: ignore[index,call-overload]
    assert said["firmware"]["current"] == {"major": 1, "minor": 55, "build": 29}  # type: ignore[index,call-overload]
    assert (said["guest_svn"], said["vmpl"]) == (7, 2)
    assert claims.chip == sha256(made.TURIN_HWID.ljust(64, b"\0")).digest()


def test_levels_of_milan() -> None:
    others = {"current": 9, "committed": 8, "launch": 7}
    levels = {f"{name}_tcb": bytes((first, 2, 0, 0, 0, 0, 3, 5)) for name, first in others.items()}
    said = snp(**levels).appraise().claims["tcb"]
    for name, first in others.items():
        expected = {"bootloader": first, "tee": 2, "snp": 3, "microcode": 5}
        assert said[name] == expected  # type: ignore[index,call-overload]
    assert said["reported"] == {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219}  # type: ignore[index,call-overload]


def test_debug_is_a_claim() -> None:
    examination = Examination()
    assert snp(policy=0x30000 | 1 << 19).appraise(examination).debug
    assert examination.signature == "valid"


def test_a_host_that_hides_the_chip_does_not_hide_it_from_an_allow_list() -> None:
    assert snp(chip_id=bytes(64)).appraise().chip == snp().appraise().chip
    assert snp("Turin", chip_id=bytes(64)).appraise().chip == snp("Turin").appraise().chip


def test_a_vlek_names_no_chip_unless_the_report_does() -> None:
    assert snp(kind="vlek").appraise().chip is None
    assert snp(kind="vlek", chip_id=b"c" * 64).appraise().chip == sha256(b"c" * 64).digest()


def test_endorsements_of_the_folder() -> None:
    exhibit = snp(kind="vcek")
    level = f"{int.from_bytes(made.TCB, 'little'):016x}"
    folder = {
        "snp/chain/milan-vcek": exhibit.parts["chain"],
        f"snp/vcek/{made.HWID.hex()}-{level}": exhibit.parts["vcek"],
    }
    assert level == "db18000000000004"
    found = snp(folder=folder, issuers=()).without("chain").without("vcek").appraise()
    assert found == exhibit.appraise()


def test_small_levels_are_padded_in_the_folder() -> None:
    tcb = bytes((1, 0, 0, 0, 0, 0, 2, 3))
    folder = {f"snp/vcek/{made.HWID.hex()}-0302000000000001": leaf(tcb=tcb).der}
    assert snp(folder=folder, reported_tcb=tcb).without("vcek").appraise().chip is not None


def test_an_unsigned_report_is_named_so() -> None:
    with pytest.raises(AuthenticationError) as caught:
        snp(flags=7 << 2).appraise()
    assert caught.value.finding is not None
    assert caught.value.finding.claim == "report.signing_key"


def test_a_part_wins_over_the_folder() -> None:
    folder = {"snp/chain/milan-vcek": ask(authority="thief").pem + ark(authority="thief").pem}
    assert snp(folder=folder).appraise().chip is not None
    with pytest.raises(AuthenticationError):
        snp(folder=folder).without("chain").appraise()


def test_the_folder_s_list_counts_only_if_it_is_newer_and_not_of_the_future() -> None:
    for begins in (START - 2 * DAY, START - DAY, START + 1):
        held = {"snp/crl/milan": crl(ark(), leaf().certificate.serial_number, begins=begins, pss=True)}
        assert snp(revoked=(), folder=held).appraise().claims["revocation_checked"] is True


def test_whether_revocation_was_checked_is_a_claim() -> None:
    assert snp().appraise().claims["revocation_checked"] is False
    assert snp(revoked=()).appraise().claims["revocation_checked"] is True
    assert snp(folder={"snp/crl/milan": crl(ark(), pss=True)}).appraise().claims["revocation_checked"] is True


def test_chains_in_any_order_and_shape() -> None:
    exhibit, vcek = snp(), leaf()
    expected = exhibit.appraise()
    shapes = {
        "root first": exhibit.with_part("chain", ark().pem + ask().pem),
        "with the leaf": exhibit.with_part("chain", vcek.pem + ask().pem + ark().pem),
        "more than needed": exhibit.with_part("chain", ask(kind="vlek").pem + ark().pem + ask().pem),
        "all in one": exhibit.with_part("vcek", vcek.pem + ask().pem + ark().pem).without("chain"),
        "leaf as PEM": exhibit.with_part("vcek", b"\n" + vcek.pem + b"\n\0"),
        "root apart": exhibit.with_part("vcek", vcek.pem + ask().pem).with_part("chain", ark().der),
    }
    for name, shape in shapes.items():
        assert shape.appraise() == expected, name


@pytest.mark.parametrize(("processor", "kind"), [("Milan", "vcek"), ("Genoa", "vlek"), ("Turin", "vcek")])
def test_a_chain_without_a_report(processor: str, kind: str) -> None:
    exhibit, examination = snp(processor, kind, revoked=()).without("report"), Examination()
    assert isinstance(exhibit.appraiser, SnpAppraiser)
    said = exhibit.appraiser.check_chain_only_untrusted(exhibit.parts, exhibit.now, examination)
    assert (said["product"], said["signing_key"], examination.signature) == (processor, kind, "valid")
    assert (said["chip_id"] is None) == (kind == "vlek")


def test_a_bad_chain_without_a_report() -> None:
    exhibit = snp(certificate=leaf(issuer=ask(authority="thief"))).without("report")
    assert isinstance(exhibit.appraiser, SnpAppraiser)
    with pytest.raises(AuthenticationError):
        exhibit.appraiser.check_chain_only_untrusted(exhibit.parts, exhibit.now, Examination())
    with pytest.raises(MalformedError):
        exhibit.appraiser.check_chain_only_untrusted({"chain": exhibit.parts["chain"]}, exhibit.now, Examination())
