"""TPM evidence: with one fault each, and each is refused for that fault."""

import hashlib
import random
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import AppraisalError, AuthenticationError, MalformedError, RemoteError, UnsupportedError
from schemas.kinds import Tier
from tests.support.mutations import mutate
from tests.synthetic import tpm as made
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.pki import issue
from tests.synthetic.tpm import BOOT, MEASURED, NONCE, booted, event_log, key, measurements, pcrs, tpm
from verifier.evidence.examination import Examination
from verifier.evidence.interface import TeeClaims

KINDS = [
    ("p256", "ecdsa", "sha256"),
    ("p384", "ecdsa", "sha384"),
    ("rsa2048", "rsassa", "sha256"),
    ("rsa2048", "rsapss", "sha256"),
    ("rsa2048", "rsapss", "sha512"),
    ("rsa3072", "rsassa", "sha384"),
]


@pytest.mark.parametrize(("kind", "scheme", "hashed"), KINDS)
def test_genuine(kind: str, scheme: str, hashed: str) -> None:
    examination = Examination()
    claims = tpm(kind, scheme, hashed).appraise(examination)
    assert (claims.tier, claims.debug, claims.opaque, claims.tcb_status) == (Tier.TPM, False, False, None)
    assert claims.chip == hashlib.sha256(made.spki(key(kind))).digest()
    assert (claims.measurement, claims.earlier, claims.report_data) == (MEASURED[1], MEASURED[:1], NONCE)
    assert examination.signature == "valid"
    assert all(line.holds for line in examination.lines)


def test_claims() -> None:
    said = tpm().appraise().claims
    quote, ak = said["quote"], said["ak"]
    assert isinstance(quote, dict)
    assert isinstance(ak, dict)
    assert (quote["clock"], quote["reset_count"], quote["restart_count"], quote["safe"]) == (12345, 3, 1, True)
    assert (quote["firmware_version"], quote["banks"]) == (0x20240101, ("sha256",))
    assert (ak["type"], ak["bits"], ak["endorsed"]) == ("ecc", 256, False)
    assert ak["declared"] == {
        "name": b"\0\x0b" + hashlib.sha256(tpm().parts["ak"]).digest(),
        "attributes": ("fixedTPM", "fixedParent", "sensitiveDataOrigin", "restricted", "sign"),
    }
    assert said["pcrs"] == {"sha256": {str(index): value for index, value in pcrs().items()}}
    assert said["eventlog"] == {"banks": ("sha256",), "pcrs": (0, 4, 7), "secure_boot": True}
    assert (said["agent_pcr"], said["measurements"]) == (15, MEASURED)


def test_measurement_without_a_list_is_the_digest() -> None:
    claims = tpm().without("measurements").without("eventlog").appraise()
    flat = b"".join(pcrs()[index] for index in sorted(pcrs()))
    assert (claims.measurement, claims.earlier) == (hashlib.sha256(flat).digest(), ())
    assert "eventlog" not in claims.claims


def test_several_banks_in_order_of_the_selection() -> None:
    values = {"sha384": booted("sha384"), "sha256": pcrs()}
    exhibit = tpm(values=values).with_part("eventlog", event_log(banks=("sha256", "sha384")))
    assert exhibit.appraise().claims["eventlog"]["banks"] == ("sha384", "sha256")  # type: ignore[index,call-overload]


def test_sha1_bank_is_noted() -> None:
    examination = Examination()
    exhibit = tpm(values={"sha1": booted("sha1")}).without("measurements")
    said = exhibit.with_part("eventlog", event_log(banks=("sha1",))).appraise(examination).claims["eventlog"]
    assert said["secure_boot"] is None  # type: ignore[index,call-overload]
    assert any(line.finding.claim == "tpm.pcrs.sha1" for line in examination.lines)


# The attestation key


def test_forms_of_the_key() -> None:
    exhibit = tpm()
    area, private = exhibit.parts["ak"], key()
    forms = [area, made.sized(area), made.pem(private), made.spki(private), certificate()]
    assert len({exhibit.with_part("ak", form).appraise().chip for form in forms}) == 1


