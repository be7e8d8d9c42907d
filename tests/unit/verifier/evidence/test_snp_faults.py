"""SEV-SNP: evidence with one fault each, and each is refused for that fault."""

import random
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
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
from tests.support.examples import examples
from tests.synthetic import snp as made
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.pki import DAY, START, crl, issue
from tests.synthetic.snp import ark, ask, leaf, rsa_key, snp
from verifier.evidence.examination import Examination

INVALID = Reason.SIGNATURE_INVALID
UNKNOWN = Reason.UNKNOWN_SIGNER
OTHER = Reason.EVIDENCE_INVALID


Fault = Callable[[], Exhibit]

FAULTS: dict[str, tuple[Fault, type[RemoteError], Reason, str]] = {
    "another key signed": (lambda: snp(signer="thief"), AuthenticationError, INVALID, "invalid"),
    "another report data": (lambda: tampered("report_data", b"x" * 64), AuthenticationError, INVALID, "invalid"),
    "an empty signature": (lambda: snp(r=0, s=0), AuthenticationError, INVALID, "invalid"),
    "a signature that is too long": (lambda: snp(r=b"\xff" * 72), AuthenticationError, INVALID, "invalid"),
    "nobody signed": (lambda: snp(flags=7 << 2), AuthenticationError, UNKNOWN, "unchecked"),
    "no certificate": (lambda: snp().without("vcek"), AuthenticationError, UNKNOWN, "unchecked"),
    "a VLEK where a VCEK signed": (lambda: snp(kind="vlek", flags=0), AuthenticationError, UNKNOWN, "unchecked"),
    "no chain": (lambda: snp().without("chain"), AuthenticationError, UNKNOWN, "unchecked"),
    "no root": (lambda: snp(issuers=(ask(),)), AuthenticationError, UNKNOWN, "unchecked"),
    "no intermediate": (lambda: snp(issuers=(ark(),)), AuthenticationError, UNKNOWN, "unchecked"),
    "the chain of VLEKs": (lambda: snp(issuers=(ask(kind="vlek"), ark())), AuthenticationError, UNKNOWN, "unchecked"),
    "the chain of Genoa": (
        lambda: snp(issuers=(ask("Genoa"), ark("Genoa"))),
        AuthenticationError,
        UNKNOWN,
        "unchecked",
    ),
    "a root of the same name": (
        lambda: snp(
            certificate=leaf(issuer=ask(authority="thief")), issuers=(ask(authority="thief"), ark(authority="thief"))
        ),
        AuthenticationError,
        UNKNOWN,
        "unchecked",
    ),
    "an issuer of the same name": (
        lambda: snp(certificate=leaf(issuer=ask(authority="thief"))),
        AuthenticationError,
        INVALID,
        "invalid",
    ),
    "an intermediate of the same name": (
        lambda: snp(certificate=leaf(issuer=ask(authority="thief")), issuers=(ask(authority="thief"), ark())),
        AuthenticationError,
        INVALID,
        "invalid",
    ),
    "an issuer that is no CA": (lambda: snp(**no_ca()), AuthenticationError, INVALID, "unchecked"),  # type: ignore[arg-type]
    "a Milan chip with a leaf of Genoa's": (
        lambda: snp(certificate=leaf("Genoa"), issuers=(ask("Genoa"), ark("Genoa"))),
        AuthenticationError,
        OTHER,
        "valid",
    ),
    "a leaf that says Genoa under Milan's ASK": (
        lambda: snp(certificate=leaf(product_name="Genoa-B1")),
        AuthenticationError,
        UNKNOWN,
        "unchecked",
    ),
    "a key for newer firmware": (
        lambda: snp(certificate=leaf(tcb=bytes((4, 0, 0, 0, 0, 0, 25, 219)))),
        AuthenticationError,
        OTHER,
        "valid",
    ),
    "a report of older firmware": (
        lambda: snp(reported_tcb=bytes((4, 0, 0, 0, 0, 0, 23, 219))),
        AuthenticationError,
        OTHER,
        "valid",
    ),
    "reserved levels": (
        lambda: snp(reported_tcb=bytes((4, 0, 0, 1, 0, 0, 24, 219))),
        AuthenticationError,
        OTHER,
        "valid",
    ),
    "another FMC": (
        lambda: snp("Turin", reported_tcb=bytes((2, 2, 3, 4, 0, 0, 0, 77))),
        AuthenticationError,
        OTHER,
        "valid",
    ),
    "another chip": (lambda: snp(chip_id=b"z" * 64), AuthenticationError, OTHER, "valid"),
    "another chip after 8 bytes": (
        lambda: snp("Turin", chip_id=made.TURIN_HWID.ljust(64, b"z")),
        AuthenticationError,
        OTHER,
        "valid",
    ),
    "a certificate of another chip": (
        lambda: snp(certificate=leaf(hwid=b"z" * 64)),
        AuthenticationError,
        OTHER,
        "valid",
    ),
    "expired": (lambda: snp().at(START + 2 * DAY), FreshnessError, Reason.EXPIRED, "unchecked"),
    "not yet valid": (lambda: snp().at(START - 2 * DAY), FreshnessError, Reason.NOT_YET_VALID, "unchecked"),
    "an expired VCEK": (lambda: snp(certificate=leaf(ends=START - 1)), FreshnessError, Reason.EXPIRED, "unchecked"),
    "a revoked VCEK": (lambda: snp(revoked=(0x5EA1,)), AppraisalError, Reason.REVOKED, "unchecked"),
    "a revoked ASK": (lambda: snp(revoked=(1, 0x10001)), AppraisalError, Reason.REVOKED, "unchecked"),
    "a revoked ASVK": (lambda: snp(kind="vlek", revoked=(0x10101,)), AppraisalError, Reason.REVOKED, "unchecked"),
    "a forged revocation list": (
        lambda: snp().with_part("crl", crl(ark(authority="thief"), pss=True)),
        AuthenticationError,
        INVALID,
        "unchecked",
    ),
    "another line's revocation list": (
        lambda: snp().with_part("crl", crl(ark("Genoa"), pss=True)),
        AuthenticationError,
        INVALID,
        "unchecked",
    ),
    "an old revocation list": (
        lambda: snp().with_part("crl", crl(ark(), begins=START - 2 * DAY, ends=START - 1, pss=True)),
        FreshnessError,
        Reason.EXPIRED,
        "unchecked",
    ),
    "a revoked ASK by the folder's list": (
        lambda: snp(folder={"snp/crl/milan": crl(ark(), 0x10001, pss=True)}),
        AppraisalError,
        Reason.REVOKED,
        "unchecked",
    ),
    "a revoked VCEK by the folder's list, with an older one beside the report": (
        lambda: snp(revoked=(), folder={"snp/crl/milan": crl(ark(), 0x5EA1, begins=START - 1, pss=True)}),
        AppraisalError,
        Reason.REVOKED,
        "unchecked",
    ),
    "version 4": (lambda: snp(version=4), UnsupportedError, Reason.UNSUPPORTED, "unchecked"),
    "another algorithm": (lambda: snp(signature_algo=2), UnsupportedError, Reason.UNSUPPORTED, "unchecked"),
    "an unknown processor": (lambda: snp(cpuid_family=0x17), UnsupportedError, Reason.UNSUPPORTED, "unchecked"),
    "for the host": (lambda: snp(vmpl=0xFFFFFFFF), UnsupportedError, Reason.UNSUPPORTED, "unchecked"),
    "no report": (lambda: snp().without("report"), MalformedError, Reason.MALFORMED, "unchecked"),
}


