"""Models to bytes and back: one encoding, and no second way in."""

import cbor2
import pytest

from protocol.cbor import encode
from protocol.errors import MalformedError
from protocol.messages import decode_message_untrusted, encode_message, message_aad
from schemas.attestation import Confirmation, Credential
from schemas.base import to_map
from schemas.kinds import Kind, Role
from schemas.session import InferenceRequest
from tests.support.world import World

REQUEST = InferenceRequest(request=bytes(16), input=b"reading", issued=1, expires=2)


def test_a_message_has_one_encoding() -> None:
    world = World()
    keys = Confirmation(
        signing_key=world.authority.key.public.to_cose_key(),
        kem_key=world.holder(Role.CONSUMER, "consumer-1").kem.public.to_cose_key(),
    )
    credential = Credential(
        issuer="a", subject="b", fleet="c", expires=300, not_before=1, issued=70_000, identifier=bytes(16),
        confirmation=keys, role=Role.AGENT, chips=(bytes(32),),
    )  # fmt: skip
    for message in (REQUEST, keys, credential):
        encoded = encode_message(message)
        assert encoded == encode(to_map(message))
        assert decode_message_untrusted(type(message), encoded) == message


def test_every_message_that_a_fleet_says_has_the_one_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    dumps = cbor2.dumps

    def checked(value: object) -> bytes:
        encoded = dumps(value)
        seen.append(encoded)
        assert encoded == encode(value)  # type: ignore[arg-type]  # whatever the parties say
        return encoded

    monkeypatch.setattr("protocol.messages.cbor2.dumps", checked)
    World().start_all()
    assert len(seen) > 20


def test_field_names_are_no_keys_on_the_wire() -> None:
    named = {name: getattr(REQUEST, name) for name in ("request", "input", "issued", "expires")}
    with pytest.raises(MalformedError):
        decode_message_untrusted(InferenceRequest, encode(named))


def test_field_names_are_no_keys_in_a_map_inside_either() -> None:
    credential = World().holder(Role.SENSOR, "s").credential
    payload = cbor2.loads(cbor2.loads(credential).value[2])
    inside = payload[8]
    payload[8] = {"signing_key": inside[1], "kem_key": inside[-70003]}
    with pytest.raises(MalformedError):
        decode_message_untrusted(Credential, encode(payload))


@pytest.mark.parametrize("key", [99, "1", b"1", -1])
def test_unknown_keys_are_refused(key: object) -> None:
    with pytest.raises(MalformedError):
        decode_message_untrusted(InferenceRequest, encode({**to_map(REQUEST), key: 1}))


def test_the_external_aad_is_deterministic_and_tells_everything_apart() -> None:
    base = (Kind.REQUEST, "topic", b"sender", "recipient", b"correlation")
    others = [
        (Kind.REPLY, *base[1:]),
        (base[0], "topi", *base[2:]),
        (*base[:2], b"other", *base[3:]),
        (*base[:3], "other", base[4]),
        (*base[:4], b"other"),
    ]
    assert len({message_aad(*each) for each in [base, *others]}) == 6
