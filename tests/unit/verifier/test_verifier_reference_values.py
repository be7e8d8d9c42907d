"""Reference values against claims: what a CoRIM says must hold whole, of this evidence, while the file is valid."""

from hashlib import sha256
from typing import Any

import pytest
from cbor2 import CBORTag

from protocol.cbor import encode
from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy
from tests.support.tee import MEASUREMENT, NOW, claims_of, policy_of, snp, tdx
from tests.synthetic.corim import SUPPLIER, comid, corim, measurement, signed, triple, unsigned
from tests.synthetic.cose import pem
from verifier.checks import deciding
from verifier.evidence.interface import TeeClaims
from verifier.judgement import judge
from verifier.policy import load_policy, policy_id
from verifier.reference_values import measurement_digest

OTHER = bytes([0xEE]) * 48
IMPLEMENTATION, INSTANCE = b"i" * 32, b"\x01" + b"u" * 32
LOADER, FIRMWARE, SIGNER = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32


def policy(*tags: Any, tier: Tier = Tier.NITRO, data: bytes | None = None) -> AppraisalPolicy:
    text = f'[tiers]\naccept = ["{tier}"]\n[reference_values]\ncorim_unsigned = ["a.corim"]'
    return load_policy(text, {"a.corim": unsigned(*tags) if data is None else data})


def known(tee: TeeClaims, *tags: Any) -> bool:
    """Whether a policy with this CoRIM alone knows the measurement."""
    checks = judge(tee, policy(*tags, tier=tee.tier), NOW)
    return next(check.holds for check in checks if check.finding.claim == "tee.measurement")


def by(*measurements: Any, environment: Any = None) -> Any:
    return comid(triple(*measurements, environment=environment))


def sha384(*digests: bytes, **fields: Any) -> Any:
    return measurement(*digests, algorithm=7, **fields)


def test_a_measurement_that_a_corim_lists_is_known_and_the_file_named() -> None:
    held = policy(by(sha384(MEASUREMENT)))
    (first, *_) = judge(claims_of(), held, NOW)
    assert first.holds
    assert first.finding.policy == f"{policy_id(held)} reference_values.corim a.corim comid-1"
    assert first.finding.expected == "those of a.corim"
    assert deciding(judge(claims_of(measurement=OTHER), held, NOW)) is not None


def test_the_policy_s_own_list_comes_first_and_either_is_enough() -> None:
    text = f'[tiers]\naccept = ["nitro"]\n[reference_values]\nmeasurements = ["{OTHER.hex()}"]\ncorim_unsigned = ["a"]'
    held = load_policy(text, {"a": unsigned(by(sha384(MEASUREMENT)))})
    lines = [next(judge(claims_of(measurement=each), held, NOW)).finding.policy for each in (OTHER, MEASUREMENT)]
    assert [line.split(" ", 1)[1] for line in lines] == [
        "reference_values.measurements",
        "reference_values.corim a comid-1",
    ]


@pytest.mark.parametrize(
    ("not_before", "not_after", "now", "holds"),
    [(10, 20, 9, False), (10, 20, 10, True), (10, 20, 20, True), (10, 20, 21, False)],
)
def test_values_count_within_the_document_s_window(not_before: int, not_after: int, now: int, holds: bool) -> None:
    held = policy(data=unsigned(by(sha384(MEASUREMENT)), n4={0: not_before, 1: not_after}))
    first = next(judge(claims_of(), held, float(now)))
    assert first.holds is holds
    assert first.finding.expected == ("those of a.corim" if holds else "those of a.corim (not valid now)")


def test_a_signed_corim_is_believed_by_the_policy_s_key() -> None:
    text = '[tiers]\naccept = ["nitro"]\n[reference_values]\ncorim = ["a"]\ncorim_keys = ["k"]'
    files = {"a": signed(corim(by(sha384(MEASUREMENT)))), "k": pem(SUPPLIER)}
    held = load_policy(text, files)
    assert deciding(judge(claims_of(), held, NOW)) is None
    assert deciding(judge(claims_of(), held, NOW + 101)) is not None
    changed = load_policy(text, {**files, "a": signed(corim(by(sha384(MEASUREMENT, OTHER))))})
    assert policy_id(held) != policy_id(changed)


