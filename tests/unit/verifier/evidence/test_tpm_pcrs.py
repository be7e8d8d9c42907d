"""PCR values beside a quote, in each of their forms; and the forms in which others store TPM evidence."""

import base64
import hashlib
import json
from typing import Any

import pytest

from protocol.errors import AppraisalError, MalformedError, RemoteError
from tests.synthetic import tpm as made
from tests.synthetic.tpm import booted, pcrs, tpm, values_blob, values_json
from verifier.evidence.examination import Examination
from verifier.evidence.tpm_forms import parts_from_gce_folder, parts_from_trustee_json

BARE = ("measurements", "eventlog")


def bare(**quoted: Any) -> Any:
    exhibit = tpm(**quoted)
    for name in BARE:
        exhibit = exhibit.without(name)
    return exhibit


def flat(values: dict[int, bytes]) -> bytes:
    return json.dumps({str(index): value.hex() for index, value in values.items()}).encode()


def test_forms_of_the_values() -> None:
    exhibit = bare()
    genuine = exhibit.appraise()
    for form in (flat(pcrs()), b" \n" + flat(pcrs()), values_blob({"sha256": pcrs()}), values_json({"sha256": pcrs()})):
        assert exhibit.with_part("pcrs", form).appraise() == genuine


def test_a_blob_of_several_banks_and_lists() -> None:
    values = {"sha1": dict.fromkeys(range(11), b"1" * 20), "sha384": booted("sha384")}
    exhibit = bare(values=values)
    assert exhibit.with_part("pcrs", values_blob(values)).appraise() == exhibit.appraise()


@pytest.mark.parametrize(
    "values",
    [
        {index: value for index, value in pcrs().items() if index != 7},
        {**pcrs(), 8: b"8" * 32},
        {**pcrs(), 7: b"7" * 31},
        {**pcrs(), 7: b"7" * 33},
        {**pcrs(), 7: b"7" * 48},
    ],
)
def test_other_pcrs_or_sizes(values: dict[int, bytes]) -> None:
    for form in (values_json({"sha256": values}), flat(values), values_blob({"sha256": values})):
        with pytest.raises(MalformedError):
            bare().with_part("pcrs", form).appraise()


def test_bytes_do_not_move_from_one_pcr_to_the_next() -> None:
    values = pcrs()
    values[0], values[4] = values[0] + values[4][:1], values[4][1:]
    with pytest.raises(MalformedError):
        bare().with_part("pcrs", values_json({"sha256": values})).appraise()


def test_other_values() -> None:
    with pytest.raises(AppraisalError):
        bare().with_part("pcrs", values_json({"sha256": {**pcrs(), 7: b"7" * 32}})).appraise()
    with pytest.raises(AppraisalError):
        bare(digest=b"d" * 32).appraise()
    with pytest.raises(AppraisalError):
        bare(digest=b"").appraise()


def test_the_digest_is_under_the_hash_of_the_signature() -> None:
    everything = b"".join(pcrs()[index] for index in sorted(pcrs()))
    with pytest.raises(AppraisalError):
        bare(kind="p384", hashed="sha384", digest=hashlib.sha256(everything).digest()).appraise()


def test_values_alone_for_a_quote_of_two_banks() -> None:
    with pytest.raises(MalformedError):
        bare(values={"sha256": pcrs(), "sha1": booted("sha1")}).with_part("pcrs", flat(pcrs())).appraise()


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b"{",
        b'{"sha256": {}}',
        b'{"sha256": []}',
        b'{"md5": {"0": "00"}}',
        b'{"sha256": {"0": 1}}',
        b'{"sha256": {"00": "' + b"00" * 32 + b'"}}',
        b'{"sha256": {"-1": "' + b"00" * 32 + b'"}}',
        b'{"sha256": {"32": "' + b"00" * 32 + b'"}}',
        '{"sha256": {"²": "00"}}'.encode(),
        b'{"sha256": {"0": "' + b" 00" * 32 + b'"}}',
        b'{"0": NaN}',
        b"{" + b'"a":{' * 5000 + b"}" * 5001,
    ],
)
def test_not_values(data: bytes) -> None:
    with pytest.raises(MalformedError):
        bare().with_part("pcrs", data).appraise()


def test_a_value_twice() -> None:
    twice = values_json({"sha256": pcrs()}).replace(b'"0":', b'"0":"00","0":')
    with pytest.raises(MalformedError):
        bare().with_part("pcrs", twice).appraise()


