"""The authority of a fleet: an offline key that vouches for parties, enrols agents and revokes.

Used by `sealedge init`, `sealedge enrol` and `sealedge revoke`; never by a running party.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from protocol.kem_keys import KemPublicKey
from protocol.keys import SigningKey, VerifyingKey
from protocol.party import Randomness
from protocol.revocation import sign_revocations
from protocol.trust import CLOCK_SKEW, confirmation, sign_credential
from schemas.attestation import Credential
from schemas.kinds import Role
from schemas.status import Revocation, RevocationList

DAY = 86_400
CREDENTIAL_DAYS = 365
REVOCATION_DAYS = 90
"""A revocation list ends: a broker that hides a newer one is noticed when the old one does (P8)."""


@dataclass(frozen=True, slots=True)
class Authority:
    """Signs credentials, enrolments and revocation lists for one fleet."""

    fleet: str
    key: SigningKey = field(repr=False)
    name: str = "authority"

    def vouch(
        self,
        role: Role,
        name: str,
        signing: VerifyingKey,
        *,
        now: float,
        randomness: Randomness,
        kem: KemPublicKey | None = None,
        days: int = CREDENTIAL_DAYS,
    ) -> bytes:
        """A credential (CWT) for a verifier, publisher, sensor or consumer."""
        return self._sign(role, name, now, days, randomness, {"confirmation": confirmation(signing, kem)})

    def enrol(
        self,
        agent: str,
        chips: Iterable[bytes],
        *,
        now: float,
        randomness: Randomness,
        days: int = CREDENTIAL_DAYS,
    ) -> bytes:
        """An enrolment (CWT) for an agent: the chips it may run on (P5). Its keys are made in its enclave."""
        return self._sign(Role.AGENT, agent, now, days, randomness, {"chips": tuple(chips)})

    def revoke(self, sequence: int, entries: Iterable[Revocation], *, now: float, days: int = REVOCATION_DAYS) -> bytes:
        """A signed revocation list that replaces every list of a lower sequence."""
        return sign_revocations(
            RevocationList(
                fleet=self.fleet,
                sequence=sequence,
                issued=int(now),
                expires=int(now) + days * DAY,
                entries=tuple(entries),
            ),
            self.key,
        )

    def _sign(
        self, role: Role, name: str, now: float, days: int, randomness: Randomness, about: dict[str, object]
    ) -> bytes:
        return sign_credential(
            Credential.model_validate(
                {
                    "issuer": self.name,
                    "subject": name,
                    "fleet": self.fleet,
                    "expires": int(now) + days * DAY,
                    "not_before": int(now) - CLOCK_SKEW,
                    "issued": int(now),
                    "identifier": randomness(16),
                    "role": role,
                    **about,
                }
            ),
            self.key,
        )
