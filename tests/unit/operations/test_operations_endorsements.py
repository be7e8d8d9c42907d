"""The endorsement folder: what files become, what is verified before they do, and what the verifier finds again."""

import hashlib
from pathlib import Path

import pytest

from protocol.errors import AuthenticationError, ConfigurationError, MalformedError, RemoteError
from sealedge.operations import endorsements as folder_of
from sealedge.operations.endorsement_import import Endorsement, Importing, write_endorsements
from sealedge.operations.endorsement_kinds import recognise
from sealedge.operations.endorsement_listing import listing
from sealedge.operations.endorsements import read_endorsements
from tests.synthetic import ear as made_ear
from tests.synthetic import snp as made_snp
from tests.synthetic.dcap import tdx
from tests.synthetic.pki import DAY, START, crl
from tests.synthetic.snp import ark, ask, leaf, snp
from verifier.endorsements import NO_ENDORSEMENTS, HeldEndorsements, check_name, name_of
from verifier.evidence.dcap import TdxAppraiser
from verifier.evidence.examination import Examination
from verifier.evidence.public_keys import public_key_untrusted, spki
from verifier.evidence.roots import AMD, INTEL
from verifier.evidence.snp import SnpAppraiser

ROOTS = {AMD: frozenset({ark().fingerprint}), INTEL: tdx().appraiser._roots}  # type: ignore[attr-defined]
CHAIN = ask().pem + ark().pem


def imported(*files: bytes, now: float = START, held: HeldEndorsements = NO_ENDORSEMENTS) -> dict[str, Endorsement]:
    found = Importing(held, now, ROOTS).endorsements([recognise(each) for each in files])
    return {each.name: each for each in found}


def test_amd() -> None:
    chip = leaf()
    found = imported(CHAIN, chip.der, chip.pem, crl(ark(), 77, pss=True))
    vcek = f"snp/vcek/{made_snp.HWID.hex()}-{int.from_bytes(made_snp.TCB, 'little'):016x}"
    assert set(found) == {"snp/chain/milan-vcek", vcek, "snp/crl/milan"}
    assert all(each.warning is None for each in found.values())
    assert found[vcek].content == chip.der
    assert imported(ask(kind="vlek").pem + ark().pem).keys() == {"snp/chain/milan-vlek"}


def test_the_verifier_finds_them_again(tmp_path: Path) -> None:
    """A report alone is enough where the rest is in the folder."""
    write_endorsements(tmp_path, imported(CHAIN, leaf().der, crl(ark(), pss=True)).values())
    held = read_endorsements(tmp_path)
    examination = Examination()
    SnpAppraiser(held, ROOTS).appraise_untrusted({"report": snp().parts["report"]}, START, examination)
    assert examination.signature == "valid"
    assert "not given" not in [line.finding.found for line in examination.lines]


def test_collateral_is_split_and_found_again(tmp_path: Path) -> None:
    exhibit = tdx()
    found = imported(exhibit.parts["collateral"], now=exhibit.now)
    kinds = {name.rpartition("/")[0] if "tcb-info" in name else name for name in found}
    assert kinds >= {"intel/tcb-info", "intel/qe-identity/tdx", "intel/tcb-signing-chain", "intel/root-crl"}
    assert any(name.startswith("intel/pck-crl/") for name in found)
    assert [each.warning for each in found.values()] == [None] * 5
    write_endorsements(tmp_path, found.values())
    again = TdxAppraiser(read_endorsements(tmp_path), ROOTS)
    claims = again.appraise_untrusted({"quote": exhibit.parts["quote"]}, exhibit.now, Examination())
    assert claims.tcb_status == exhibit.appraise().tcb_status is not None


