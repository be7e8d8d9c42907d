"""What VCEK and VLEK certificates say, and which are none."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from protocol.errors import MalformedError
from tests.synthetic.pki import issue
from tests.synthetic.snp import (
    HWID,
    TCB,
    TURIN_HWID,
    TURIN_TCB,
    ask,
    ec_key,
    extensions,
    ia5,
    integer,
    leaf,
    rsa_key,
    snp,
)
from verifier.evidence.certificates import certificate_untrusted
from verifier.evidence.snp_certificates import endorsed_untrusted
from verifier.evidence.snp_report import Product, SigningKey

VCEK, VLEK = SigningKey.VCEK, SigningKey.VLEK


@pytest.mark.parametrize(
    ("line", "product_name", "product"),
    [
        ("Milan", "Milan-B0", Product.MILAN),
        ("Genoa", "Genoa", Product.GENOA),
        ("Genoa", "Siena-B0", Product.GENOA),
        ("Genoa", "Bergamo", Product.GENOA),
    ],
)
def test_vcek(line: str, product_name: str, product: Product) -> None:
    said = endorsed_untrusted(leaf(line, product_name=product_name).certificate, VCEK)
    assert (said.product, said.product_name, said.tcb, said.chip_id) == (product, product_name, TCB, HWID)
    assert said.csp_id is None


def test_vcek_of_turin_has_another_order_of_levels_and_a_short_chip_id() -> None:
    said = endorsed_untrusted(leaf("Turin").certificate, VCEK)
    assert (said.product, said.tcb, said.chip_id) == (Product.TURIN, TURIN_TCB, TURIN_HWID.ljust(64, b"\0"))


def test_vlek() -> None:
    said = endorsed_untrusted(leaf(kind="vlek").certificate, VLEK)
    assert (said.tcb, said.chip_id, said.csp_id) == (TCB, None, "cloud.example")


def test_a_chip_id_may_be_an_octet_string() -> None:
    wrapped = leaf(replaced={"4": b"\x04\x40" + HWID})
    assert endorsed_untrusted(wrapped.certificate, VCEK).chip_id == HWID


def test_reserved_levels_may_be_left_out() -> None:
    short = leaf(replaced=dict.fromkeys(("3.4", "3.5", "3.6", "3.7")))
    assert endorsed_untrusted(short.certificate, VCEK).tcb == TCB


BAD: dict[str, dict[str, bytes | None]] = {
    "no product": {"2": None},
    "an unknown product": {"2": ia5("Naples-B1")},
    "a product in another type": {"2": b"\x0c\x05Milan"},
    "a product of another length": {"2": b"\x16\x06Milan"},
    "an empty product": {"2": b"\x16\x00"},
    "a product that is no ASCII": {"2": b"\x16\x05Mil\xe4n"},
    "no boot loader": {"3.1": None},
    "no TEE": {"3.2": None},
    "no SNP": {"3.3": None},
    "no microcode": {"3.8": None},
    "a level of 256": {"3.8": b"\x02\x02\x01\x00"},
    "a negative level": {"3.8": b"\x02\x01\x80"},
    "a level in two ways": {"3.8": b"\x02\x02\x00\x01"},
    "a level in another type": {"3.8": b"\x04\x01\x01"},
    "a level with more behind": {"3.8": integer(1) + b"\0"},
    "an empty level": {"3.8": b""},
    "no chip": {"4": None},
    "a short chip": {"4": HWID[:63]},
    "a long chip": {"4": HWID + b"\0"},
    "a chip of Turin's length": {"4": TURIN_HWID},
    "a cloud's name in a VCEK": {"5": ia5("cloud.example")},
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_extensions_that_are_none(name: str) -> None:
    with pytest.raises(MalformedError):
        endorsed_untrusted(leaf(replaced=BAD[name]).certificate, VCEK)


def test_turin_without_fmc() -> None:
    with pytest.raises(MalformedError):
        endorsed_untrusted(leaf("Turin", replaced={"3.9": None}).certificate, VCEK)


def test_a_vlek_that_names_a_chip() -> None:
    with pytest.raises(MalformedError):
        endorsed_untrusted(leaf(kind="vlek", replaced={"4": HWID}).certificate, VLEK)


def test_one_kind_is_not_the_other() -> None:
    with pytest.raises(MalformedError):
        endorsed_untrusted(leaf(kind="vlek").certificate, VCEK)
    with pytest.raises(MalformedError):
        endorsed_untrusted(leaf().certificate, VLEK)


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP256R1()), rsa_key("leaf")], ids=["P-256", "RSA"])
def test_other_keys(key: ec.EllipticCurvePrivateKey) -> None:
    other = issue("SEV-VCEK", key, ask(), ca=False, extensions=extensions("Milan", "vcek"), pss=True)
    with pytest.raises(MalformedError):
        endorsed_untrusted(other.certificate, VCEK)


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_serial_number_0() -> None:
    """All of AMD's leaves have it, against RFC 5280 §4.1.2.2."""
    said = extensions("Milan", "vcek")
    zero = issue("SEV-VCEK", ec_key("leaf"), ask(), ca=False, serial=0, extensions=said, pss=True)
    assert zero.certificate.serial_number == 0
    assert snp(certificate=zero, revoked=(1,)).appraise().chip is not None


def test_a_signature_of_a_broken_number_of_bytes_is_malformed() -> None:
    """The count of unused bits is signed by nobody: with it the same certificate has other bytes."""
    der = next(each for each in (leaf().certificate.public_bytes(Encoding.DER) for _ in range(64)) if not each[-1] & 1)
    at = len(der) - 257
    assert der[at] == 0
    with pytest.raises(MalformedError):
        certificate_untrusted(der[:at] + b"\x01" + der[at + 1 :], "vcek")
    assert certificate_untrusted(der, "vcek").serial_number == 0x5EA1
