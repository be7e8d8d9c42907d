"""Evidence of Arm's Platform Security Architecture: a COSE_Sign1 by the device's Initial Attestation Key (RFC 9783).

No certificate comes with it: the key is the word of whoever made the device, and is enrolled by instance id
(`psa/key/{SHA-256 of the instance id}`) or handed over beside the token. Tokens have no time; the nonce makes them
fresh. Tokens with a MAC (COSE_Mac0) are refused: whoever can check them can make them.
"""

import hashlib

from protocol.errors import AuthenticationError, Finding
from schemas.evidence import PSA
from schemas.kinds import Tier
from schemas.reason import Reason
from verifier.evidence.arm_claims import MAX_TOKEN, SECURED, claims_untrusted, measurement_of, signed_claims
from verifier.evidence.examination import Examination
from verifier.evidence.foreign_cose import ForeignSign1, parse_foreign_sign1_untrusted
from verifier.evidence.interface import Endorsements, Parts, TeeClaims, required
from verifier.evidence.psa_claims import instance_id_untrusted, psa_claims
from verifier.evidence.public_keys import PublicKey, public_key_untrusted


class PsaAppraiser:
    """Appraises PSA tokens by the keys of `endorsements`, or by a part `key`, which its giver vouches for."""

    form = PSA

    def __init__(self, endorsements: Endorsements) -> None:
        self._endorsements = endorsements

    def appraise_untrusted(self, parts: Parts, now: float, examination: Examination) -> TeeClaims:  # noqa: ARG002 - tokens have no time
        """Returns what the device signed: `measurement` names all software components at once.

        Raises `MalformedError`, `UnsupportedError`, `AuthenticationError` (unknown-signer where there is no key),
        `AppraisalError` for a genuine token whose claims are incomplete.
        """
        # TF-M's own verifier takes the algorithm from the key, and its tokens may name none.
        signed = parse_foreign_sign1_untrusted(
            required(parts, "token"), max_bytes=MAX_TOKEN, tagged=True, alg_protected=False
        )
        key = self._key_untrusted(parts, signed)
        signed.verify(key, examination, "token", "the device's attestation key")
        examination.signature = "valid"
        read = psa_claims(signed_claims(signed.payload, "token", examination), examination)
        return TeeClaims(
            tier=Tier.PSA,
            chip=hashlib.sha256(read.instance_id).digest(),
            measurement=measurement_of(read.components),
            report_data=read.nonce,
            debug=read.lifecycle_state != SECURED,
            # The secure world's memory is hidden, and nothing says that the enclave runs there.
            opaque=False,
            claims=read.claims,
        )

    def _key_untrusted(self, parts: Parts, signed: ForeignSign1) -> PublicKey:
        if "key" in parts:
            return public_key_untrusted(parts["key"], "key")
        return enrolled_key_untrusted(
            self._endorsements, "psa", instance_id_untrusted(claims_untrusted(signed.payload, "token"))
        )


def enrolled_key_untrusted(endorsements: Endorsements, kind: str, instance_id: bytes | None) -> PublicKey:
    """The key that is enrolled for an instance id which nothing proves yet.

    Raises `AuthenticationError` (unknown-signer) where there is none.
    """
    name = f"{kind}/key/{hashlib.sha256(instance_id or b'').hexdigest()}"
    found = None if instance_id is None else endorsements.find(name)
    if found is None:
        finding = Finding("key", "a part key, or an endorsement", f"no {name}")
        raise AuthenticationError("no key is known for this device", reason=Reason.UNKNOWN_SIGNER, finding=finding)
    return public_key_untrusted(found, name)
