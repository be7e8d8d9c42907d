"""PSA tokens in three profiles: whose key, whose claims, and what is missing."""

import hashlib
from functools import cache
from typing import Any

import pytest
from cbor2 import CBORTag, dumps, loads
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from protocol.cbor import encode
from protocol.errors import AppraisalError, AuthenticationError, MalformedError, RemoteError, UnsupportedError
from schemas.kinds import Tier
from schemas.reason import Reason
from tests.synthetic.cose import ec_key, pem
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.psa import ABSENT, COMPONENTS, INSTANCE_ID, NONCE, PROFILES, device_key, psa
from verifier.evidence.examination import Examination
from verifier.evidence.psa_claims import DRAFT, RFC9783

CURRENT = ("rfc9783", "draft")

# RFC 9783, appendix A.1: the token that the document shows, and the key that it is signed with.
RFC_TOKEN = bytes.fromhex(
    "d28443a10126a058faa8190100582101020202020202020202020202020202020202020202020202020202020202020219095c5820"
    "00000000000000000000000000000000000000000000000000000000000000000a5820010101010101010101010101010101010101"
    "010101010101010101010101010119095a1a7fffffff19095b19300019010978217461673a7073616365727469666965642e6f7267"
    "2c323032333a7073612374666d19095d48000000000000000019095f81a20558200404040404040404040404040404040404040404"
    "0404040404040404040404040258200303030303030303030303030303030303030303030303030303030303030303" + "5840"
    "2f4c8152ed1691833eebb6a182d2120e3d19220df85b9ac51109113a423fa024205ceda0815968548de4fbb6dc94b88c916f0d266e"
    "64cea24183a84f977de475"
)
RFC_KEY = (
    b'{"kty": "EC", "crv": "P-256", "alg": "ES256", "x": "Tl4iCZ47zrRbRG0TVf0dw7VFlHtv18HInYhnmMNybo8", '
    b'"y": "gNcLhAslaqw0pi7eEEM2TwRAlfADR0uR4Bggkq-xPy4"}'
)


@cache
def valid(profile: str = "rfc9783") -> Exhibit:
    return psa(profile)


def refused(exhibit: Exhibit, error: type[RemoteError], reason: Reason, signature: str) -> Examination:
    examination = Examination()
    with pytest.raises(error) as caught:
        exhibit.appraise(examination)
    assert (caught.value.reason, examination.signature) == (reason, signature)
    return examination


def test_the_token_of_the_rfc() -> None:
    exhibit = valid().with_part("token", RFC_TOKEN).with_part("key", RFC_KEY)
    examination = Examination()
    tee = exhibit.appraise(examination)
    assert examination.signature == "valid"
    assert (tee.report_data, tee.debug) == (b"\x01" * 32, False)
    assert tee.measurement == hashlib.sha256(encode([[b"\x03" * 32, b"\x04" * 32]])).digest()
    assert tee.claims["client_id"] == 2147483647
    assert tee.claims["lifecycle"] == 12288
    assert tee.claims["profile"] == RFC9783


@pytest.mark.parametrize("profile", PROFILES)
def test_what_a_device_signed(profile: str) -> None:
    examination = Examination()
    tee = valid(profile).appraise(examination)
    assert examination.signature == "valid"
    assert all(line.holds for line in examination.lines)
    assert (tee.tier, tee.report_data, tee.debug) == (Tier.PSA, NONCE, False)
    assert tee.chip == hashlib.sha256(INSTANCE_ID).digest()
    assert tee.measurement == hashlib.sha256(encode([[each[2], each[5]] for each in COMPONENTS])).digest()
    assert tee.claims["lifecycle_state"] == "secured"
    assert tee.claims["implementation_id"] == b"\x44" * 32
    components = tee.claims["software_components"]
    assert isinstance(components, tuple)
    assert components[1] == {"measurement_type": "PRoT", "measurement_value": b"\x33" * 48, "signer_id": b"\x22" * 48}


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_keys_of_each_curve(curve: str) -> None:
    key = ec_key(5, curve)
    assert psa(signer=key, enrolled={INSTANCE_ID: key}).appraise().tier is Tier.PSA


