"""Who is who: the authority's key, the credentials it signed, and what it has revoked since.

`Trust` is what a party is configured with and all that it believes at the start. Everything else is believed
because a chain of signatures ends here.
"""

from dataclasses import dataclass, field

from protocol.cose import parse_sign1_untrusted
from protocol.envelope import sign_document
from protocol.errors import AuthenticationError, Finding, FreshnessError, MalformedError, UnsupportedError
from protocol.keys import KemPublicKey, SigningKey, VerifyingKey
from protocol.messages import decode_message_untrusted, digest
from protocol.party import Store
from protocol.revocation import Revocations
from schemas.attestation import Confirmation, Credential
from schemas.kinds import Kind, Role
from schemas.reason import Reason
from schemas.topics import FleetTopics

CLOCK_SKEW = 60
"""Seconds by which two honest clocks may differ: allowed at the start of validity, never at the end."""

MAX_CREDENTIAL = 65_536
"""Bytes of a credential."""

_CACHE_SIZE = 1024


@dataclass(frozen=True, slots=True)
class Identity:
    """A party that the authority vouches for: signature, fleet and role hold. `expires` is checked at each use."""

    name: str
    role: Role
    identifier: bytes
    expires: int
    not_before: int
    chips: frozenset[bytes]
    credential: bytes = field(repr=False)
    signing_key: VerifyingKey | None = None
    kem_key: KemPublicKey | None = None

    @property
    def key(self) -> VerifyingKey:
        """The signing key. Raises `AuthenticationError` where the credential has none (an enrolment)."""
        if self.signing_key is None:
            raise AuthenticationError("a credential without a key", reason=Reason.CREDENTIAL_INVALID)
        return self.signing_key

    @property
    def sealing_key(self) -> KemPublicKey:
        """The KEM key. Raises `AuthenticationError` where the credential has none."""
        if self.kem_key is None:
            raise AuthenticationError("a credential without a KEM key", reason=Reason.CREDENTIAL_INVALID)
        return self.kem_key


def sign_credential(credential: Credential, authority: SigningKey) -> bytes:
    """The authority vouches: a CWT (RFC 8392)."""
    return sign_document(Kind.CREDENTIAL, credential, authority)


def confirmation(signing: VerifyingKey, kem: KemPublicKey | None = None) -> Confirmation:
    """The `cnf` claim of one or two keys."""
    return Confirmation(signing_key=signing.to_cose_key(), kem_key=None if kem is None else kem.to_cose_key())


class Trust:
    """The trust anchor of a fleet and what follows from it."""

    def __init__(self, fleet: str, authority: VerifyingKey, store: Store) -> None:
        self.fleet = fleet
        self.topics = FleetTopics(fleet)
        self.revocations = Revocations(fleet, authority, store)
        self._authority = authority
        self._known: dict[bytes, Identity] = {}

    def identify_untrusted(self, credential: bytes, now: float, *roles: Role) -> Identity:
        """Returns who holds this credential: signed by the authority, of this fleet, in time, not revoked.

        Raises `AuthenticationError` (signature, credential, role), `FreshnessError` (time), `AppraisalError`
        (revoked), `MalformedError`. The holder's possession of the key is not shown: verify a signature with `.key`.
        """
        if len(credential) > MAX_CREDENTIAL:
            raise MalformedError(
                "a credential that is too large",
                reason=Reason.OVERSIZED,
                finding=Finding("credential", f"at most {MAX_CREDENTIAL} bytes", f"{len(credential)}"),
            )
        name = digest(credential)
        identity = self._known.get(name) or self._remember(name, _open_credential_untrusted(credential, self))
        if identity.role not in roles:
            expected = " or ".join(roles)
            raise AuthenticationError(
                "this role may not do that",
                reason=Reason.ROLE_NOT_ALLOWED,
                finding=Finding("credential.role", expected, identity.role),
            )
        self.check_standing(identity, now)
        return identity

    def check_standing(self, identity: Identity, now: float) -> None:
        """Raises `FreshnessError` or `AppraisalError` unless a credential that held once holds at this moment."""
        check_times("credential", identity.not_before, identity.expires, now)
        self.check_not_revoked(identity)

    def check_not_revoked(self, identity: Identity) -> None:
        """Raises `AppraisalError` (revoked) if the list in force names the credential or its signing key."""
        self.revocations.check("credential", identity.identifier)
        if identity.signing_key is not None:
            self.revocations.check("key", identity.signing_key.thumbprint)

    def _remember(self, name: bytes, identity: Identity) -> Identity:
        if len(self._known) >= _CACHE_SIZE:
            self._known.pop(next(iter(self._known)))
        self._known[name] = identity
        return identity

    @property
    def authority(self) -> VerifyingKey:
        """The trust anchor."""
        return self._authority


def _open_credential_untrusted(data: bytes, trust: Trust) -> Identity:
    message = parse_sign1_untrusted(data)
    if message.credential is not None:
        # No signature covers it: anybody could make one credential into many, of any size.
        raise UnsupportedError("a credential that carries a credential")
    payload = message.verify(trust.authority, typ=str(Kind.CREDENTIAL))
    found = decode_message_untrusted(Credential, payload)
    if found.fleet != trust.fleet:
        raise AuthenticationError(
            "a credential of another fleet",
            reason=Reason.MISADDRESSED,
            finding=Finding("credential.fleet", trust.fleet, found.fleet),
        )
    keys = found.confirmation
    return Identity(
        name=found.subject,
        role=found.role,
        identifier=found.identifier,
        expires=found.expires,
        not_before=found.not_before,
        chips=frozenset(found.chips or ()),
        credential=data,
        signing_key=None if keys is None else VerifyingKey.from_cose_key_untrusted(keys.signing_key),
        kem_key=None if keys is None or keys.kem_key is None else KemPublicKey.from_cose_key_untrusted(keys.kem_key),
    )


def check_times(what: str, start: float, end: float, now: float) -> None:
    """Raises `FreshnessError` unless start - CLOCK_SKEW <= now < end."""
    if now >= end:
        raise FreshnessError(
            f"this {what} has ended",
            reason=Reason.EXPIRED,
            finding=Finding(f"{what}.expires", f"> {int(now)}", f"{end}"),
        )
    if now < start - CLOCK_SKEW:
        raise FreshnessError(
            f"this {what} is from the future",
            reason=Reason.NOT_YET_VALID,
            finding=Finding(f"{what}.issued", f"<= {int(now) + CLOCK_SKEW}", f"{start}"),
        )


def check_same(what: str, fault: str, *claims: tuple[str, str, str], reason: Reason = Reason.MISADDRESSED) -> None:
    """Raises `AuthenticationError` for the first (claim, expected, found) in which the last two differ.

    `what` is the message the claims stand in; `fault` says in words what a difference means.
    """
    for claim, expected, found in claims:
        if expected != found:
            raise AuthenticationError(fault, reason=reason, finding=Finding(f"{what}.{claim}", expected, found))