def tampered(name: str, value: int | bytes) -> Exhibit:
    exhibit = snp()
    changed = bytearray(exhibit.parts["report"])
    made.put(changed, name, value)
    return exhibit.with_part("report", bytes(changed))


def no_ca() -> dict[str, object]:
    middle = issue("SEV-Milan", rsa_key("ask amd"), ark(), ca=False, pss=True)
    return {"certificate": leaf(issuer=middle), "issuers": (middle, ark())}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault(name: str) -> None:
    fault, error, reason, signature = FAULTS[name]
    exhibit, examination = fault(), Examination()
    with pytest.raises(error) as caught:
        exhibit.appraise(examination)
    assert (type(caught.value), caught.value.reason, examination.signature) == (error, reason, signature)
    assert caught.value.finding is not None


@pytest.mark.parametrize("name", sorted(set(FAULTS) - {"no report"}))
def test_a_fault_that_an_examination_finds_is_in_its_trace(name: str) -> None:
    fault, error, _, _ = FAULTS[name]
    examination = Examination()
    with pytest.raises(error) as caught:
        fault().appraise(examination)
    if issubclass(error, MalformedError | UnsupportedError):
        assert all(line.holds for line in examination.lines)
    else:
        assert [line.finding for line in examination.lines if not line.holds] == [caught.value.finding]