def test_a_key_beside_the_token_wins_over_the_folder() -> None:
    other = ec_key(6)
    assert psa(signer=other, key=pem(other)).appraise().tier is Tier.PSA
    refused(psa(key=pem(other)), AuthenticationError, Reason.SIGNATURE_INVALID, "invalid")


def test_a_device_that_nobody_enrolled() -> None:
    refused(psa(enrolled={}), AuthenticationError, Reason.UNKNOWN_SIGNER, "unchecked")
    other = b"\x01" + bytes(32)
    refused(psa(enrolled={other: device_key()}), AuthenticationError, Reason.UNKNOWN_SIGNER, "unchecked")


@pytest.mark.parametrize("profile", PROFILES)
def test_a_device_cannot_speak_for_another(profile: str) -> None:
    """Both are enrolled; one signs with its own key what names the other."""
    other, label = b"\x01" + bytes(32), -75009 if profile == "older" else 256
    enrolled = {INSTANCE_ID: device_key(), other: ec_key(7)}
    exhibit = psa(profile, changed={label: other}, enrolled=enrolled)
    refused(exhibit, AuthenticationError, Reason.SIGNATURE_INVALID, "invalid")


def test_the_instance_that_finds_the_key_is_the_one_that_is_reported() -> None:
    """A claims set may hold labels of both numberings; only one of them counts."""
    other = b"\x01" + bytes(32)
    for profile, label in (("rfc9783", -75009), ("older", 256)):
        tee = psa(profile, changed={label: other}).appraise()
        assert tee.chip == hashlib.sha256(INSTANCE_ID).digest()


def test_signatures_and_keys_that_do_not_fit() -> None:
    refused(psa(signer=ec_key(8)), AuthenticationError, Reason.SIGNATURE_INVALID, "invalid")
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    spki = rsa_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    refused(psa(key=spki), UnsupportedError, Reason.UNSUPPORTED, "unchecked")
    refused(psa(key=b"key"), MalformedError, Reason.MALFORMED, "unchecked")
    refused(psa(key=pem(ec_key(1, "P-384"))), AuthenticationError, Reason.SIGNATURE_INVALID, "unchecked")


@pytest.mark.parametrize(
    ("lifecycle", "state", "debug"),
    [
        (0x0000, "unknown", True),
        (0x10FF, "assembly-and-test", True),
        (0x2000, "rot-provisioning", True),
        (0x3000, "secured", False),
        (0x30FF, "secured", False),
        (0x4000, "non-rot-debug", True),
        (0x5001, "recoverable-rot-debug", True),
        (0x60FF, "decommissioned", True),
    ],
)
def test_whatever_is_not_secured_counts_as_debug(lifecycle: int, state: str, debug: bool) -> None:
    for profile, label in (("rfc9783", 2395), ("older", -75002)):
        tee = psa(profile, changed={label: lifecycle}).appraise()
        assert (tee.claims["lifecycle_state"], tee.debug) == (state, debug)


def changed_component(label: int, value: Any) -> list[dict[int, Any]]:
    component = {**COMPONENTS[0], label: value}
    return [COMPONENTS[1], {key: each for key, each in component.items() if each is not ABSENT}]