def test_documents_one_by_one() -> None:
    exhibit = tdx(form="parts")
    names = ("tcb_info", "qe_identity", "tcb_signing_chain", "root_crl", "pck_crl")
    found = imported(*(exhibit.parts[name] for name in names), now=exhibit.now)
    assert len(found) == 5
    unsigned = imported(exhibit.parts["tcb_info"], now=exhibit.now)
    assert "not verified yet" in str(next(iter(unsigned.values())).warning)
    chain = found["intel/tcb-signing-chain"].content
    held = HeldEndorsements({"intel/tcb-signing-chain": chain})
    assert next(iter(imported(exhibit.parts["tcb_info"], now=exhibit.now, held=held).values())).warning is None


@pytest.mark.parametrize(
    "files",
    [
        (ask(authority="fake").pem + ark(authority="fake").pem,),
        (ask(authority="fake").pem + ark().pem,),
        (leaf().der,),
        (CHAIN, crl(ark(authority="fake"), pss=True)),
        (tdx(forged=("tcb_info",)).parts["collateral"],),
        (tdx(forged=("root-crl",)).parts["collateral"],),
    ],
    ids=["root", "issuer", "no issuer", "list", "document", "intel's list"],
)
def test_what_is_forged_ends_the_import(files: tuple[bytes, ...]) -> None:
    with pytest.raises(AuthenticationError):
        imported(*files)


def test_late_files_are_kept_with_a_warning() -> None:
    late = START + 400 * 365 * DAY
    found = imported(CHAIN, crl(ark(), pss=True), now=late)
    assert all("expired" in str(each.warning) for each in found.values())
    with pytest.raises(AuthenticationError):
        imported(CHAIN, crl(ark(authority="fake"), pss=True), now=late)


def test_keys() -> None:
    pem, instance = made_ear.pem(), b"\x01" + bytes(32)
    device = hashlib.sha256(instance).hexdigest()
    for kind in ("psa", "cca"):
        for identifier in (instance.hex(), device):
            (key,) = recognise(pem, kind, identifier).pieces
            assert key.name == f"{kind}/key/{device}"
    (tpm,) = recognise(pem, "tpm").pieces
    assert tpm.name == f"tpm/ak/{hashlib.sha256(spki(public_key_untrusted(pem, 'key'))).hexdigest()}"
    (ear,) = recognise(pem, "ear", "https://verifier.example/v1").pieces
    held = {
        each.name: each.content
        for each in Importing(NO_ENDORSEMENTS, START).endorsements([recognise(pem, "ear", "Key 1")])
    }
    assert ear.name == "ear/key/https-verifier.example-v1"
    made_ear.ear(held=HeldEndorsements(held)).without("key").appraise()


@pytest.mark.parametrize(
    ("data", "kind", "identifier"),
    [
        (made_ear.pem(), None, None),
        (made_ear.pem(), "psa", None),
        (made_ear.pem(), "psa", "0102"),
        (made_ear.pem(), "cca", "not hex"),
        (made_ear.pem(), "ear", None),
        (b'{"kty":"EC"}', None, None),
        (b"{}", None, None),
        (b"", None, None),
        (b"hello", None, None),
        (b"\x30\x03\x02\x01\x01", None, None),
        (leaf(kind="vlek").der, None, None),
        (made_snp.issue("Somebody", made_snp.ec_key("x")).pem, None, None),
        (crl(made_snp.issue("Somebody", made_snp.ec_key("x"))), None, None),
    ],
    ids=lambda each: None if isinstance(each, bytes) else str(each),
)
def test_what_is_not_known_is_refused(data: bytes, kind: str | None, identifier: str | None) -> None:
    with pytest.raises(ConfigurationError):
        recognise(data, kind, identifier)


def test_malformed_files() -> None:
    with pytest.raises(MalformedError):
        recognise(b"no key", "psa", "00" * 33)
    with pytest.raises(MalformedError):
        recognise(b'{"tcbInfo":{}}')
    damaged = leaf().der.replace(made_snp.ia5("Milan-B0"), made_snp.ia5("Xilan-B0"))
    with pytest.raises(RemoteError):
        imported(CHAIN, damaged)


def test_roots_and_issuers_alone_are_not_kept() -> None:
    assert imported(ark().pem) == {}


