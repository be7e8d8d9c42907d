"""An operator's view of a fleet: who says what to whom, how much of it, in which order. Never the content.

All that is shown is what anybody on the broker sees, and what senders claim: no message's signature is checked here,
and a line means no more than that somebody said so. Beside a key id stands the name of the credential that was seen
with it, with a question mark unless the authority signed that name for that key.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from protocol.cose import Sign1, parse_encrypt0_untrusted, parse_encrypt_untrusted, parse_sign1_untrusted
from protocol.errors import RemoteError
from protocol.keys import VerifyingKey
from protocol.messages import decode_message_untrusted
from protocol.party import Delivery, Event, Publication, Subscription
from schemas.attestation import Credential
from schemas.kinds import Kind
from schemas.topics import FleetTopics

MAX_NAMES: Final = 4096
_STATUS_KEYS: Final = ("state", "sequence")


@dataclass(frozen=True, slots=True)
class Seen(Event):
    """One message: its topic below the fleet's, its COSE type, sizes in bytes, and what its headers say.

    `sender` is a key id (or a session's) in hex, with a name where one is known; `sequence` the Partial IV.
    """

    topic: str
    kind: str
    size: int
    sender: str = ""
    recipients: int | None = None
    sequence: int | None = None
    state: str = ""
    retained: bool = False
    correlation: str = ""


class Watcher:
    """A party that subscribes to everything of a fleet and says nothing. `client_id` tells watchers apart."""

    deadline = None

    def __init__(self, fleet: str, client_id: str, authority: VerifyingKey | None = None) -> None:
        self.client_id, self._authority = client_id, authority
        self._everything = FleetTopics(fleet).everything
        self._prefix = len(self._everything) - 1
        self._names: OrderedDict[bytes, str] = OrderedDict()

    def will(self, now: float) -> Publication | None:  # noqa: ARG002 - the interface of a party
        """None: nobody relies on a watcher."""
        return None

    def connected(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Everything, first of all what is retained."""
        return [Subscription(self._everything)]

    def receive(self, delivery: Delivery, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Describe it."""
        return [self.described_untrusted(delivery)]

    def expire(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Never due."""
        return []

    def leaving(self, now: float) -> Sequence[Event]:  # noqa: ARG002 - the interface of a party
        """Without a word."""
        return []

    def described_untrusted(self, delivery: Delivery) -> Seen:
        """What anybody can see of a message. Never raises; nothing in it is trusted."""
        topic, size = delivery.topic[self._prefix :], len(delivery.payload)
        about: dict[str, str | int] = {}
        if not delivery.payload:
            kind = "cleared"
        else:
            try:
                kind, about = self._read_untrusted(delivery.payload)
            except RemoteError:
                kind = "unreadable"
        correlation = (delivery.correlation or b"").hex()[:16]
        return Seen(topic, kind, size, retained=delivery.retained, correlation=correlation, **about)  # type: ignore[arg-type]  # the readers' own fields

    def _read_untrusted(self, payload: bytes) -> tuple[str, dict[str, str | int]]:
        for first, read in (
            (b"{", _status_untrusted),
            (b"\xd2", self._signed_untrusted),
            (b"\xd0", _session_untrusted),
            (b"\xd8\x60", _result_untrusted),
        ):
            if payload.startswith(first):
                return read(payload)
        return "unreadable", {}

    def _signed_untrusted(self, payload: bytes) -> tuple[str, dict[str, str | int]]:
        """COSE_Sign1. A credential beside it, or itself, tells whose key it claims to be."""
        message = parse_sign1_untrusted(payload)
        if message.credential is not None:
            self._learn_untrusted(message.kid, message.credential)
        name = self._names.get(message.kid, "")
        return _short(message.typ), {"sender": f"{message.kid.hex()[:16]} {name}".rstrip()}

    def _learn_untrusted(self, kid: bytes, credential: bytes) -> None:
        if not self._names.get(kid, "?").endswith("?"):
            return
        try:
            signed = parse_sign1_untrusted(credential)
            found = decode_message_untrusted(Credential, signed.payload)
        except RemoteError:
            return
        sure = _is_vouched_untrusted(signed, found, kid, self._authority)
        self._names[kid] = f"{found.role}/{found.subject}{'' if sure else '?'}"
        if len(self._names) > MAX_NAMES:
            self._names.popitem(last=False)


def _is_vouched_untrusted(signed: Sign1, found: Credential, kid: bytes, authority: VerifyingKey | None) -> bool:
    """Whether the authority gave this name to this key. An enrolment has no key: an enclave's name stays a claim."""
    if authority is None or found.confirmation is None:
        return False
    try:
        signed.verify(authority, typ=str(Kind.CREDENTIAL))
        return VerifyingKey.from_cose_key_untrusted(found.confirmation.signing_key).thumbprint == kid
    except RemoteError:
        return False


def _status_untrusted(payload: bytes) -> tuple[str, dict[str, str | int]]:
    """The JSON is for eyes; only these two words of it are shown, for the rest is whatever its sender likes."""
    try:
        found = json.loads(payload)
        state, sequence = (found[key] for key in _STATUS_KEYS)
    except (ValueError, KeyError, TypeError, RecursionError):
        return "unreadable", {}
    if not isinstance(state, str) or type(sequence) is not int:
        return "unreadable", {}
    return "status", {"state": state[:16], "sequence": sequence}


def _session_untrusted(payload: bytes) -> tuple[str, dict[str, str | int]]:
    """COSE_Encrypt0: inside a session, whose id stands where a key's would; or a chunk of a model."""
    message = parse_encrypt0_untrusted(payload, max_bytes=len(payload))
    sender = f"session {message.kid.hex()[:16]}" if message.kid else ""
    return _short(message.typ), {"sender": sender, "sequence": message.partial_iv}


def _result_untrusted(payload: bytes) -> tuple[str, dict[str, str | int]]:
    message = parse_encrypt_untrusted(payload)
    sender = f"session {(message.kid or b'').hex()[:16]}"
    return _short(message.typ), {"sender": sender, "recipients": len(message.recipients)}


def _short(typ: str) -> str:
    """`challenge` for application/vnd.sealedge.challenge+cose; another type as it is, cut."""
    prefix, _, rest = typ.partition("application/vnd.sealedge.")
    if not prefix and rest:
        return rest.partition("+")[0][:64]
    return "attestation-result" if typ.startswith("application/eat+cwt") else typ[:64]


def fields_of(seen: Seen) -> dict[str, str | int | bool]:
    """What is known of it, for JSON."""
    return {name: value for name, value in asdict(seen).items() if value is not None and value != ""}


def line_of(seen: Seen, hour: str, escape: Callable[[str], str]) -> str:
    """One line for a terminal. Strangers chose most of it: it is escaped."""
    parts = [hour, f"{seen.kind:<20}", f"{seen.size:>7} B", f"{'R' if seen.retained else ' '}", seen.topic]
    if seen.sender:
        parts.append(f"from {seen.sender}")
    if seen.recipients is not None:
        parts.append(f"for {seen.recipients}")
    if seen.sequence is not None:
        parts.append(f"#{seen.sequence}")
    if seen.state:
        parts.append(seen.state)
    if seen.correlation:
        parts.append(f"in {seen.correlation}")
    return "  ".join(escape(part) for part in parts)
