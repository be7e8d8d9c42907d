"""Evidence in several parts: a CMW collection (RFC 9999)."""

import pytest
from cbor2 import CBORTag
from hypothesis import given
from hypothesis import strategies as st

from protocol.cbor import encode
from protocol.cmw import unwrap_untrusted, wrap
from protocol.errors import MalformedError, ProtocolMisuseError
from schemas.attestation import MAX_WRAPPED_EVIDENCE
from schemas.evidence import BINARY, CCA, CRL, EAR, FORMATS, PSA, SIMULATED, SNP, TDX, EvidenceFormat, collection_type

TYPE = {"__cmwc_t": collection_type("snp")}


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_every_kind_s_parts_come_back(form: object) -> None:
    form = FORMATS[getattr(form, "name")]  # noqa: B009 - a parameter
    parts = {part.name: part.name.encode() for part in form.parts if part.travels}
    assert unwrap_untrusted(form, wrap(form, parts)) == parts


@pytest.mark.parametrize("form", [PSA, CCA, EAR], ids=lambda form: form.name)
def test_nobody_sends_the_key_that_is_to_be_believed(form: EvidenceFormat) -> None:
    key = form.part("key")
    assert key is not None
    with pytest.raises(ProtocolMisuseError):
        wrap(form, {"token": b"t", "key": b"k"})
    sent = {"__cmwc_t": collection_type(form.name), "key": [key.media_type, b"k"]}
    with pytest.raises(MalformedError, match="vouches"):
        unwrap_untrusted(form, encode(sent))


def test_a_record_of_one_part_is_its_bytes() -> None:
    assert wrap(SIMULATED, {"evidence": b"bytes"}) == b"bytes"
    assert unwrap_untrusted(SIMULATED, b"bytes") == {"evidence": b"bytes"}
    with pytest.raises(MalformedError, match="empty"):
        unwrap_untrusted(SIMULATED, b"")


def test_only_parts_of_the_kind_are_wrapped() -> None:
    with pytest.raises(ProtocolMisuseError):
        wrap(SNP, {"quote": b""})
    with pytest.raises(ProtocolMisuseError):
        wrap(SNP, {})
    with pytest.raises(ProtocolMisuseError):
        wrap(SNP, {"report": b"r", "crl": b""})


@pytest.mark.parametrize(
    "items",
    [
        {"report": [BINARY, b"r"]},
        TYPE,
        TYPE | {"quote": [BINARY, b"q"]},
        TYPE | {1: [BINARY, b"q"]},
        TYPE | {"report": [BINARY, b"r", 4]},
        TYPE | {"report": [BINARY]},
        TYPE | {"report": [BINARY, "r"]},
        TYPE | {"report": b"r"},
        TYPE | {"report": [BINARY, b""]},
        TYPE | {"report": [BINARY, b"r"], "crl": [CRL, b""]},
        TYPE | {"report": ["application/json", b"r"]},
        TYPE | {"report": [1, b"r"]},
        {"__cmwc_t": collection_type("tdx"), "report": [BINARY, b"r"]},
        {"__cmwc_t": 1, "report": [BINARY, b"r"]},
        [TYPE],
        CBORTag(18, []),
    ],
)
def test_other_collections_are_refused(items: object) -> None:
    with pytest.raises(MalformedError):
        unwrap_untrusted(SNP, encode(items))  # type: ignore[arg-type]


def test_one_kind_is_not_read_as_another() -> None:
    with pytest.raises(MalformedError):
        unwrap_untrusted(TDX, wrap(SNP, {"report": b"r"}))


def test_its_size_is_bounded() -> None:
    with pytest.raises(MalformedError):
        unwrap_untrusted(SNP, wrap(SNP, {"report": bytes(MAX_WRAPPED_EVIDENCE)}))


@given(data=st.binary(max_size=200))
def test_garbage_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        unwrap_untrusted(SNP, data)