def test_a_value_under_two_names() -> None:
    """JSON's escapes make two spellings of one key; they are one."""
    twice = values_json({"sha256": pcrs()}).replace(b'"0":', b'"\\u0030":"00","0":')
    with pytest.raises(MalformedError):
        bare().with_part("pcrs", twice).appraise()


@pytest.mark.slow
def test_every_byte_of_a_blob_counts() -> None:
    """Or reads the same: a bitmap one byte shorter, where that byte is zero."""
    blob, exhibit = values_blob({"sha256": pcrs()}), bare()
    genuine, same = exhibit.appraise(), []
    for at in range(len(blob) * 8):
        changed = bytearray(blob)
        changed[at // 8] ^= 1 << at % 8
        try:
            assert exhibit.with_part("pcrs", bytes(changed)).appraise() == genuine
            same.append(at // 8)
        except RemoteError:
            continue
    assert same == [6]


@pytest.mark.parametrize("tail", [b"\0", b"\0" * 532, b"x"])
def test_blobs_of_another_size(tail: bytes) -> None:
    blob = values_blob({"sha256": pcrs()})
    for changed in (blob + tail, blob[: -len(tail)], b"\xff" * len(blob), b"\1\0\0\0" + bytes(132)):
        with pytest.raises(RemoteError):
            bare().with_part("pcrs", changed).appraise()


def trustee(**replaced: object) -> bytes:
    exhibit = tpm("rsa2048", values={"sha256": {index: bytes([index]) * 32 for index in range(24)}})
    quoted = {
        "message": base64.b64encode(exhibit.parts["quote"]).decode(),
        "signature": base64.b64encode(exhibit.parts["sig"]).decode(),
        "pcrs": [(bytes([index]) * 32).hex() for index in range(24)],
    }
    ak = base64.b64encode(made.spki(made.key("rsa2048"))).decode()
    return json.dumps({"ak_public": ak, "tpm_quote": quoted} | replaced).encode()


def test_trustee_json() -> None:
    exhibit = tpm("rsa2048")
    parts = parts_from_trustee_json(trustee())
    claims = exhibit.appraiser.appraise_untrusted(parts, 0, Examination())
    assert claims.chip == exhibit.appraise().chip
    assert claims.claims["pcrs"]["sha256"]["23"] == b"\x17" * 32  # type: ignore[index,call-overload]


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"null", trustee(ak_public=1), trustee(ak_public="*"), trustee(tpm_quote=[]), trustee(tpm_quote={})],
)
def test_not_trustee_json(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parts_from_trustee_json(data)


def folder(*banks: str) -> dict[str, bytes]:
    files = {"ak.tpmt_public": tpm().parts["ak"], "ak.pem": made.pem(made.key()), "eventlog.bin": event_log_of(banks)}
    for bank in banks:
        parts = tpm(values={bank: booted(bank)}).parts
        files |= {f"quote_{bank}.tpms_attest": parts["quote"], f"quote_{bank}.tpmt_signature": parts["sig"]}
        files[f"pcrs_{bank}.json"] = flat(booted(bank))
    return files


def event_log_of(banks: tuple[str, ...]) -> bytes:
    return made.event_log(banks=banks or ("sha256",))


@pytest.mark.parametrize(
    ("banks", "chosen"), [(("sha1", "sha384", "sha256"), "sha256"), (("sha1", "sha384"), "sha384"), (("sha1",), "sha1")]
)
def test_folder(banks: tuple[str, ...], chosen: str) -> None:
    parts = parts_from_gce_folder(folder(*banks))
    claims = tpm().appraiser.appraise_untrusted(parts, 0, Examination())
    assert list(claims.claims["pcrs"]) == [chosen]  # type: ignore[arg-type]
    assert parts["ak"] == tpm().parts["ak"]


@pytest.mark.parametrize("name", ["quote_sha256.tpms_attest", "quote_sha256.tpmt_signature", "pcrs_sha256.json"])
def test_a_folder_that_is_not_whole(name: str) -> None:
    files = folder("sha256")
    del files[name]
    with pytest.raises(MalformedError):
        parts_from_gce_folder(files)


def test_a_folder_without_public_area_or_log() -> None:
    files = folder("sha256")
    del files["ak.tpmt_public"], files["eventlog.bin"]
    parts = parts_from_gce_folder(files)
    assert (parts["ak"], "eventlog" in parts) == (files["ak.pem"], False)
