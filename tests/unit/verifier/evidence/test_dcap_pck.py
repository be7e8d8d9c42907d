"""From the root to the quote: one broken link each, and each is named."""

from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.errors import AppraisalError, AuthenticationError, FreshnessError, MalformedError
from schemas.reason import Reason
from tests.synthetic.dcap import sgx, tdx
from tests.synthetic.dcap_intel import Intel, key, signature
from tests.synthetic.dcap_shapes import COMPONENTS, PPID, Options
from tests.synthetic.pki import DAY, START
from verifier.endorsements import NO_ENDORSEMENTS
from verifier.evidence.dcap import SgxAppraiser
from verifier.evidence.dcap_pck import ecdsa_holds, is_signed_by
from verifier.evidence.examination import Examination
from verifier.evidence.interface import TcbStatus

BEFORE, AFTER = (START - 2 * DAY, START - DAY), (START + DAY, START + 2 * DAY)


@pytest.mark.parametrize(
    "deviations",
    [
        {"signed_by": "another"},
        {"qe_signed_by": "another"},
        {"key_bound": False},
        {"issued_by": {"pck": "another"}},
        {"issued_by": {"ca": "another"}},
    ],
    ids=str,
)
def test_a_link_that_does_not_hold(deviations: dict[str, Any]) -> None:
    examination = Examination()
    with pytest.raises(AuthenticationError):
        tdx(**deviations).appraise(examination)
    assert examination.signature == "invalid"
    assert not examination.lines[-1].holds


def test_the_qe_binds_nothing_but_the_key() -> None:
    """The second half of the QE's report data is zero; anything there would be another binding."""
    exhibit = sgx()
    quote = bytearray(exhibit.parts["quote"])
    offset = 48 + 384 + 4 + 128
    report = bytes(quote[offset : offset + 352]) + b"\1" * 32
    quote[offset : offset + 448] = report + signature("pck", report)
    with pytest.raises(AuthenticationError, match="attestation-key"):
        exhibit.with_part("quote", bytes(quote)).appraise()


def test_another_root() -> None:
    examination = Examination()
    with pytest.raises(AuthenticationError) as raised:
        sgx(pinned=False).appraise(examination)
    assert raised.value.reason == Reason.UNKNOWN_SIGNER
    assert examination.signature == "unchecked"
    exhibit = sgx()
    with pytest.raises(AuthenticationError):
        SgxAppraiser(NO_ENDORSEMENTS).appraise_untrusted(exhibit.parts, exhibit.now, Examination())


@pytest.mark.parametrize("role", ["pck", "ca"])
@pytest.mark.parametrize(("window", "reason"), [(BEFORE, Reason.EXPIRED), (AFTER, Reason.NOT_YET_VALID)])
def test_certificates_out_of_time(role: str, window: tuple[float, float], reason: Reason) -> None:
    with pytest.raises(FreshnessError) as raised:
        tdx(windows={role: window}).appraise()
    assert raised.value.reason == reason


def test_times_are_those_of_the_caller() -> None:
    exhibit = sgx(form="none")
    exhibit.appraise()
    for now in (0.0, START + 5000 * DAY, START - 5000 * DAY):
        with pytest.raises(FreshnessError):
            exhibit.at(now).appraise()
    exhibit.appraise()


@pytest.mark.parametrize("names", [{"pck": "Intel SGX TCB Signing"}, {"ca": "Intel SGX Some CA"}], ids=str)
def test_certificates_for_something_else(names: dict[str, str]) -> None:
    with pytest.raises(AuthenticationError) as raised:
        sgx(names=names).appraise()
    assert raised.value.reason == Reason.UNKNOWN_SIGNER


@pytest.mark.parametrize("ca", ["Platform", "Processor"])
def test_both_pck_authorities(ca: str) -> None:
    assert sgx(ca=ca).appraise().tcb_status == TcbStatus.UP_TO_DATE


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_a_chain_beside_the_quote(kind: int) -> None:
    exhibit = sgx(certification_type=kind, form="parts")
    claims = exhibit.appraise()
    assert claims.tcb_status == TcbStatus.UP_TO_DATE
    assert claims.chip == sgx().appraise().chip
    with pytest.raises(AuthenticationError) as caught:
        exhibit.without("pck_chain").appraise()
    assert caught.value.reason is Reason.UNKNOWN_SIGNER


@pytest.mark.parametrize("kind", [1, 2, 3, 4])
def test_a_chain_of_another_platform(kind: int) -> None:
    """Certification data name a platform, though nobody signs them; a chain of another one does not fit."""
    exhibit = sgx(certification_type=kind, form="parts")
    other = Intel(Options(pce_svn=12, ppid=bytes(16)))
    with pytest.raises(MalformedError):
        exhibit.with_part("pck_chain", other.chain()).appraise()


