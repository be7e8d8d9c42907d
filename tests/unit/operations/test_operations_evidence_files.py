"""Evidence from NAME=FILE arguments: what a name means, and what containers hold."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ConfigurationError, MalformedError, RemoteError
from schemas.evidence import FORMATS
from sealedge.operations.evidence_files import KINDS, MAX_FILE, MAX_FOLDER_FILES, names_of, parts_of
from sealedge.operations.evidence_json import (
    QVL,
    binary_of,
    coco_quote_untrusted,
    coco_snp_untrusted,
    field_untrusted,
    qvl_untrusted,
)
from tests.synthetic.snp import ark, ask, leaf
from verifier.evidence.certificates import certificates_untrusted

BINARY = bytes(range(200, 256)) * 3


def write(folder: Path, name: str, data: bytes) -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind in FORMATS])
def test_every_part_by_its_name_and_the_first_as_evidence(tmp_path: Path, kind: str) -> None:
    file = write(tmp_path, "x", BINARY)
    for name in names_of(kind):
        assert parts_of(kind, [f"{name}={file}"]) == {name: BINARY}
    assert parts_of(kind, [f"evidence={file}"]) == {FORMATS[kind].parts[0].name: BINARY}
    assert parts_of("cmw", [f"evidence={file}", f"vcek={file}"]) == {"evidence": BINARY, "vcek": BINARY}


def test_jwk_is_the_key(tmp_path: Path) -> None:
    file = write(tmp_path, "x", b"{}")
    for kind in ("psa", "cca", "ear"):
        assert parts_of(kind, [f"jwk={file}"]) == {"key": b"{}"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["report"],
        ["report="],
        ["=x"],
        ["jwk={file}"],
        ["frobnicate={file}"],
        ["report={file}", "report={file}"],
        ["report={file}", "evidence={file}"],
        ["report={missing}"],
        ["report={folder}"],
        ["dir={file}"],
        ["dir={missing}"],
        ["dir={folder}"],
        ["field=quote"],
        ["report={file}", "field=quote"],
        ["report={large}"],
        ["\0={file}"],
    ],
    ids=str,
)
def test_arguments_that_cannot_be_used(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    places = {
        "file": write(tmp_path, "file", b"x"),
        "large": write(tmp_path, "large", bytes(MAX_FILE + 1)),
        "folder": str(tmp_path / "empty"),
        "missing": str(tmp_path / "none"),
    }
    with pytest.raises(ConfigurationError) as caught:
        parts_of("snp", [each.format(**places) for each in arguments])
    assert "\n" not in caught.value.diagnostics


def test_kinds_and_containers_that_do_not_go_together(tmp_path: Path) -> None:
    file = write(tmp_path, "x", b"{}")
    for kind, argument in (("frobnicate", f"report={file}"), ("psa", f"json={file}"), ("cmw", f"json={file}")):
        with pytest.raises(ConfigurationError):
            parts_of(kind, [argument])


@pytest.mark.parametrize(
    "spelt",
    [
        BINARY,
        BINARY.hex().encode(),
        b"0x" + BINARY.hex().upper().encode() + b"\n",
        base64.b64encode(BINARY),
        base64.urlsafe_b64encode(BINARY).rstrip(b"="),
        base64.encodebytes(BINARY),
    ],
    ids=["raw", "hex", "0x", "base64", "base64url", "lines"],
)
def test_binary_evidence_as_text(tmp_path: Path, spelt: bytes) -> None:
    assert binary_of(spelt) == BINARY
    assert parts_of("snp", [f"report={write(tmp_path, 'x', spelt)}"]) == {"report": BINARY}


@given(data=st.binary())
def test_binary_evidence_is_left_alone(data: bytes) -> None:
    """Whatever begins with a byte that is no letter; and nothing raises."""
    assert binary_of(b"\xd2" + data) == b"\xd2" + data
    binary_of(data)


def test_certificates_are_left_alone(tmp_path: Path) -> None:
    file = write(tmp_path, "x", b"QUJD")
    assert parts_of("snp", [f"vcek={file}"]) == {"vcek": b"QUJD"}


def test_a_jwt_may_end_in_a_line_break(tmp_path: Path) -> None:
    assert parts_of("ear", [f"token={write(tmp_path, 'x', b'eyJ.e30.AA' + bytes([10]))}"]) == {"token": b"eyJ.e30.AA"}


class TestJson:
    def test_field(self, tmp_path: Path) -> None:
        file = write(tmp_path, "x", json.dumps({"a": {"quote": BINARY.hex()}}).encode())
        assert parts_of("tdx", [f"json={file}", "field=a.quote"]) == {"quote": BINARY}
        assert parts_of("nitro", [f"json={file}", "field=a.quote"]) == {"doc": BINARY}
        for field in ("a", "b", "a.quote.x", "."):
            with pytest.raises(MalformedError):
                parts_of("tdx", [f"json={file}", f"field={field}"])

    def test_confidential_containers_snp(self) -> None:
        text = {
            name: base64.b64encode(each.der).decode()
            for name, each in (("vcek", leaf()), ("ask", ask()), ("ark", ark()))
        }
        report = {"attestation_report": base64.b64encode(BINARY).decode()}
        parts = coco_snp_untrusted(json.dumps({"evidence": {**report, "cert_chain": text}}).encode())
        assert parts["report"] == BINARY
        assert certificates_untrusted(parts["chain"], "chain") == (ask().certificate, ark().certificate)
        numbers = {"attestation_report": list(BINARY), "cert_chain": {"vcek": None}}
        assert coco_snp_untrusted(json.dumps(numbers).encode()) == {"report": BINARY}

    def test_quotes(self) -> None:
        text = base64.b64encode(BINARY).decode()
        assert coco_quote_untrusted(json.dumps({"quote": text, "cc_eventlog": text}).encode()) == {
            "quote": BINARY,
            "eventlog": BINARY,
        }
        assert coco_quote_untrusted(json.dumps({"quote": "0x" + BINARY.hex()}).encode()) == {"quote": BINARY}

    @given(
        data=st.binary(max_size=40)
        | st.recursive(
            st.none() | st.text(max_size=5) | st.integers(-1, 300) | st.floats(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        ["evidence", "quote", "cc_eventlog", "attestation_report", "cert_chain", "vcek", "ask"]
                    ),
                    inner,
                    max_size=4,
                )
            ),
        ).map(lambda value: json.dumps(value).encode())
    )
    def test_arbitrary(self, data: bytes) -> None:
        for opened in (coco_snp_untrusted, coco_quote_untrusted, lambda found: {"": field_untrusted(found, "a.b")}):
            try:
                assert all(isinstance(each, bytes) for each in opened(data).values())
            except RemoteError as error:
                assert isinstance(error, MalformedError)  # noqa: PT017 - parts, or this


class TestFolders:
    def test_files_named_after_the_parts(self, tmp_path: Path) -> None:
        for name in ("report.bin", "vcek.der", "chain.pem", "README.md"):
            write(tmp_path, name, BINARY)
        assert parts_of("snp", [f"dir={tmp_path}"]) == dict.fromkeys(("report", "vcek", "chain"), BINARY)
        other = write(tmp_path, "other", b"\xff")
        assert parts_of("snp", [f"dir={tmp_path}", f"report={other}"])["report"] == b"\xff"

    def test_intels_samples(self, tmp_path: Path) -> None:
        names = {name for sources in QVL.values() for name in sources}
        for name in names:
            write(tmp_path, name, name.encode())
        parts = parts_of("sgx", [f"dir={tmp_path}"])
        assert parts.keys() == QVL.keys()
        assert parts["pck_chain"] == b"pckCert.pem\npckSignChain.pem"
        assert parts["root_crl"] == b"rootCaCrl.der"
        assert qvl_untrusted({}) == {}

    def test_go_tpm_tools(self, tmp_path: Path) -> None:
        for name in ("quote_sha1.tpms_attest", "quote_sha256.tpms_attest", "quote_sha256.tpmt_signature"):
            write(tmp_path, name, name.encode())
        with pytest.raises(MalformedError):
            parts_of("tpm", [f"dir={tmp_path}"])
        for name in ("pcrs_sha256.json", "ak.pem"):
            write(tmp_path, name, name.encode())
        assert parts_of("tpm", [f"dir={tmp_path}"])["quote"] == b"quote_sha256.tpms_attest"

    def test_too_many_files(self, tmp_path: Path) -> None:
        for number in range(MAX_FOLDER_FILES + 1):
            write(tmp_path, str(number), b"")
        with pytest.raises(ConfigurationError):
            parts_of("snp", [f"dir={tmp_path}"])