@pytest.mark.parametrize("name", sorted(made.FIELDS))
def test_every_bit_counts(name: str) -> None:
    """Every bit of the short fields, and some of the long ones: refused, whatever it says."""
    exhibit = snp(version=5)
    report, rng = exhibit.parts["report"], random.Random(name)
    offset, length = made.FIELDS[name]
    for bit in range(8 * length) if length <= 8 else rng.sample(range(8 * length), 24):
        changed = bytearray(report)
        changed[offset + bit // 8] ^= 1 << bit % 8
        with pytest.raises(RemoteError):
            exhibit.with_part("report", bytes(changed)).appraise()


@pytest.mark.parametrize("part", ["vcek", "crl"])
def test_every_byte_of_certificates_and_lists_counts(part: str) -> None:
    exhibit, rng = snp(revoked=(77,)), random.Random(part)
    for at in range(len(exhibit.parts[part])):
        changed = bytearray(exhibit.parts[part])
        changed[at] ^= rng.randrange(1, 256)
        with pytest.raises(RemoteError):
            exhibit.with_part(part, bytes(changed)).appraise()


@pytest.mark.slow
def test_a_changed_chain_is_refused_or_holds_the_same_certificates() -> None:
    """PEM has line ends, and text around it, that are no part of a certificate."""
    exhibit, rng = snp(), random.Random(0)
    chain = exhibit.parts["chain"]
    genuine = [each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(chain)]
    accepted = set()
    for at in range(len(chain)):
        changed = bytearray(chain)
        changed[at] ^= 1 << rng.randrange(8)
        try:
            exhibit.with_part("chain", bytes(changed)).appraise()
        except RemoteError:
            continue
        accepted.add(at)
        found = x509.load_pem_x509_certificates(bytes(changed))
        assert [each.public_bytes(Encoding.DER) for each in found] == genuine
    assert accepted <= {at for span, _ in exhibit.unsigned["chain"] for at in span}


@pytest.mark.parametrize("part", ["report", "vcek", "crl"])
def test_truncated_and_trailing(part: str) -> None:
    exhibit = snp(revoked=())
    whole = exhibit.parts[part]
    for changed in (b"", whole[:-1], whole[: len(whole) // 2], whole + b"\0", whole + whole):
        with pytest.raises(MalformedError):
            exhibit.with_part(part, changed).appraise()


def test_a_chain_with_more_behind() -> None:
    exhibit = snp()
    for trailing in (b"x", b"\x80\n", b"-----BEGIN CERTIFICATE-----\n"):
        with pytest.raises(MalformedError):
            exhibit.with_part("chain", exhibit.parts["chain"] + trailing).appraise()


@given(part=st.sampled_from(["report", "vcek", "chain", "crl"]), content=st.binary(max_size=2000))
@settings(max_examples=examples(200), deadline=None)
def test_arbitrary_bytes(part: str, content: bytes) -> None:
    with pytest.raises(RemoteError):
        snp().with_part(part, content).appraise()