def test_a_plain_ppid_is_compared() -> None:
    exhibit = sgx(certification_type=1, form="parts")
    quote = exhibit.parts["quote"]
    assert quote.count(PPID) == 1
    with pytest.raises(MalformedError, match="another platform"):
        exhibit.with_part("quote", quote.replace(PPID, bytes(16))).appraise()


@pytest.mark.parametrize("end", [b"", b"\0\0"])
def test_intels_samples_leave_out_the_id_of_the_pce(end: bytes) -> None:
    data = PPID + COMPONENTS + b"\x0d\0" + end
    sgx(certification_type=1, certification=data, form="parts").appraise()
    for wrong in (data[:-1], data + b"\0", data[1:], b""):
        with pytest.raises(MalformedError, match="another platform"):
            sgx(certification_type=1, certification=wrong, form="parts").appraise()


@pytest.mark.parametrize(
    "change",
    [
        lambda chain: chain[: chain.index(b"-----END") + 26],
        lambda chain: chain + chain,
        lambda chain: b"",
        lambda chain: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ],
)
def test_a_chain_that_is_none(change: Any) -> None:
    exhibit = sgx(certification_type=1, form="parts")
    with pytest.raises(MalformedError):
        exhibit.with_part("pck_chain", change(exhibit.parts["pck_chain"])).appraise()


def dos(text: bytes) -> bytes:
    return text.replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    "form",
    [
        lambda text: text,
        lambda text: text + b"\0",
        lambda text: text[:-1],
        lambda text: text[:-1] + b"\0",
        lambda text: text.replace(b"-----BEGIN", b"\n-----BEGIN") + b"\n\0",
        dos,
        lambda text: dos(text)[:-2],
        lambda text: dos(text) + b"\0",
    ],
)
def test_embedded_chains_in_plain_pem(form: Any) -> None:
    chain = Intel(Options()).chain()
    assert sgx(certification=form(chain)).appraise().tcb_status == TcbStatus.UP_TO_DATE


@pytest.mark.parametrize(
    "form",
    [
        lambda text: text + b"\0\0",
        lambda text: b"x" + text,
        lambda text: text + b"Subject: nobody\n",
        lambda text: text.replace(b"\n", b" \n"),
        lambda text: text.replace(b"\n", b"\r\n", 1),
        lambda text: text.replace(b"-----\nMII", b"-----\n\tMII", 1),
        lambda text: text.replace(b"\n-----END", b"=\n-----END", 1),
    ],
)
def test_embedded_chains_with_something_between(form: Any) -> None:
    chain = Intel(Options()).chain()
    with pytest.raises(MalformedError):
        sgx(certification=form(chain)).appraise()


def test_signatures_are_of_p256_and_64_bytes() -> None:
    message, other = b"message", ec.generate_private_key(ec.SECP384R1())
    made = signature("pck", message)
    assert ecdsa_holds(key("pck").public_key(), made, message)
    assert not ecdsa_holds(key("pck").public_key(), made + b"\0", message)
    assert not ecdsa_holds(key("pck").public_key(), bytes(64), message)
    assert not ecdsa_holds(other.public_key(), made, message)
    assert not ecdsa_holds(Ed25519PrivateKey.generate().public_key(), made, message)


def test_a_key_that_cannot_be_read_signs_nothing() -> None:
    class Unreadable:
        def public_key(self) -> None:
            raise UnsupportedAlgorithm("no such curve")

    assert not is_signed_by(Unreadable(), bytes(64), b"message")  # type: ignore[arg-type]


@pytest.mark.parametrize("point", [bytes(64), b"\xff" * 64, bytes(32) + b"\1" * 32])
def test_an_attestation_key_that_is_no_point(point: bytes) -> None:
    with pytest.raises(AuthenticationError, match="signature"):
        tdx(point=point).appraise()


def test_a_pck_certificate_without_intels_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.synthetic.dcap_intel.sgx_extension", lambda *_: b"\x30\x00")
    with pytest.raises(MalformedError, match="describe a platform"):
        sgx(ppid=b"p" * 16).appraise()


@pytest.mark.parametrize("role", ["pck", "ca", "signer"])
def test_revoked_certificates(role: str) -> None:
    examination = Examination()
    with pytest.raises(AppraisalError) as raised:
        tdx(revoked=frozenset({role})).appraise(examination)
    assert raised.value.reason == Reason.REVOKED
    assert examination.signature == "valid"