def certificate(pem: bool = False) -> bytes:
    return issue("a TPM", key(), ca=False).certificate.public_bytes(Encoding.PEM if pem else Encoding.DER)


def test_a_key_without_public_area_is_noted() -> None:
    examination = Examination()
    exhibit = tpm(ak=certificate(pem=True))
    assert exhibit.appraise(examination).claims["ak"]["declared"] is None  # type: ignore[index,call-overload]
    assert any("not given" in line.finding.found for line in examination.lines if line.finding.claim.endswith("butes"))


@pytest.mark.parametrize(
    "attributes",
    [
        made.ATTRIBUTES & ~made.RESTRICTED,
        made.ATTRIBUTES & ~made.SIGN,
        made.ATTRIBUTES & ~made.FIXED_TPM,
        made.ATTRIBUTES & ~made.FIXED_PARENT,
        made.ATTRIBUTES & ~made.ORIGIN,
        made.ATTRIBUTES | made.DECRYPT,
        0,
    ],
)
def test_a_key_that_can_sign_what_no_tpm_made(attributes: int) -> None:
    examination = Examination()
    with pytest.raises(AppraisalError):
        tpm(attributes=attributes).appraise(examination)
    assert examination.signature == "unchecked"


def test_a_key_of_another_scheme() -> None:
    area = made.public_area(key("rsa2048"), scheme=made.with_scheme("rsapss", "sha256"))
    with pytest.raises(AppraisalError):
        tpm("rsa2048", "rsassa", ak=area).appraise()
    assert tpm("rsa2048", "rsassa", ak=made.public_area(key("rsa2048"))).appraise()


def test_an_endorsed_key() -> None:
    area = tpm().parts["ak"]
    chip = hashlib.sha256(made.spki(key())).hexdigest()
    said = tpm(folder={f"tpm/ak/{chip}": made.pem(key())}).appraise().claims["ak"]
    assert said["endorsed"] is True  # type: ignore[index,call-overload]
    other = tpm(folder={f"tpm/ak/{chip}": made.pem(key(name="other"))}, ak=area)
    assert other.appraise().claims["ak"]["endorsed"] is False  # type: ignore[index,call-overload]


@pytest.mark.parametrize("ak", [made.public_area(key("rsa1024")), made.pem(key("rsa1024")), made.pem(key("p521"))])
def test_keys_that_are_not_accepted(ak: bytes) -> None:
    with pytest.raises(UnsupportedError):
        tpm(ak=ak).appraise()


def test_a_point_off_the_curve() -> None:
    area = tpm().parts["ak"]
    with pytest.raises(MalformedError):
        tpm(ak=area[:-1] + bytes([area[-1] ^ 1])).appraise()


# The signature


@pytest.mark.parametrize(("kind", "scheme", "hashed"), KINDS)
def test_wrong_key(kind: str, scheme: str, hashed: str) -> None:
    examination = Examination()
    with pytest.raises(AuthenticationError):
        tpm(kind, scheme, hashed, signer=key(kind, "other")).appraise(examination)
    assert examination.signature == "invalid"


@pytest.mark.parametrize(("kind", "other"), [("p256", "rsa2048"), ("rsa2048", "p256")])
def test_signature_of_another_kind_of_key(kind: str, other: str) -> None:
    exhibit = tpm(kind)
    with pytest.raises(AuthenticationError):
        exhibit.with_part("sig", tpm(other).parts["sig"]).appraise()


@pytest.mark.parametrize("kind", ["p256", "rsa2048"])
def test_sha1_signatures_are_refused(kind: str) -> None:
    exhibit = tpm(kind)
    scheme = "ecdsa" if kind == "p256" else "rsassa"
    signed = made.sign(key(kind), exhibit.parts["quote"], scheme, "sha1")
    with pytest.raises(UnsupportedError):
        exhibit.with_part("sig", signed).appraise()


@pytest.mark.parametrize("scheme", [0x0000, 0x0010, 0x0005, 0x001A, 0x001B])
def test_other_schemes_are_refused(scheme: int) -> None:
    with pytest.raises(UnsupportedError):
        tpm().with_part("sig", scheme.to_bytes(2, "big") + tpm().parts["sig"][2:]).appraise()


