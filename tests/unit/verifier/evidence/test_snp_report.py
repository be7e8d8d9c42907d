"""The layout of SEV-SNP reports: every field from its place, and what is none refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError, RemoteError, UnsupportedError
from tests.synthetic.snp import FIELDS, SIGNATURE, SIZE, ec_key, put, report
from verifier.evidence.snp_report import Product, SigningKey, product_of, report_untrusted

CHECKED = {"version", "policy", "vmpl", "signature_algo", "flags"}
FREE = [
    name
    for name, (offset, _) in FIELDS.items()
    if offset < SIGNATURE and "reserved" not in name and name not in CHECKED
]


def bare(**fields: int | bytes) -> bytes:
    made = bytearray(SIZE)
    for name, value in {"version": 5, "policy": 1 << 17, "signature_algo": 1, **fields}.items():
        put(made, name, value)
    return bytes(made)


@pytest.mark.parametrize("name", FREE)
def test_a_field_is_read_from_its_place(name: str) -> None:
    offset, length = FIELDS[name]
    content = bytes(range(1, length + 1))
    found, zero = report_untrusted(bare(**{name: content})), report_untrusted(bare())
    changed = {key for key in found._fields if getattr(found, key) != getattr(zero, key)}
    whole = "current_version" if offset in range(0x1E8, 0x1EB) else "committed_version"
    field = whole if offset in range(0x1E8, 0x1EF) else name
    assert changed == {field}
    value = getattr(found, field)
    assert value == (int.from_bytes(content, "little") if isinstance(value, int) else value)
    assert isinstance(value, int) or content in value


def test_the_signature_is_little_endian() -> None:
    assert report_untrusted(bare(r=0x0102, s=0x0304)).signature == (0x0102, 0x0304)


@pytest.mark.parametrize("bit", range(64))
def test_policy(bit: int) -> None:
    data = bare(policy=1 << 17 | 1 << bit)
    if bit < 26:
        assert report_untrusted(data).policy >> bit & 1
    else:
        with pytest.raises(UnsupportedError):
            report_untrusted(data)


def test_policy_without_the_bit_that_is_one() -> None:
    with pytest.raises(MalformedError):
        report_untrusted(bare(policy=0x1001F))


@pytest.mark.parametrize("name", [name for name in FIELDS if "reserved" in name])
def test_reserved_bytes(name: str) -> None:
    offset, length = FIELDS[name]
    for at in (offset, offset + length - 1):
        changed = bytearray(bare())
        changed[at] = 0x80
        with pytest.raises(MalformedError):
            report_untrusted(bytes(changed))


@pytest.mark.parametrize(
    ("version", "name"),
    [
        (2, "cpuid_family"),
        (2, "cpuid_model"),
        (2, "cpuid_stepping"),
        (2, "launch_mit_vector"),
        (3, "current_mit_vector"),
    ],
)
def test_what_a_version_reserves(version: int, name: str) -> None:
    with pytest.raises(MalformedError):
        report_untrusted(bare(version=version, **{name: 1}))


@pytest.mark.parametrize("version", [0, 1, 4, 6, 0x200, 0xFFFFFFFF])
def test_other_versions(version: int) -> None:
    with pytest.raises(UnsupportedError):
        report_untrusted(bare(version=version))


@pytest.mark.parametrize(
    ("flags", "key", "author", "masked"),
    [
        (0, SigningKey.VCEK, False, False),
        (1, SigningKey.VCEK, True, False),
        (0b110, SigningKey.VLEK, False, True),
        (0b11111, SigningKey.NONE, True, True),
    ],
)
def test_flags(flags: int, key: SigningKey, author: bool, masked: bool) -> None:
    found = report_untrusted(bare(flags=flags))
    assert (found.signing_key, found.has_author_key, found.is_chip_key_masked) == (key, author, masked)


@pytest.mark.parametrize("flags", [2 << 2, 6 << 2])
def test_other_signing_keys(flags: int) -> None:
    with pytest.raises(UnsupportedError):
        report_untrusted(bare(flags=flags))


def test_reserved_flags() -> None:
    with pytest.raises(MalformedError):
        report_untrusted(bare(flags=1 << 5))


@pytest.mark.parametrize(
    ("family", "model", "product"),
    [
        (0x19, 0x00, Product.MILAN),
        (0x19, 0x0F, Product.MILAN),
        (0x19, 0x10, Product.GENOA),
        (0x19, 0x1F, Product.GENOA),
        (0x19, 0xA0, Product.GENOA),
        (0x19, 0xAF, Product.GENOA),
        (0x1A, 0x00, Product.TURIN),
        (0x1A, 0x11, Product.TURIN),
    ],
)
def test_products(family: int, model: int, product: Product) -> None:
    assert product_of(report_untrusted(bare(cpuid_family=family, cpuid_model=model))) is product


@pytest.mark.parametrize(("family", "model"), [(0x17, 1), (0x19, 0x20), (0x19, 0xB0), (0x1A, 0x50), (0, 0)])
def test_other_products(family: int, model: int) -> None:
    with pytest.raises(UnsupportedError):
        product_of(report_untrusted(bare(cpuid_family=family, cpuid_model=model)))


def test_version_2_names_no_product() -> None:
    assert product_of(report_untrusted(bare(version=2))) is None


@given(st.binary(min_size=SIZE, max_size=SIZE) | st.binary(max_size=64))
def test_arbitrary_bytes(data: bytes) -> None:
    with pytest.raises(RemoteError):
        report_untrusted(data)


@given(st.data())
def test_a_damaged_report_parses_or_is_refused(data: st.DataObject) -> None:
    changed = bytearray(report(ec_key("leaf")))
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, SIZE - 1))] = data.draw(st.integers(0, 255))
    try:
        found = report_untrusted(bytes(changed))
    except RemoteError:
        return
    assert found.version in {2, 3, 5}
