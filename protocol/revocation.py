"""The authority's revocation list: signed, counted, with an end (P8, P9).

A list replaces the one before it as a whole. A lower count is a stale retained copy and is refused by name. A
list that has ended is worse than none: who holds only that opens nothing new (fail closed), because a broker
that hides revocations looks exactly like an authority that has none.
"""

from protocol.envelope import open_document_untrusted, sign_document
from protocol.errors import AppraisalError, AuthenticationError, Finding, FreshnessError
from protocol.keys import SigningKey, VerifyingKey
from protocol.messages import digest
from protocol.party import Store
from schemas.kinds import Kind
from schemas.reason import Reason
from schemas.status import RevocationKind, RevocationList

BUCKET = "revocations"
NEWEST = b"newest"


def sign_revocations(revocations: RevocationList, authority: SigningKey) -> bytes:
    """The signed list, for the retained topic."""
    return sign_document(Kind.REVOCATIONS, revocations, authority)


class Revocations:
    """The newest revocation list seen, remembered in the store across restarts."""

    def __init__(self, fleet: str, authority: VerifyingKey, store: Store) -> None:
        self._fleet, self._authority, self._store = fleet, authority, store
        self._bytes = store.read(BUCKET, NEWEST)
        self._list = self._open_untrusted(self._bytes) if self._bytes is not None else None
        self._revoked = self._index()

    @property
    def sequence(self) -> int:
        """The count of the list held, or -1."""
        return -1 if self._list is None else self._list.sequence

    @property
    def document(self) -> bytes | None:
        """The signed list held."""
        return self._bytes

    def accept_untrusted(self, data: bytes) -> bool:
        """Take a list. Returns whether it is newer than the one held: then it is stored and in force.

        Raises `FreshnessError` (stale) for a lower count, and for other bytes under the same count.
        """
        if data == self._bytes:
            return False
        found = self._open_untrusted(data)
        if found.sequence <= self.sequence:
            raise FreshnessError(
                "an older revocation list than the one held",
                reason=Reason.STALE,
                finding=Finding("revocations.sequence", f"> {self.sequence}", str(found.sequence)),
            )
        self._store.write(BUCKET, NEWEST, data)
        self._bytes, self._list = data, found
        self._revoked = self._index()
        return True

    def check(self, kind: RevocationKind, identifier: bytes) -> None:
        """Raises `AppraisalError` (revoked) if the list names it."""
        if (kind, identifier) in self._revoked:
            raise AppraisalError(
                f"this {kind} is revoked",
                reason=Reason.REVOKED,
                finding=Finding(kind, "not revoked", identifier.hex()[:16], f"revocations#{self.sequence}"),
            )

    def check_live(self, now: float) -> None:
        """Raises `FreshnessError` where no list is held or the one held has ended."""
        if self._list is None or now >= self._list.expires:
            raise FreshnessError(
                "no current revocation list",
                reason=Reason.STALE,
                finding=Finding(
                    "revocations.expires", f"> {int(now)}", str(self._list.expires if self._list else None)
                ),
            )

    def _open_untrusted(self, data: bytes) -> RevocationList:
        found = open_document_untrusted(RevocationList, data, Kind.REVOCATIONS, self._authority)
        if found.fleet != self._fleet:
            raise AuthenticationError(
                "a revocation list of another fleet",
                reason=Reason.MISADDRESSED,
                finding=Finding("revocations.fleet", self._fleet, found.fleet),
            )
        return found

    def _index(self) -> frozenset[tuple[RevocationKind, bytes]]:
        if self._list is None:
            return frozenset()
        return frozenset((entry.kind, entry.identifier) for entry in self._list.entries)

    def __repr__(self) -> str:
        return f"Revocations(sequence={self.sequence}, {digest(self._bytes or b'').hex()[:8]})"