# The quote


def test_not_made_by_a_tpm() -> None:
    with pytest.raises(MalformedError):
        tpm(magic=b"\xffTCH").appraise()


@pytest.mark.parametrize("attested", [0x8014, 0x8017, 0x8019, 0x0000])
def test_attestations_of_other_things(attested: int) -> None:
    with pytest.raises(UnsupportedError):
        tpm(attested=attested).appraise()


def test_neither_yes_nor_no() -> None:
    with pytest.raises(MalformedError):
        tpm(safe=2).appraise()


def test_another_nonce_is_seen() -> None:
    assert tpm(nonce=b"other").appraise().report_data == b"other"


def test_selections_that_are_refused() -> None:
    exhibit = tpm()
    whole = made.selection({"sha256": sorted(pcrs())})
    twice = b"\0\0\0\2" + whole[4:] * 2
    none = made.selection({"sha256": []})
    unknown = whole[:4] + b"\0\x12" + whole[6:]
    long = whole[:6] + b"\5" + whole[7:] + b"\0\0"
    for each, error in (
        (twice, MalformedError),
        (none, MalformedError),
        (unknown, UnsupportedError),
        (long, MalformedError),
    ):
        with pytest.raises(error):
            exhibit.with_part("quote", exhibit.parts["quote"].replace(whole, each)).appraise()


@pytest.mark.parametrize("name", ["quote", "sig", "ak", "pcrs", "measurements"])
def test_cut_short_or_longer(name: str) -> None:
    exhibit = tpm()
    part = exhibit.parts[name]
    for changed in [part[:size] for size in range(len(part))] + [part + b"\0", part + b"x", b"\0" + part]:
        with pytest.raises(RemoteError):
            exhibit.with_part(name, changed).appraise()


def test_bit_flips_in_what_is_signed() -> None:
    exhibit = tpm()
    quote = exhibit.parts["quote"]
    for at in range(len(quote) * 8):
        changed = bytearray(quote)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(RemoteError):
            exhibit.with_part("quote", bytes(changed)).appraise()


