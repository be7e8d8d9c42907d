"""What a party says of itself: shown to all, proven by signature, bounded whatever it met (P1, P13)."""

import base64
import json

import pytest

from protocol.errors import AppraisalError, Finding, MalformedError, RemoteError
from protocol.keys import SigningKey
from protocol.status import MAX_STATUS, MIN_INTERVAL, StatusBoard, open_status_untrusted, prove_with, refusal_of
from schemas.kinds import Role, State
from schemas.reason import Reason
from schemas.topics import FleetTopics
from tests.support.enclaves import NOW, Fleet

KEY = SigningKey.generate(Fleet().randomness)
EXPECTED = {"fleet": "clinic", "role": "sensor", "party": "gate-3"}


def board() -> StatusBoard:
    return StatusBoard(FleetTopics("clinic"), Role.SENSOR, "gate-3")


def shown(of: StatusBoard, state: State = State.ONLINE, now: float = NOW) -> bytes:
    return of.publication(state, prove_with(KEY)(of.status(state, KEY.public.thumbprint, now)), now).payload


def test_a_status_proves_its_state_and_number() -> None:
    mine = board()
    mine.begin(NOW)
    status = open_status_untrusted(shown(mine, State.LOST), KEY.public, EXPECTED)
    assert (status.state, status.sequence, status.key) == (State.LOST, int(NOW * 1000), KEY.public.thumbprint)


def test_numbers_rise_though_the_clock_does_not() -> None:
    mine, numbers = board(), []
    for now in (NOW, NOW, NOW - 1000, NOW + 1):
        mine.begin(now)
        numbers.append(mine.sequence)
    assert numbers == sorted(set(numbers))


def forged(proof: object) -> bytes:
    return json.dumps({"proof": proof}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{}", b"[]", b"7", b"null", b"\xff", b"[" * 10_000, b'{"proof": 1e999}', b"9" * 5000, forged(7),
        forged(None), forged([]), forged({}), forged("\u2603"), forged("A"), forged("AAAA"), forged("A" * MAX_STATUS),
        forged(base64.urlsafe_b64encode(b"\x81" * 3000).decode()),
    ],
    ids=lambda data: str(data[:12]),
)  # fmt: skip
def test_what_is_no_status_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        open_status_untrusted(data, KEY.public, EXPECTED)


def test_another_partys_status_and_another_keys_are_refused() -> None:
    for key, expected, reason in (
        (SigningKey.generate(Fleet(seed=3).randomness).public, EXPECTED, Reason.UNKNOWN_SIGNER),
        *((KEY.public, {**EXPECTED, claim: "other"}, Reason.MISADDRESSED) for claim in EXPECTED),
    ):
        with pytest.raises(RemoteError) as refused:
            open_status_untrusted(shown(board()), key, expected)
        assert refused.value.reason is reason


def test_a_flood_of_refusals_is_one_small_status() -> None:
    """Texts of strangers are cut, escaped and not collected."""
    mine = board()
    texts = ("\u2603" * 10_000, "\0\x1b[2J", '"},"state":"left"', "x")
    for number in range(1000):
        text = texts[number % len(texts)]
        error = AppraisalError(text, reason=list(Reason)[number % len(Reason)], finding=Finding(text, text, text, text))
        mine.refuse(refusal_of(error, NOW), text)
    payload = shown(mine)
    assert payload.isascii()
    assert len(payload) < MAX_STATUS
    found = json.loads(payload)
    assert sum(found["refused"].values()) == 1000
    assert (found["state"], found["party"]) == ("online", "gate-3")
    assert set(found["last_refusal"]) == {"topic", "reason", "time", "claim", "expected", "found", "policy"}
    assert open_status_untrusted(payload, KEY.public, EXPECTED).state is State.ONLINE


def test_a_changed_status_is_due_once_a_second() -> None:
    mine = board()
    assert mine.due_at is None
    shown(mine)
    mine.count("received")
    assert mine.due_at == NOW + MIN_INTERVAL
    shown(mine, now=NOW + 5)
    assert mine.due_at is None


def test_a_refusal_says_what_was_found_within_what_the_wire_allows() -> None:
    finding = Finding("claim" * 100, "expected" * 100, "", "policy")
    refusal = refusal_of(AppraisalError("no", reason=Reason.BUSY, finding=finding), NOW, retry_after=5)
    assert (refusal.reason, refusal.retry_after, refusal.found) == (Reason.BUSY, 5, None)
    assert (len(refusal.claim or ""), len(refusal.expected or "")) == (256, 256)
    assert refusal_of(AppraisalError("no"), NOW).claim is None
