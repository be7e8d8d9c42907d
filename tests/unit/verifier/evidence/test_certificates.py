"""Certificate paths: one fault each, and each is named."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import (
    AppraisalError,
    AuthenticationError,
    FreshnessError,
    MalformedError,
    RemoteError,
    UnsupportedError,
)
from schemas.reason import Reason
from tests.synthetic.pki import DAY, START, Holder, crl, issue
from verifier.evidence.certificates import (
    MAX_CERTIFICATE,
    MAX_CERTIFICATES,
    certificate_untrusted,
    certificates_untrusted,
    verify_path,
)
from verifier.evidence.examination import Examination
from verifier.evidence.revocation_lists import MAX_CRL, check_not_revoked, crl_untrusted, verify_crl

SHA256_RSA, SHA1_RSA = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
"""sha256WithRSAEncryption and sha1WithRSAEncryption (RFC 8017 §A.2.4): of one length."""


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def root() -> Holder:
    return issue("Root", key("root"), may_sign=True)


@cache
def middle() -> Holder:
    return issue("Middle", key("middle"), root(), may_sign=True)


@cache
def leaf() -> Holder:
    return issue("Leaf", key("leaf"), middle(), ca=False)


def verify(*path: Holder, now: float = START, pinned: Holder | None = None) -> Examination:
    examination = Examination()
    roots = frozenset({(pinned or root()).fingerprint})
    verify_path([each.certificate for each in path], roots, now, examination, "chain")
    return examination


def test_a_path_holds() -> None:
    examination = verify(leaf(), middle(), root())
    assert all(line.holds for line in examination.lines)
    assert {line.finding.claim for line in examination.lines} >= {"chain.root", "chain.Leaf", "chain.Middle"}


def test_a_root_alone_is_a_path() -> None:
    assert verify(root()).signature == "unchecked"


def test_the_root_must_be_pinned_and_not_only_named_so() -> None:
    double = issue("Root", key("another"), may_sign=True)
    mine = issue("Leaf", key("leaf"), double, ca=False)
    with pytest.raises(AuthenticationError) as caught:
        verify(mine, double)
    assert caught.value.reason is Reason.UNKNOWN_SIGNER


def test_an_issuer_whose_key_would_take_long_is_no_issuer() -> None:
    slow = rsa.generate_private_key(3, 2048)
    ca = issue("Slow", slow, root(), may_sign=True)
    with pytest.raises(AuthenticationError):
        verify(issue("Leaf", key("leaf"), ca, ca=False), ca, root())


def test_a_leaf_of_another_key_with_the_issuer_s_name() -> None:
    forged = issue("Leaf", key("leaf"), replace(middle(), key=key("another")), ca=False)
    with pytest.raises(AuthenticationError) as caught:
        verify(forged, middle(), root())
    assert caught.value.reason is Reason.SIGNATURE_INVALID


def test_a_link_left_out() -> None:
    with pytest.raises(AuthenticationError):
        verify(leaf(), root())


@pytest.mark.parametrize("faults", [{"ca": False}, {"may_sign": False}])
def test_an_issuer_that_may_not_issue(faults: dict[str, Any]) -> None:
    helper = issue("Middle", key("middle"), root(), **{"may_sign": True} | faults)
    with pytest.raises(AuthenticationError, match="may not issue"):
        verify(leaf(), helper, root())


@pytest.mark.parametrize(
    ("oid", "content"),
    [
        ("2.5.29.17", "3004a3020500"),  # an x400Address
        ("1.3.6.1.5.5.7.1.24", "3003020100"),  # TLS features that do not exist
        ("1.3.6.1.5.5.7.1.24", "3003020130"),
        ("1.3.6.1.5.5.7.1.24", "30020101"),
    ],
)
def test_an_issuer_with_extensions_that_the_library_cannot_read(oid: str, content: str) -> None:
    """The issuer may be the sender's own: its extensions are read before anybody has vouched for it."""
    unreadable = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), bytes.fromhex(content))
    strange = issue("Middle", key("middle"), root(), may_sign=True, extensions=(unreadable,))
    with pytest.raises(AuthenticationError, match="may not issue"):
        verify(leaf(), strange, root())


def test_a_path_longer_than_an_issuer_allows() -> None:
    short = issue("Root", key("root"), may_sign=True, path_length=0)
    under = issue("Middle", key("middle"), short, may_sign=True)
    with pytest.raises(AuthenticationError, match="may not issue"):
        verify(issue("Leaf", key("leaf"), under, ca=False), under, short, pinned=short)


def test_a_weak_hash_is_no_signature() -> None:
    weak = issue("Leaf", key("leaf"), middle(), ca=False, algorithm=hashes.SHA224())
    with pytest.raises(AuthenticationError):
        verify(weak, middle(), root())


@pytest.mark.parametrize(("now", "reason"), [(START - 2 * DAY, "not-yet-valid"), (START + 2 * DAY, "expired")])
@pytest.mark.parametrize("late", ["Leaf", "Middle", "Root"])
def test_each_certificate_has_its_time(now: float, reason: str, late: str) -> None:
    wide = {"begins": START - 9 * DAY, "ends": START + 9 * DAY}
    times: dict[str, dict[str, Any]] = {name: {} if name == late else wide for name in ("Leaf", "Middle", "Root")}
    top = issue("Root", key("root"), **times["Root"])
    under = issue("Middle", key("middle"), top, **times["Middle"])
    end = issue("Leaf", key("leaf"), under, ca=False, **times["Leaf"])
    with pytest.raises(FreshnessError) as caught:
        verify(end, under, top, now=now, pinned=top)
    assert caught.value.reason.value == reason
    assert late in str(caught.value)


# Revocation lists