def test_listing(tmp_path: Path) -> None:
    files = imported(CHAIN, leaf().der, crl(ark(), 7, 8, pss=True), tdx().parts["collateral"])
    (tmp_path / "ear/key").mkdir(parents=True)
    (tmp_path / "ear/key/broken.pem").write_bytes(b"what")
    write_endorsements(tmp_path, files.values())
    found = {str(each["name"]): each for each in listing(tmp_path)}
    assert len(found) == len(files) + 1
    assert found["snp/crl/milan"]["subject"] == "2 revoked by ARK-Milan"
    assert found["snp/chain/milan-vcek"]["subject"] == "SEV-Milan, ARK-Milan"
    assert found["ear/key/broken"]["subject"] == "unreadable"
    content = files["snp/crl/milan"].content
    assert found["snp/crl/milan"]["sha256"] == hashlib.sha256(content).hexdigest()


class TestFolder:
    def test_an_empty_file_is_one_clear_line_and_no_missing_key(self, tmp_path: Path) -> None:
        path = tmp_path / "ear/key/0102.pem"
        path.parent.mkdir(parents=True)
        path.touch()
        with pytest.raises(ConfigurationError) as caught:
            read_endorsements(tmp_path)
        assert caught.value.diagnostics == f"configuration: {path}: is empty, and no endorsement is"

    def test_amds_issuers_come_along(self) -> None:
        held = read_endorsements(None)
        for line in ("milan", "genoa", "turin"):
            for kind in ("vcek", "vlek"):
                chain = held.find(f"snp/chain/{line}-{kind}") or b""
                Importing(NO_ENDORSEMENTS, START).endorsements([recognise(chain)])
        assert len(held) == 6

    def test_the_folders_own_stand_above(self, tmp_path: Path) -> None:
        write_endorsements(tmp_path, [Endorsement("snp/chain/milan-vcek", ".pem", CHAIN)])
        held = read_endorsements(tmp_path)
        assert (held.find("snp/chain/milan-vcek"), len(held)) == (CHAIN, 6)

    @pytest.mark.parametrize("name", ["a/b.txt", "A/b.pem", "top.pem", "a/b", "a/b c.der"])
    def test_files_of_other_names(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        with pytest.raises(ConfigurationError, match=str(path)):
            read_endorsements(tmp_path)

    def test_two_files_of_one_name(self, tmp_path: Path) -> None:
        for suffix in (".pem", ".der"):
            write_endorsements(tmp_path, [Endorsement("ear/key/a", suffix, b"x")])
        with pytest.raises(ConfigurationError):
            read_endorsements(tmp_path)

    def test_hidden_files_are_nobodys(self, tmp_path: Path) -> None:
        (tmp_path / ".cache").write_bytes(b"x")
        assert len(read_endorsements(tmp_path)) == 6

    def test_limits(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("a", "b"):
            write_endorsements(tmp_path, [Endorsement(f"ear/key/{name}", ".pem", b"x" * 10)])
        for limit, value in (("MAX_FILES", 1), ("MAX_BYTES", 9), ("MAX_TOTAL", 19)):
            with monkeypatch.context() as patched:
                patched.setattr(folder_of, limit, value)
                with pytest.raises(ConfigurationError):
                    list(folder_of.kept_in(tmp_path))
        assert len(list(folder_of.kept_in(tmp_path))) == 2

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError):
            read_endorsements(tmp_path / "none")


@pytest.mark.parametrize(
    "name", ["", "a", "/a/b", "a//b", "a/../b", "../a/b", "a/b/", "A/b", "a/b\n", "a/" + "b" * 200]
)
def test_names(name: str) -> None:
    with pytest.raises(ConfigurationError):
        check_name(name)
    with pytest.raises(ConfigurationError):
        HeldEndorsements({name: b""})


@pytest.mark.parametrize(
    "identifier", ["https://a.example/", "UPPER", "", "ä" * 300, "\ud800", b"", b"\xff" * 9, "../../x"]
)
def test_every_identifier_has_a_name(identifier: str | bytes) -> None:
    check_name(f"ear/key/{name_of(identifier)}")
