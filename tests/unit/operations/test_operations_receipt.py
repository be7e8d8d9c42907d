"""Receipts are checked offline against one key alone, and only true ones hold (P10)."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import AppraisalError, AuthenticationError, ConfigurationError, RemoteError, SealedgeError
from protocol.keys import SigningKey
from protocol.messages import encode_message
from protocol.receipts import signed_receipt_untrusted
from schemas.kinds import Role
from schemas.model import CarriedTensor, TensorSpec
from schemas.session import ReceiptBundle
from sealedge.client.events import Answered
from sealedge.operations.receipt import Anchors, check_bundle, open_bundle
from tests.support.examples import examples
from tests.support.world import MODEL, START, World

READING = b"reading!"
YEARS = 10 * 365 * 86_400


def computed(seed: int = 0, fleet: str = "clinic") -> tuple[World, bytes]:
    """A fleet that computed one result, and its receipt bundle."""
    world = World(seed, fleet=fleet).start_all()
    world.infer(world.start_sensor(), READING)
    world.settle()
    return world, world.events(Answered)[0].bundle


WORLD, BUNDLE = computed()
OTHER, FOREIGN = computed(1)
AUTHORITY = Anchors(authority=WORLD.authority.key.public)
VERIFIER = Anchors(verifier=WORLD.holder(Role.VERIFIER, "verifier").signing.public)


def check(data: bytes = BUNDLE, anchors: Anchors = AUTHORITY, now: float = START + 100, **contents: bytes) -> object:
    return check_bundle(open_bundle(data, "bundle"), anchors, contents, now)


@pytest.mark.parametrize("anchors", [AUTHORITY, VERIFIER, replace(VERIFIER, authority=AUTHORITY.authority)])
def test_one_key_alone_is_enough(anchors: Anchors) -> None:
    checked = check_bundle(open_bundle(BUNDLE, "bundle"), anchors, {}, START + 100)
    assert (checked.receipt.model, checked.receipt.agent, checked.receipt.tier) == (MODEL, "agent-1", "simulated")
    assert checked.summary()["contents_checked"] == []
    assert checked.summary()["root"] == signed_receipt_untrusted(open_bundle(BUNDLE, "b").receipt)[1].payload.hex()


def test_input_and_output_are_shown_to_be_the_ones() -> None:
    checked = check_bundle(
        open_bundle(BUNDLE, "bundle"), AUTHORITY, {"input": READING, "output": READING[::-1]}, START + 100
    )
    assert checked.contents == ("input", "output")


@pytest.mark.parametrize("contents", [{"input": b"another!"}, {"output": READING}])
def test_other_content_does_not_hold(contents: dict[str, bytes]) -> None:
    with pytest.raises(AuthenticationError, match="for another"):
        check(**contents)


def test_without_its_salt_a_receipt_proves_nothing_of_the_content() -> None:
    bundle = open_bundle(BUNDLE, "bundle").model_copy(update={"salt": None})
    check(encode_message(bundle))
    with pytest.raises(ConfigurationError, match="salt"):
        check(encode_message(bundle), input=READING)


def test_what_a_model_with_state_started_from_is_shown_to_be_it() -> None:
    specs = [TensorSpec(name=each, dtype="uint8", shape=(len(READING),)) for each in ("in", "kept", "out", "next")]
    world = World(compute=lambda data: data[:8] + bytes(each + 1 for each in data[8:]))
    state = (CarriedTensor(before="kept", after="next"),)
    world.package(inputs=tuple(specs[:2]), outputs=tuple(specs[2:]), state=state)
    for start in (world.start_verifier, world.start_publisher, world.start_agent):
        start()
    sensor = world.start_sensor()
    world.settle()
    for _ in range(2):
        world.infer(sensor, READING)
    world.settle()
    bundle, anchors = open_bundle(world.events(Answered)[1].bundle, "bundle"), Anchors(world.authority.key.public)
    checked = check_bundle(bundle, anchors, {"input": READING, "state": b"\1" * 8}, START + 100)
    assert (checked.summary()["step"], checked.contents) == (1, ("input", "state"))
    with pytest.raises(AuthenticationError, match="another state"):
        check_bundle(bundle, anchors, {"state": b"\2" * 8}, START + 100)
    with pytest.raises(ConfigurationError, match="without state"):
        check(state=b"")


def test_a_receipt_outlives_the_credentials_of_its_time() -> None:
    check(now=START + YEARS)


def test_no_key_is_no_check() -> None:
    with pytest.raises(ConfigurationError, match="key"):
        check(anchors=Anchors())


@pytest.mark.parametrize(
    "anchors",
    [
        Anchors(authority=OTHER.authority.key.public),
        Anchors(verifier=OTHER.holder(Role.VERIFIER, "verifier").signing.public),
        Anchors(authority=AUTHORITY.authority, verifier=SigningKey.generate().public),
        replace(AUTHORITY, fleet="another"),
        replace(VERIFIER, fleet="another"),
    ],
)
def test_another_key_or_fleet_does_not_hold(anchors: Anchors) -> None:
    with pytest.raises(AuthenticationError):
        check(anchors=anchors)


def test_a_list_of_another_authority_is_our_own_fault() -> None:
    with pytest.raises(ConfigurationError, match="revocation list"):
        check(anchors=replace(AUTHORITY, revocations=OTHER.revocations))


def test_a_publisher_signs_no_attestation_results() -> None:
    """Its credential is the same authority's; its role is not a verifier's."""
    publisher = WORLD.holder(Role.PUBLISHER, "publisher")
    with pytest.raises(AuthenticationError):
        check(anchors=Anchors(verifier=publisher.signing.public))


def test_the_receipt_of_another_enclave_does_not_fit() -> None:
    ours, theirs = open_bundle(BUNDLE, "a"), open_bundle(FOREIGN, "b")
    mixed = ReceiptBundle(attestation_result=ours.attestation_result, receipt=theirs.receipt, salt=theirs.salt)
    for anchors in (AUTHORITY, VERIFIER):
        with pytest.raises(AuthenticationError):
            check(encode_message(mixed), anchors=anchors)


@pytest.mark.parametrize("kind", ["chip", "measurement", "key"])
def test_what_is_revoked_since_does_not_hold_any_more(kind: str) -> None:
    world, bundle = computed(2)
    result = check_bundle(open_bundle(bundle, "b"), Anchors(world.authority.key.public), {}, START).result
    identifier = {"chip": result.chip, "measurement": result.measurement, "key": _signer(bundle)}[kind]
    world.revoke(kind, identifier)  # type: ignore[arg-type]  # one of the kinds
    with pytest.raises(AppraisalError, match="revoked"):
        check(bundle, Anchors(world.authority.key.public, revocations=world.revocations))


def _signer(bundle: bytes) -> bytes:
    return signed_receipt_untrusted(open_bundle(bundle, "b").receipt)[1].kid


@given(st.integers(0, len(BUNDLE) - 1), st.integers(1, 255), st.booleans())
@settings(max_examples=examples(300), deadline=None)
def test_a_changed_byte_does_not_hold(position: int, change: int, pinned: bool) -> None:
    """But for the salt, which only opens the commitments, and the credential, where the verifier's key is pinned."""
    changed = bytearray(BUNDLE)
    changed[position] ^= change
    try:
        check(bytes(changed), VERIFIER if pinned else AUTHORITY, input=READING)
    except SealedgeError:
        return
    known = open_bundle(BUNDLE, "b")
    assert pinned
    assert open_bundle(bytes(changed), "b").receipt == known.receipt


@given(st.binary(max_size=200))
def test_garbage_is_no_bundle(data: bytes) -> None:
    with pytest.raises(ConfigurationError, match="bundle"):
        open_bundle(data, "bundle")


@given(st.binary(min_size=1, max_size=200), st.binary(min_size=1, max_size=200))
def test_garbage_in_a_bundle_does_not_hold(result: bytes, receipt: bytes) -> None:
    bundle = ReceiptBundle(attestation_result=result, receipt=receipt)
    for anchors in (AUTHORITY, VERIFIER):
        with pytest.raises(RemoteError):
            check_bundle(bundle, anchors, {}, START)
