"""The layout of a quote: every structural fault is malformed or unsupported, and no byte of it can change unseen."""

import random
import struct
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedError, RemoteError, UnsupportedError
from tests.support.mutations import mutate
from tests.synthetic.dcap import sgx, tdx
from tests.synthetic.dcap_shapes import MEASUREMENT, NONCE, RTMRS
from tests.synthetic.exhibit import Exhibit
from verifier.evidence.dcap_body import LAYOUTS, SIZES, BodyType
from verifier.evidence.dcap_quote import MAX_QUOTE, Quote, Tee, parse_quote_untrusted

KINDS = {
    "sgx-3": sgx,
    "sgx-4": lambda: sgx(version=4),
    "sgx-5": lambda: sgx(version=5),
    "tdx-4": tdx,
    "tdx-5-1.0": lambda: tdx(version=5, body_type=BodyType.TDX_1_0),
    "tdx-5-1.5": lambda: tdx(version=5),
    "tdx-5-1.5-extended": lambda: tdx(version=5, body_type=BodyType.TDX_1_5_EXTENDED),
}


@cache
def made(kind: str) -> Exhibit:
    return KINDS[kind]()


def parsed(exhibit: Exhibit) -> Quote:
    return parse_quote_untrusted(exhibit.parts["quote"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_parts_of_a_quote_are_found(kind: str) -> None:
    quote = parsed(made(kind))
    assert quote.version == int(kind[4])
    assert quote.tee.name.lower() == kind[:3]
    assert quote.body.field("report_data") == NONCE
    if quote.tee == Tee.TDX:
        assert quote.body.field("mr_td") == MEASUREMENT
        assert [quote.body.field(f"rtmr{number}") for number in range(4)] == list(RTMRS)
    assert quote.content == made(kind).parts["quote"]


@pytest.mark.parametrize("kind", BodyType)
def test_a_layout_fills_its_body(kind: BodyType) -> None:
    assert max(where.stop for where in LAYOUTS[kind].values()) == SIZES[kind]


def test_intels_offsets() -> None:
    """Where sgx_quote_3.h and sgx_quote_5.h put what matters most."""
    enclave, domain = LAYOUTS[BodyType.SGX], LAYOUTS[BodyType.TDX_1_5_EXTENDED]
    found = [enclave[name].start for name in ("attributes", "mr_enclave", "mr_signer", "isv_prod_id", "report_data")]
    assert found == [48, 64, 128, 256, 320]
    names = (
        "td_attributes",
        "mr_td",
        "rtmr0",
        "report_data",
        "tee_tcb_svn_2",
        "mr_service_td",
        "td_id",
        "init_cpu_svn",
    )
    assert [domain[name].start for name in names] == [120, 136, 328, 520, 584, 600, 649, 785]


@pytest.mark.parametrize("kind", KINDS)
def test_zeros_may_follow_and_nothing_else(kind: str) -> None:
    exhibit = made(kind)
    quote = exhibit.parts["quote"]
    assert exhibit.with_part("quote", quote + bytes(3000)).appraise() == exhibit.appraise()
    for filler in (b"\1", bytes(70) + b"\1", b"\xff" * 9):
        with pytest.raises(MalformedError, match="trailing"):
            exhibit.with_part("quote", quote + filler).appraise()


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_is_malformed(kind: str) -> None:
    quote = made(kind).parts["quote"]
    for size in range(len(quote)):
        with pytest.raises(MalformedError):
            parse_quote_untrusted(quote[:size])


@pytest.mark.parametrize(
    ("header", "version"),
    [
        ({"version": 2}, 3),
        ({"version": 6}, 4),
        ({"key_type": 3}, 3),
        ({"key_type": 0}, 4),
        ({"tee": 0x82}, 4),
        ({"vendor": bytes(16)}, 3),
        ({"body_type": 5}, 5),
        ({"body_type": 0}, 5),
    ],
)
def test_other_kinds_are_not_supported(header: dict[str, object], version: int) -> None:
    with pytest.raises(UnsupportedError):
        parsed(sgx(version=version, header=header))


@pytest.mark.parametrize("header", [{"body_type": 2}, {"body_size": 383}, {"body_size": 0xFFFFFFFF}])
def test_a_body_of_another_size_or_tee_is_malformed(header: dict[str, object]) -> None:
    with pytest.raises(MalformedError):
        parsed(sgx(version=5, header=header))


def test_version_3_is_of_sgx_alone() -> None:
    with pytest.raises(MalformedError):
        parsed(sgx(header={"tee": Tee.TDX}))


@pytest.mark.parametrize("kind", [0, 6, 7, 0xFFFF])
def test_other_certification_data_are_not_supported(kind: int) -> None:
    with pytest.raises(UnsupportedError):
        parsed(sgx(certification_type=kind))


def test_the_wrapper_of_version_4_is_of_type_6() -> None:
    quote = bytearray(made("tdx-4").parts["quote"])
    assert quote[764:766] == b"\6\0"
    quote[764] = 5
    with pytest.raises(UnsupportedError):
        parse_quote_untrusted(bytes(quote))


@pytest.mark.parametrize("at", [432, 432 + 4 + 128 + 448, 432 + 4 + 128 + 448 + 36])
def test_lengths_that_do_not_fit_are_malformed(at: int) -> None:
    quote = made("sgx-3").parts["quote"]
    for change in (-1, 1):
        (size,) = struct.unpack_from("<H", quote, at)
        with pytest.raises(RemoteError):
            parse_quote_untrusted(quote[:at] + struct.pack("<H", size + change) + quote[at + 2 :])


def test_a_large_quote_is_malformed() -> None:
    with pytest.raises(MalformedError, match="large"):
        parse_quote_untrusted(made("sgx-3").parts["quote"] + bytes(MAX_QUOTE))


def test_the_other_tee_is_not_supported() -> None:
    with pytest.raises(UnsupportedError, match="other TEE"):
        made("sgx-3").with_part("quote", made("tdx-4").parts["quote"]).appraise()
    with pytest.raises(UnsupportedError, match="other TEE"):
        made("tdx-4").with_part("quote", made("sgx-4").parts["quote"]).appraise()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sgx-3", "tdx-5-1.5"])
def test_no_byte_of_a_quote_can_change(kind: str) -> None:
    """Header, body, signatures, keys, QE report, authentication data, lengths, certificates: all of it."""
    exhibit = made(kind)
    quote = exhibit.parts["quote"]
    for at in range(len(quote)):
        changed = quote[:at] + bytes([quote[at] ^ 1 << at % 8]) + quote[at + 1 :]
        with pytest.raises(RemoteError):
            exhibit.with_part("quote", changed).appraise()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_is_accepted(kind: str) -> None:
    exhibit, rng = made(kind), random.Random(kind)
    quote = exhibit.parts["quote"]
    for _ in range(300):
        damaged = mutate(quote, rng).data
        if damaged.rstrip(b"\0") != quote.rstrip(b"\0"):
            with pytest.raises(RemoteError):
                exhibit.with_part("quote", damaged).appraise()


@given(st.binary(max_size=6000))
def test_any_bytes_are_a_quote_or_refused(data: bytes) -> None:
    with pytest.raises(RemoteError):
        made("tdx-4").with_part("quote", data).appraise()


@given(st.integers(0, 6000), st.binary(max_size=200))
def test_any_splice_is_the_quote_or_refused(at: int, spliced: bytes) -> None:
    exhibit = made("tdx-5-1.5")
    quote = exhibit.parts["quote"]
    changed = quote[:at] + spliced + quote[at + len(spliced) :]
    if changed.rstrip(b"\0") != quote.rstrip(b"\0"):
        with pytest.raises(RemoteError):
            exhibit.with_part("quote", changed).appraise()