def test_all_measurements_of_a_triple_must_hold() -> None:
    assert known(snp(), by(sha384(MEASUREMENT), measurement(n1=3)))
    assert not known(snp(), by(sha384(MEASUREMENT), measurement(n1=4)))
    assert not known(claims_of(), by(sha384(MEASUREMENT), measurement(n1=3)))
    # Two triples are two alternatives.
    assert known(snp(), comid(triple(sha384(MEASUREMENT), measurement(n1=4)), triple(sha384(MEASUREMENT))))


@pytest.mark.parametrize(("tag", "value", "holds"), [(552, 3, True), (552, 2, False), (553, 3, True), (553, 4, False)])
def test_security_versions(tag: int, value: int, holds: bool) -> None:
    assert known(snp(), by(sha384(MEASUREMENT, n1=CBORTag(tag, value)))) is holds
    assert known(
        claims_of(claims={"svn": 3}), by(sha384(MEASUREMENT), measurement(key="svn", n1=CBORTag(tag, value)))
    ) is (holds)
    assert not known(claims_of(claims={"svn": True}), by(sha384(MEASUREMENT), measurement(key="svn", n1=1)))


def test_debug_flags() -> None:
    assert known(claims_of(), by(sha384(MEASUREMENT, n3={3: False})))
    assert not known(claims_of(debug=True), by(sha384(MEASUREMENT, n3={3: False})))
    assert not known(claims_of(), by(sha384(MEASUREMENT, n3={3: True})))


def test_raw_values_are_of_the_claim_that_their_key_names() -> None:
    tee = claims_of(claims={"host_data": b"\x12\x34"})

    def with_raw(raw: bytes, mask: bytes | None = None, key: str = "host_data") -> bool:
        fields = {"n4": raw} if mask is None else {"n4": raw, "n5": mask}
        return known(tee, by(sha384(MEASUREMENT), measurement(key=key, **fields)))

    assert with_raw(b"\x12\x34")
    assert with_raw(b"\x12\x00", b"\xff\x00")
    assert not with_raw(b"\x13\x00", b"\xff\x00")
    assert not with_raw(b"\x12\x35")
    assert not with_raw(b"\x12")
    assert not with_raw(b"\x12\x34", b"\xff")
    assert not with_raw(b"\x12\x34", key="missing")
    assert not with_raw(b"")


REGISTERS: list[tuple[Tier, dict[str, Any], Any]] = [
    (Tier.TPM, {"pcrs": {"sha256": {"7": LOADER}}}, 7),
    (Tier.TPM, {"pcrs": {"sha256": {"7": LOADER}}}, "pcrs.sha256.7"),
    (Tier.NITRO, {"pcrs": {"7": LOADER}}, 7),
    (Tier.TDX, {"rtmr1": LOADER}, 1),
    (Tier.TDX, {"rtmr1": LOADER}, "rtmr1"),
    (Tier.AZURE_TDX, {"hardware": {"rtmr1": LOADER}, "vtpm": {"pcrs": {"sha256": {"8": LOADER}}}}, 8),
    (Tier.CCA, {"realm": {"extensible_measurements": (FIRMWARE, LOADER)}, "platform": {}}, 1),
]


@pytest.mark.parametrize(("tier", "claims", "register"), REGISTERS)
def test_registers_by_number_or_path(tier: Tier, claims: dict[str, Any], register: Any) -> None:
    tee = claims_of(tier, claims=claims)
    assert known(tee, by(sha384(MEASUREMENT), measurement(n14={register: [[1, FIRMWARE], [1, LOADER]]})))
    assert not known(tee, by(sha384(MEASUREMENT), measurement(n14={register: [[1, SIGNER]]})))
    assert not known(tee, by(sha384(MEASUREMENT), measurement(n14={31: [[1, LOADER]]})))


def test_a_digest_of_another_claim_is_no_measurement() -> None:
    tee = tdx(claims={"rtmr1": OTHER}, measurement=OTHER)
    assert known(tee, by(sha384(OTHER, key="mr_td")))
    assert known(tee, by(sha384(OTHER, key="rtmr1")))
    # The digest stands for rtmr1, which holds it; the TD measured as another one is not known by that.
    assert not known(tdx(claims={"rtmr1": OTHER}), by(sha384(OTHER, MEASUREMENT, key="rtmr1")))
    assert not known(tdx(claims={"rtmr1": OTHER}), by(sha384(MEASUREMENT, key="rtmr1")))