def test_bit_flips_in_the_key() -> None:
    exhibit = tpm()
    ak = exhibit.parts["ak"]
    (unsigned, _), *_ = exhibit.unsigned["ak"]
    for at in range(len(ak) * 8):
        changed = bytearray(ak)
        changed[at // 8] ^= 1 << at % 8
        if at // 8 not in unsigned:
            with pytest.raises(RemoteError):
                exhibit.with_part("ak", bytes(changed)).appraise()


@pytest.mark.parametrize("name", ["quote", "sig", "pcrs"])
def test_parts_that_are_required(name: str) -> None:
    with pytest.raises(MalformedError):
        tpm().without(name).appraise()


def test_an_ak_is_required() -> None:
    with pytest.raises(MalformedError):
        tpm().without("ak").appraise()


def outcome(exhibit: Exhibit) -> TeeClaims | None:
    try:
        return exhibit.appraise()
    except RemoteError:
        return None


@pytest.mark.parametrize("name", ["quote", "sig", "pcrs", "measurements", "eventlog"])
def test_no_mutation_changes_what_is_claimed(name: str) -> None:
    """What is in no signature may read the same (hexadecimal in capitals), or say less (data of events)."""
    exhibit, rng = tpm(), random.Random(20261123)
    genuine = exhibit.appraise()
    less = replace(genuine, claims={**genuine.claims, "eventlog": {**genuine.claims["eventlog"], "secure_boot": None}})  # type: ignore[dict-item]
    refused = 0
    for _ in range(400):
        found = outcome(exhibit.with_part(name, mutate(exhibit.parts[name], rng).data))
        refused += found is None
        assert found in (None, genuine, less)
    assert refused > (100 if name == "eventlog" else 350)


@settings(deadline=None)
@given(st.sampled_from(["quote", "sig", "pcrs", "ak", "eventlog", "measurements"]), st.binary(max_size=256))
def test_any_bytes(name: str, data: bytes) -> None:
    exhibit = tpm()
    assert outcome(exhibit.with_part(name, data)) is None
    for prefix in (exhibit.parts[name][:12], b"-----BEGIN ", b"{"):
        outcome(exhibit.with_part(name, prefix + data))


def test_the_other_boot() -> None:
    """A log of another boot, with quoted values that are right."""
    with pytest.raises(AppraisalError):
        tpm().with_part("eventlog", event_log((*BOOT, (4, 1, b"one more")))).appraise()
    with pytest.raises(AppraisalError):
        tpm().with_part("eventlog", event_log(BOOT[:-1])).appraise()
    with pytest.raises(UnsupportedError):
        tpm().with_part("eventlog", event_log(banks=("sha384",))).appraise()
    with pytest.raises(UnsupportedError):
        tpm().with_part("eventlog", event_log(((9, 1, b"not quoted"),))).appraise()


@pytest.mark.parametrize(
    ("digests", "index"),
    [(MEASURED[:1], 15), (MEASURED[::-1], 15), ((*MEASURED, MEASURED[0]), 15), (MEASURED, 14), (MEASURED, 16)],
)
def test_measurements_that_explain_nothing(digests: tuple[bytes, ...], index: int) -> None:
    with pytest.raises(AppraisalError):
        tpm().with_part("measurements", measurements(digests, index)).appraise()


@pytest.mark.parametrize("index", [16, 23])
def test_measurements_in_a_pcr_that_can_be_reset(index: int) -> None:
    values = {"sha256": {index: made.extended("sha256", *MEASURED)}}
    exhibit = tpm(values=values).without("eventlog").with_part("measurements", measurements(index=index))
    with pytest.raises(AppraisalError, match="can be reset"):
        exhibit.appraise()


@pytest.mark.parametrize("data", [b"", b"\x0f", b"\x0f" + b"d" * 31, b"\x0f" + b"d" * 33, b"\x0f" + b"d" * 32 * 1025])
def test_not_a_list_of_measurements(data: bytes) -> None:
    with pytest.raises(MalformedError):
        tpm().with_part("measurements", data).appraise()


def with_secure_boot(*events: tuple[int, int, bytes]) -> object:
    values = {"sha256": booted(events=events)}
    exhibit = tpm(values=values).without("measurements").with_part("eventlog", event_log(events))
    return exhibit.appraise().claims["eventlog"]["secure_boot"]  # type: ignore[index,call-overload]


def test_secure_boot() -> None:
    on, off = made.variable(b"\1"), made.variable(b"\0")
    assert with_secure_boot(BOOT[0], (7, made.EV_VARIABLE, on)) is True
    assert with_secure_boot(BOOT[0], (7, made.EV_VARIABLE, off)) is False
    assert with_secure_boot(BOOT[0], (7, made.EV_VARIABLE, made.variable(b""))) is False
    assert with_secure_boot(BOOT[0], (7, made.EV_VARIABLE, off), (7, made.EV_VARIABLE, on)) is False
    assert with_secure_boot(BOOT[0], (7, 1, b"something else"), (7, made.EV_VARIABLE, on)) is None
    assert with_secure_boot(BOOT[0], (7, made.EV_VARIABLE, made.variable(name="SetupMode"))) is None
    assert with_secure_boot(BOOT[0], (4, 1, b"PCR 7 was not extended")) is None


def test_data_of_an_event_that_was_not_hashed_says_nothing() -> None:
    log = event_log().replace(made.variable(b"\1"), made.variable(b"\0"))
    said = tpm().with_part("eventlog", log).appraise().claims["eventlog"]
    assert said["secure_boot"] is None  # type: ignore[index,call-overload]


@pytest.mark.parametrize("pcrs", [b'{"\\ud800": {"0": "00"}}', b'{"sha256": {"\\ud800": "00"}}', b'{"\\ud800": "00"}'])
def test_what_is_said_of_odd_names_can_be_sent(pcrs: bytes) -> None:
    with pytest.raises(RemoteError) as caught:
        tpm().with_part("pcrs", pcrs).appraise()
    assert caught.value.diagnostics.encode().isascii()