INCOMPLETE: dict[str, tuple[int, int, Any]] = {
    "no nonce": (10, -75008, ABSENT),
    "a nonce of 31 bytes": (10, -75008, bytes(31)),
    "two nonces": (10, -75008, [bytes(32), bytes(32)]),
    "no instance": (256, -75009, ABSENT),
    "an instance of 32 bytes": (256, -75009, b"\x01" + bytes(31)),
    "an instance of another type": (256, -75009, b"\x02" + bytes(32)),
    "no implementation": (2396, -75003, ABSENT),
    "an implementation of 33 bytes": (2396, -75003, bytes(33)),
    "an implementation of text": (2396, -75003, "x" * 32),
    "no client": (2394, -75001, ABSENT),
    "client 0": (2394, -75001, 0),
    "client true": (2394, -75001, True),
    "a client of 33 bits": (2394, -75001, 1 << 31),
    "no lifecycle": (2395, -75002, ABSENT),
    "a lifecycle of no state": (2395, -75002, 0x3100),
    "a lifecycle beyond": (2395, -75002, 0xFFFF),
    "a negative lifecycle": (2395, -75002, -1),
    "a lifecycle of text": (2395, -75002, "secured"),
    "a short boot seed": (2397, -75004, bytes(7)),
    "a long boot seed": (2397, -75004, bytes(33)),
    "a certificate of letters": (2398, -75005, "a234567890123-12345"),
    "an empty service": (2400, -75010, ""),
    "a service of bytes": (2400, -75010, b"x"),
    "no components": (2399, -75006, ABSENT),
    "an empty list of components": (2399, -75006, []),
    "65 components": (2399, -75006, [COMPONENTS[0]] * 65),
    "components in a map": (2399, -75006, {0: COMPONENTS[0]}),
    "a component of bytes": (2399, -75006, [b"component"]),
    "a component without a value": (2399, -75006, changed_component(2, ABSENT)),
    "a component with a short value": (2399, -75006, changed_component(2, bytes(20))),
    "a component without a signer": (2399, -75006, changed_component(5, ABSENT)),
    "a component with a short signer": (2399, -75006, changed_component(5, bytes(31))),
    "a component with a version of bytes": (2399, -75006, changed_component(4, b"1")),
    "a component with an empty type": (2399, -75006, changed_component(1, "")),
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("fault", INCOMPLETE.values(), ids=INCOMPLETE)
def test_a_genuine_token_that_says_too_little(profile: str, fault: tuple[int, int, Any]) -> None:
    label = fault[1] if profile == "older" else fault[0]
    exhibit = psa(profile, changed={label: fault[2]}, key=pem(device_key()))
    examination = refused(exhibit, AppraisalError, Reason.EVIDENCE_INVALID, "valid")
    assert not examination.lines[-1].holds


def test_what_may_be_missing() -> None:
    for profile, labels in (("rfc9783", (2397, 2398, 2400)), ("older", (-75000, -75005, -75010))):
        tee = psa(profile, changed=dict.fromkeys(labels, ABSENT)).appraise()
        assert not {"certification_reference", "verification_service"} & tee.claims.keys()
    examination = refused(psa("older", changed={-75004: ABSENT}), AppraisalError, Reason.EVIDENCE_INVALID, "valid")
    assert examination.lines[-1].finding.claim == "token.boot_seed"


def test_the_older_profile_may_say_that_it_measures_nothing() -> None:
    tee = psa("older", changed={-75006: ABSENT, -75007: 1}).appraise()
    assert tee.claims["software_components"] == ()
    assert tee.measurement == hashlib.sha256(b"\x80").digest()
    for faults in ({-75007: 1}, {-75006: ABSENT, -75007: 2}, {-75006: ABSENT, -75007: True}):
        refused(psa("older", changed=faults), AppraisalError, Reason.EVIDENCE_INVALID, "valid")


@pytest.mark.parametrize("profile", ["http://arm.com/CCA-SSD/1.0.0", "PSA_IOT_PROFILE_1", "", b"\x01", 1, None, [], {}])
def test_another_profile(profile: Any) -> None:
    refused(psa(changed={265: profile}), UnsupportedError, Reason.UNSUPPORTED, "valid")


@pytest.mark.parametrize("profile", CURRENT)
def test_the_profile_is_the_only_claim_that_tells_them_apart(profile: str) -> None:
    assert psa(profile).appraise().claims["profile"] == {"rfc9783": RFC9783, "draft": DRAFT}[profile]


def test_claims_that_no_profile_has_are_ignored_and_counted() -> None:
    examination = Examination()
    psa(changed={99999: "x", "note": "\x1b[2J"}).appraise(examination)
    found = [line.finding.found for line in examination.lines if line.finding.claim == "token.other-claims"]
    assert len(found) == 1
    assert found[0].startswith("2: ")
    assert found[0].isprintable()


@pytest.mark.parametrize(
    "payload", [b"", b"\x80", b"\xa1\x01", b"\xa0\x00", dumps(CBORTag(43707, {})), b"\xa2\x01\x01\x01\x02"]
)
def test_a_genuine_signature_over_what_is_no_claims_set(payload: bytes) -> None:
    beside = psa(payload=payload, key=pem(device_key()))
    refused(beside, AppraisalError, Reason.EVIDENCE_INVALID, "valid")
    refused(psa(payload=payload), MalformedError, Reason.MALFORMED, "unchecked")


def test_an_algorithm_that_is_not_given_is_the_key_s() -> None:
    """As TF-M's own tools write and read it."""
    for cose in ({"protected": b""}, {"protected": b"\xa0"}, {"protected": b"", "unprotected": {1: -7}}):
        assert psa(cose=cose).appraise().tier is Tier.PSA
    refused(psa(cose={"protected": dumps({1: -35})}), AuthenticationError, Reason.SIGNATURE_INVALID, "unchecked")


def test_macs_and_other_messages_are_refused() -> None:
    for tag in (17, 16, 98):
        refused(psa(cose={"tag": tag}), UnsupportedError, Reason.UNSUPPORTED, "unchecked")
    refused(psa(cose={"tag": None}), MalformedError, Reason.MALFORMED, "unchecked")
    refused(valid().without("token"), MalformedError, Reason.MALFORMED, "unchecked")


@pytest.mark.parametrize("profile", PROFILES)
def test_a_flipped_bit_anywhere_is_refused(profile: str) -> None:
    exhibit = valid(profile)
    token = exhibit.parts["token"]
    for at in range(len(token)):
        flipped = token[:at] + bytes([token[at] ^ 1 << at % 8]) + token[at + 1 :]
        with pytest.raises(RemoteError):
            exhibit.with_part("token", flipped).appraise()


def test_no_other_length_is_accepted() -> None:
    token = valid().parts["token"]
    for changed in (*(token[:at] for at in range(len(token))), token + b"\x00", token + b"\n", token[1:], token * 2):
        with pytest.raises(MalformedError):
            valid().with_part("token", changed).appraise()


@given(st.binary(max_size=128), st.none() | st.binary(max_size=128))
def test_any_bytes_are_refused(token: bytes, key: bytes | None) -> None:
    exhibit = valid() if key is None else valid().with_part("key", key)
    with pytest.raises(RemoteError):
        exhibit.with_part("token", token).appraise()


LABELS = st.sampled_from([10, 256, 265, 2394, 2395, 2396, 2397, 2398, 2399, 2400, -75007, "x", -1])
CBOR = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), 1 << 63)
    | st.floats()
    | st.text(max_size=4)
    | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.integers(0, 6), inner, max_size=5),
    max_leaves=12,
)


@given(st.sampled_from(sorted(PROFILES)), st.dictionaries(LABELS, CBOR, max_size=4))
def test_any_claims_of_a_genuine_device_are_read_or_refused(profile: str, changed: dict[Any, Any]) -> None:
    exhibit = psa(profile, changed=changed, key=pem(device_key()))
    examination = Examination()
    try:
        tee = exhibit.appraise(examination)
    except RemoteError:
        pass
    else:
        assert len(tee.measurement) == 32
    assert examination.signature == "valid"


def test_the_payload_is_what_was_meant() -> None:
    """The builders above would hide a fault that the token does not have."""
    assert loads(loads(psa(changed={10: bytes(31)}).parts["token"]).value[2])[10] == bytes(31)
