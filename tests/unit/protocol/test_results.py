"""Results for several consumers: each opens what is for it, at its place, and nothing else (P1, P2)."""

import pytest

from protocol.algorithms import HPKE_3_KE, HPKE_XWING_KE
from protocol.cose import NO_BASE_IV, AeadKey, encrypt, parse_encrypt_untrusted, wrap_key
from protocol.errors import RemoteError
from protocol.kem_keys import KemPrivateKey
from protocol.results import ResultOpener, ResultSealer
from schemas.kinds import Kind
from schemas.reason import Reason

SESSION, TOPIC = bytes(16), "sealedge/v1/clinic/model/scan/results"
FIRST, SECOND, STRANGER = (
    KemPrivateKey(algorithm, bytes([number]) * 32)
    for number, algorithm in ((1, HPKE_XWING_KE), (2, HPKE_3_KE), (3, HPKE_XWING_KE))
)


def sealer(fleet: str = "clinic", session: bytes = SESSION, secret: bytes = bytes(32)) -> ResultSealer:
    return ResultSealer(fleet, session, [FIRST.public, SECOND.public], secret)


def refusal(private: KemPrivateKey, data: bytes, topic: str = TOPIC, correlation: bytes = b"c") -> Reason:
    with pytest.raises(RemoteError) as refused:
        ResultOpener("clinic", private).open_untrusted(data, topic, correlation)
    return refused.value.reason


@pytest.mark.parametrize("private", [FIRST, SECOND])
def test_every_recipient_opens_every_result_of_a_session(private: KemPrivateKey) -> None:
    sealing, opener = sealer(), ResultOpener("clinic", private)
    sealed = [sealing.seal(bytes([number]), TOPIC, b"c") for number in range(3)]
    assert [opener.open_untrusted(each, TOPIC, b"c") for each in reversed(sealed)] == [b"\2", b"\1", b"\0"]
    assert len({parse_encrypt_untrusted(each).iv for each in sealed}) == 3


def test_nobody_opens_it_elsewhere_or_for_another() -> None:
    sealed = sealer().seal(b"result", TOPIC, b"c")
    assert refusal(STRANGER, sealed) is Reason.MISADDRESSED
    assert refusal(FIRST, sealed, topic=TOPIC + "/x") is Reason.DECRYPTION_FAILED
    assert refusal(FIRST, sealed, correlation=b"d") is Reason.DECRYPTION_FAILED
    assert refusal(FIRST, sealer("rivals").seal(b"result", TOPIC, b"c")) is Reason.DECRYPTION_FAILED


def test_a_result_names_its_session() -> None:
    wrapped = wrap_key(bytes(32), FIRST.public, extra_info=b"")
    nameless = encrypt(
        AeadKey(bytes(32), NO_BASE_IV), b"", typ=str(Kind.RESULT), recipients=[wrapped], iv=bytes(12), external_aad=b""
    )
    assert refusal(FIRST, nameless) is Reason.MISADDRESSED


def test_a_consumer_keeps_the_keys_of_a_few_sessions_and_opens_all() -> None:
    opener = ResultOpener("clinic", FIRST, sessions=2)
    sealed = [sealer(session=bytes([number]) * 16).seal(b"x", TOPIC, b"c") for number in range(4)]
    for _ in range(2):
        assert [opener.open_untrusted(each, TOPIC, b"c") for each in sealed] == [b"x"] * 4
        assert len(opener._keys) == 2