def looked_up(holder: Holder, issuer: Holder, data: bytes, now: float = START) -> None:
    found, examination = crl_untrusted(data, "crl"), Examination()
    verify_crl(found, issuer.certificate, now, examination, "crl")
    check_not_revoked(holder.certificate, found, examination, "crl")


def test_an_empty_list_is_a_list() -> None:
    looked_up(leaf(), middle(), crl(middle()))


def test_a_revoked_certificate() -> None:
    with pytest.raises(AppraisalError) as caught:
        looked_up(leaf(), middle(), crl(middle(), 5, leaf().certificate.serial_number))
    assert caught.value.reason is Reason.REVOKED


def test_an_empty_list_of_somebody_else_hides_nothing() -> None:
    with pytest.raises(AuthenticationError):
        looked_up(leaf(), middle(), crl(replace(middle(), key=key("another"))))
    with pytest.raises(AuthenticationError):
        looked_up(leaf(), middle(), crl(root()))


@pytest.mark.parametrize(
    "critical",
    [
        x509.DeltaCRLIndicator(1),
        x509.IssuingDistributionPoint(None, None, True, False, None, False, False),
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b""),
        x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.28"), b"no such point"),
    ],
)
def test_a_list_that_leaves_certificates_out_is_no_list(critical: x509.ExtensionType) -> None:
    """RFC 5280 §5.2: of changes since another, or of one kind of certificates."""
    with pytest.raises(UnsupportedError):
        looked_up(leaf(), middle(), crl(middle(), critical=critical))


def test_a_list_signed_as_amd_signs() -> None:
    """RSASSA-PSS, which is not what the library's own path builder takes."""
    ark = issue("ARK", rsa.generate_private_key(65537, 2048), may_sign=True, pss=True)
    end = issue("VCEK", key("leaf"), ark, ca=False, pss=True, serial=7)
    verify(end, ark, pinned=ark)
    looked_up(end, ark, crl(ark, pss=True))
    with pytest.raises(AppraisalError):
        looked_up(end, ark, crl(ark, 7, pss=True))


def test_a_list_signed_over_a_weak_hash_is_refused() -> None:
    """By sealedge itself: what the library makes of SHA-1 is its own matter."""
    ca = issue("Ark", rsa.generate_private_key(65537, 2048), may_sign=True)
    for algorithm in (hashes.SHA256(), hashes.SHA512()):
        looked_up(leaf(), ca, crl(ca, digest=algorithm))
    for weak in (over_sha1(ca), crl(ca, digest=hashes.SHA224())):
        with pytest.raises(UnsupportedError, match="too weak"):
            looked_up(leaf(), ca, weak)


def over_sha1(ca: Holder) -> bytes:
    """A list that is validly signed over SHA-1, which the library does not sign any more."""
    signed = x509.load_der_x509_crl(crl(ca, digest=hashes.SHA256()))
    body = signed.tbs_certlist_bytes.replace(SHA256_RSA, SHA1_RSA)
    signature = ca.key.sign(body, padding.PKCS1v15(), hashes.SHA1())
    found = signed.public_bytes(Encoding.DER).replace(SHA256_RSA, SHA1_RSA).replace(signed.signature, signature)
    assert x509.load_der_x509_crl(found).tbs_certlist_bytes == body
    return found


@pytest.mark.parametrize("now", [START - 2 * DAY, START + 2 * DAY])
def test_a_list_of_another_time(now: float) -> None:
    with pytest.raises(FreshnessError):
        looked_up(leaf(), middle(), crl(middle()), now)


# Bytes


def test_pem_with_filler_and_der_are_read_alike() -> None:
    assert certificates_untrusted(middle().pem + root().pem + b"\n\0\0", "chain") == (
        middle().certificate,
        root().certificate,
    )
    assert certificate_untrusted(leaf().der, "leaf") == certificate_untrusted(leaf().pem, "leaf")
    der = crl(root())
    pem = crl_untrusted(der, "crl").x509.public_bytes(Encoding.PEM)
    assert crl_untrusted(pem, "crl").x509.public_bytes(Encoding.DER) == der


@pytest.mark.parametrize(
    "data",
    [
        b"",
        leaf().der[:-1],
        leaf().der + b"\0",
        b"-----BEGIN CERTIFICATE-----\n",
        leaf().pem * (MAX_CERTIFICATES + 1),
        bytes(MAX_CERTIFICATES * MAX_CERTIFICATE + 1),
    ],
    ids=lambda _: "bytes",
)
def test_what_is_no_chain(data: bytes) -> None:
    with pytest.raises(MalformedError):
        certificates_untrusted(data, "chain")


def test_two_where_one_is_wanted() -> None:
    with pytest.raises(MalformedError):
        certificate_untrusted(leaf().pem * 2, "leaf")


def test_a_list_too_large() -> None:
    with pytest.raises(MalformedError):
        crl_untrusted(bytes(MAX_CRL + 1), "crl")


def read_and_verified(data: bytes) -> None:
    path = [certificate_untrusted(data, "leaf"), middle().certificate, root().certificate]
    verify_path(path, frozenset({root().fingerprint}), START, Examination(), "chain")


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_bit_of_a_certificate_counts(at: int, bit: int) -> None:
    data = bytearray(leaf().der)
    data[at % len(data)] ^= 1 << bit
    with pytest.raises(RemoteError):
        read_and_verified(bytes(data))


@given(data=st.binary(max_size=300) | st.binary(max_size=100).map(lambda each: b"-----BEGIN " + each))
def test_garbage_is_malformed_and_nothing_else(data: bytes) -> None:
    for read in (certificates_untrusted, certificate_untrusted, crl_untrusted):
        with pytest.raises(MalformedError):
            read(data, "garbage")
