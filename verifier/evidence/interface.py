"""What every kind of TEE evidence is reduced to, and what an appraiser of one kind must do.

    bytes ─parse─> structure ─verify the chain─> authentic claims ─> TeeClaims

One file a kind. A new kind is one file beside this one and one line in the registry (`verifier.evidence`).
Certificates and endorsements may travel inside the evidence bytes: what they end in (the vendor's root) is the
appraiser's own, handed to its constructor. It fetches nothing: time is handed in, and nothing else changes.
"""

from dataclasses import dataclass
from typing import Protocol

from schemas.kinds import Tier


@dataclass(frozen=True, slots=True)
class TeeClaims:
    """What a TEE said, authentic but not yet appraised: its signature chain holds, its content may not please.

    `chip` is the SHA-256, or RFC 9679 thumbprint, of what names this one machine; None where the kind has no such
    name. `measurement` is 32 bytes: a kind whose measurement is longer gives its SHA-256. `report_data` is the 64
    bytes that the enclave had signed. `debug` is set where the host may look into the enclave.
    """

    tier: Tier
    chip: bytes | None
    measurement: bytes
    report_data: bytes
    debug: bool


class Appraiser(Protocol):
    """Parses and verifies one kind of evidence."""

    @property
    def media_type(self) -> str:
        """The CMW media type (RFC 9999 §3.1) of the evidence that it takes."""

    def appraise_untrusted(self, evidence: bytes, now: float) -> TeeClaims:
        """Returns the claims: signed by a chip whose chain ends where this kind's chains must, valid at `now`.

        Raises `MalformedError`, `UnsupportedError`, `AuthenticationError`, `FreshnessError`, `AppraisalError` and
        nothing else, in bounded time. Whether the claims are the expected ones is for `verifier.appraisal`.
        """
