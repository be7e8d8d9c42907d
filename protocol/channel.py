"""A session's keys, its counters, and the window that lets each message in once (P7).

    session secret ─HKDF─> key and base IV, one pair for each direction ─> COSE_Encrypt0 with Partial IV

A counter is never resumed: a restart on either side means a new session with a new secret.
"""

from dataclasses import dataclass, field

from protocol.cbor import encode
from protocol.cose import AeadKey, Encrypt0, derive, seal0
from protocol.errors import Finding, FreshnessError
from protocol.messages import DOMAIN, message_aad
from schemas.kinds import Kind
from schemas.reason import Reason

WINDOW = 64
"""How far behind the highest sequence number a message may be (the size of RFC 4303's default window)."""

_WINDOW_MASK = (1 << WINDOW) - 1

MAX_SEQUENCE = 2**40 - 1
"""Partial IVs are at most 5 bytes (RFC 8613 §7.2.1): a session that long must be opened anew."""


class ReplayWindow:
    """Which sequence numbers were seen: each number passes once, and none that is older than the window."""

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest, self._seen = -1, 0

    def accept(self, sequence: int) -> None:
        """Let a number in. Raises `FreshnessError` (replayed) if it was seen or is older than the window.

        Call it only for a message that is authentic, or a forged number could shut the window.
        """
        behind = self._highest - sequence
        if behind >= WINDOW or (behind >= 0 and self._seen >> behind & 1):
            raise FreshnessError(
                "this sequence number was seen before",
                reason=Reason.REPLAYED,
                finding=Finding("sequence", f"> {self._highest - WINDOW} and new", str(sequence)),
            )
        self.mark(sequence)

    def mark(self, sequence: int) -> None:
        """Let a number in at no later time, whether or not it was in before. For authentic messages alone."""
        ahead = sequence - self._highest
        if ahead > 0:
            # A peer may jump by 2**40: nothing is shifted further than the window is wide.
            kept = self._seen << ahead if ahead < WINDOW else 0
            self._seen, self._highest = (kept | 1) & _WINDOW_MASK, sequence
        elif -ahead < WINDOW:
            self._seen |= 1 << -ahead


@dataclass(slots=True)
class Channel:
    """One side of a session. `inward` opens what the peer sealed, `outward` seals; neither is ever printed."""

    session: bytes
    inward: AeadKey = field(repr=False)
    outward: AeadKey = field(repr=False)
    next_sequence: int = 0

    @classmethod
    def of_sensor(cls, session: bytes, secret: bytes) -> "Channel":
        """The sensor's side."""
        return cls(session, inward=_key(session, secret, "reply"), outward=_key(session, secret, "request"))

    @classmethod
    def of_enclave(cls, session: bytes, secret: bytes) -> "Channel":
        """The enclave's side."""
        return cls(session, inward=_key(session, secret, "request"), outward=_key(session, secret, "reply"))

    def seal(self, kind: Kind, plaintext: bytes, topic: str, recipient: str, correlation: bytes) -> bytes:
        """A COSE_Encrypt0 under the next sequence number. Raises `FreshnessError` where the counter is used up."""
        if self.next_sequence > MAX_SEQUENCE:
            raise FreshnessError("the session's counter is used up", reason=Reason.SESSION_LIMIT)
        sequence, self.next_sequence = self.next_sequence, self.next_sequence + 1
        aad = message_aad(kind, topic, self.session, recipient, correlation)
        return seal0(self.outward, plaintext, typ=str(kind), kid=self.session, partial_iv=sequence, external_aad=aad)

    def open_untrusted(self, message: Encrypt0, kind: Kind, topic: str, recipient: str, correlation: bytes) -> bytes:
        """Returns the plaintext: the peer of this session sealed it for this place. It may still be a replay."""
        aad = message_aad(kind, topic, self.session, recipient, correlation)
        return message.open(self.inward, typ=str(kind), external_aad=aad)


def _key(session: bytes, secret: bytes, direction: str) -> AeadKey:
    material = derive(secret, encode([DOMAIN, "session", session, direction]), 44)
    return AeadKey(material[:32], material[32:])