def psa(*components: Any, **claims: Any) -> TeeClaims:
    """A device's claims, its measurement made of all of its components."""
    listed = components or ((LOADER, SIGNER), (FIRMWARE, SIGNER))
    return claims_of(
        Tier.PSA,
        measurement=sha256(encode([list(each) for each in listed])).digest(),
        claims={
            "software_components": tuple({"measurement_value": value, "signer_id": signer} for value, signer in listed),
            "implementation_id": IMPLEMENTATION,
            "instance_id": INSTANCE,
            **claims,
        },
    )


def component(*digests: bytes, signer: bytes | None = SIGNER) -> Any:
    key = CBORTag(601, {1: digests[0].hex()[:2]} | ({} if signer is None else {5: signer}))
    return measurement(*digests, key=key)


def test_all_components_of_a_device_must_be_listed() -> None:
    both = [by(component(LOADER)), by(component(FIRMWARE))]
    assert known(psa(), *both)
    assert known(psa(), by(component(LOADER), component(FIRMWARE)))
    assert known(psa(), by(component(LOADER, FIRMWARE, signer=None)))
    assert not known(psa(), both[0])
    assert not known(psa((LOADER, SIGNER), (FIRMWARE, SIGNER), (OTHER, SIGNER)), *both)
    assert not known(psa((LOADER, SIGNER), (FIRMWARE, OTHER)), *both)
    # A triple of both is not met by one of them.
    assert not known(psa((LOADER, SIGNER)), by(component(LOADER), component(FIRMWARE)))
    assert not known(psa(software_components=()), *both)
    assert not known(psa(software_components=({"measurement_value": LOADER, "signer_id": 7},)), *both)


def test_a_measurement_that_is_not_made_of_the_components_is_not_known_by_them() -> None:
    tee = psa()
    forged = claims_of(Tier.PSA, measurement=OTHER, claims=tee.claims)
    assert not known(forged, by(component(LOADER), component(FIRMWARE)))


def test_identifiers_of_the_environment_must_be_the_evidence_s() -> None:
    def within(environment: Any, tee: TeeClaims | None = None) -> bool:
        return known(tee or psa(), by(component(LOADER), component(FIRMWARE), environment=environment))

    for tag in (560, 600):
        assert within({0: {0: CBORTag(tag, IMPLEMENTATION)}})
        assert not within({0: {0: CBORTag(tag, IMPLEMENTATION[1:])}})
    assert within({1: CBORTag(550, INSTANCE)})
    assert not within({1: CBORTag(550, b"\x01" + b"v" * 32)})
    assert not within({0: {1: "ACME"}, 1: CBORTag(550, INSTANCE)}, psa(instance_id=b""))
    assert not known(claims_of(), by(sha384(MEASUREMENT), environment={0: {0: CBORTag(560, IMPLEMENTATION)}}))


def test_a_platform_s_firmware_may_be_known_by_a_corim() -> None:
    listed = ({"measurement_value": LOADER, "signer_id": SIGNER},)
    claims = {"platform": {"software_components": listed}, "realm": {"challenge": bytes(64)}}
    tee = claims_of(Tier.CCA, claims=claims)
    realm, firmware = by(sha384(MEASUREMENT)), by(component(LOADER))
    assert deciding(judge(tee, policy(realm, firmware, tier=Tier.CCA), NOW)) is None
    for tags in ((realm,), (firmware,)):
        assert deciding(judge(tee, policy(*tags, tier=Tier.CCA), NOW)) is not None


def test_what_stands_for_a_measurement_elsewhere_has_32_bytes() -> None:
    assert measurement_digest(LOADER) == LOADER
    for size in (48, 64):
        assert measurement_digest(bytes(size)) == sha256(bytes(size)).digest()


def test_a_policy_without_documents_knows_what_it_lists() -> None:
    assert deciding(judge(claims_of(), policy_of(), NOW)) is None
