"""The operator's side of enrolling a TPM: is this attestation key in that TPM, and does the TPM's maker vouch for it?

TPM2_MakeCredential (TPM 2.0 Library Part 1 §24, Part 3 §12.6) encrypts a secret to an EK and to the name of an AK; the
TPM gives it out only if an object of this very name, attributes included, is loaded in it. No TPM loads a key that
was made elsewhere with `fixedTPM` set. So the answer proves: the AK was made in the TPM of this EK, never leaves it,
and signs nothing but what that TPM says. That the EK is in a genuine TPM is for its certificate to show.
"""

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.attester.tpm_tools import TpmTools
from protocol.errors import AppraisalError, AuthenticationError, ConfigurationError, Finding, FreshnessError
from protocol.party import Randomness
from schemas.reason import Reason
from sealedge.operations.fleet import FleetFolder, read_description
from sealedge.operations.tpm_documents import Answer, Challenge, Identity, Pending
from sealedge.operations.tpm_endorsement import check_endorsement
from storage.files import write_private
from verifier.evidence.tpm_keys import (
    DECRYPT,
    FIXED_PARENT,
    FIXED_TPM,
    REQUIRED_ATTRIBUTES,
    RESTRICTED,
    SENSITIVE_DATA_ORIGIN,
    SIGN,
    PublicArea,
    attestation_key_untrusted,
    public_area_untrusted,
)
from verifier.evidence.tpm_structures import hash_untrusted

SECRET_BYTES: Final = 32
PENDING_SECONDS: Final = 7 * 86_400
"""Challenges are carried on foot."""

_EK_ATTRIBUTES: Final = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | RESTRICTED | DECRYPT
_AK_ATTRIBUTES: Final = sum(REQUIRED_ATTRIBUTES.values())
_KINDS: Final = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | RESTRICTED | DECRYPT | SIGN


@dataclass(frozen=True, slots=True)
class Challenged:
    """A challenge to carry to the machine. `certified_by`: the maker's root; None where nobody vouches for the EK."""

    challenge: Challenge
    certified_by: str | None


def challenge(
    folder: FleetFolder, identity: Identity, authorities: bytes | None, *, now: float, randomness: Randomness
) -> Challenged:
    """Make a challenge, and remember it in the fleet's authority/tpm/. The identity is not believed.

    Raises `AppraisalError` for a key that is no attestation key or EK, `UnsupportedError` for one under a weak hash,
    what `check_endorsement` raises where `authorities` (PEM) are given, `ConfigurationError`, `TpmError`.
    """
    read_description(folder)
    ak, chip = _attestation_key_untrusted(identity)
    ek = _area_untrusted(identity.ek, "ek", _EK_ATTRIBUTES)
    certified_by = None if authorities is None else _certified(identity, ek, authorities, now)
    secret = randomness(SECRET_BYTES)
    credential = _make_credential(identity.ek, ak.name, secret)
    pending = Pending(
        chip=chip,
        secret_digest=hashlib.sha256(secret).hexdigest(),
        expires=int(now) + PENDING_SECONDS,
        ek_certified_by=certified_by,
    )
    write_private(_pending_path(folder, chip), pending.model_dump_json(indent=1).encode() + b"\n")
    return Challenged(Challenge(chip=chip, credential=credential), certified_by)


def accept_answer(folder: FleetFolder, answer: Answer, now: float) -> bytes:
    """The chip, SHA-256 of the AK's public key, which is now proven to be in the TPM that was challenged.

    The challenge is used up. Raises `AuthenticationError`, `FreshnessError`.
    """
    path = _pending_path(folder, answer.chip)
    if not path.exists():
        finding = Finding("answer.chip", "a machine that was challenged", answer.chip[:16])
        raise AuthenticationError(
            "an answer to no challenge, or to one that is used up", reason=Reason.NONCE_UNKNOWN, finding=finding
        )
    pending = Pending.read_untrusted(path)
    found = hashlib.sha256(bytes.fromhex(answer.secret)).hexdigest()
    if pending.chip != answer.chip or not hmac.compare_digest(found, pending.secret_digest):
        raise AuthenticationError("the answer is not what was asked for", reason=Reason.EVIDENCE_INVALID)
    if now > pending.expires:
        raise FreshnessError("the challenge is over: make a new one")
    path.unlink(missing_ok=True)
    return bytes.fromhex(answer.chip)


def _attestation_key_untrusted(identity: Identity) -> tuple[PublicArea, str]:
    area = _area_untrusted(identity.ak, "ak", _AK_ATTRIBUTES)
    chip = attestation_key_untrusted(identity.ak).chip.hex()
    if chip != identity.chip:
        finding = Finding("identity.chip", chip[:16], identity.chip[:16])
        raise AuthenticationError("the identity names another chip than its key", finding=finding)
    return area, chip


def _area_untrusted(public: bytes, name: str, wanted: int) -> PublicArea:
    """The public area in a TPM2B_PUBLIC, if it says that the key is of this kind.

    The challenge is bound to a name, which is a hash: one with collisions could name a key of software as well.
    """
    area = public_area_untrusted(public[2:])
    hash_untrusted(int.from_bytes(area.name[:2], "big"), f"{name}.nameAlg")
    found = area.attributes & _KINDS
    if int.from_bytes(public[:2], "big") != len(public) - 2 or found != wanted:
        finding = Finding(f"{name}.attributes", f"{wanted:#x}", f"{found:#x}")
        message = f"the {name.upper()} is not a key of the right kind that never leaves its TPM"
        raise AppraisalError(message, finding=finding)
    return area


def _certified(identity: Identity, ek: PublicArea, authorities: bytes, now: float) -> str:
    if identity.ek_certificate is None:
        finding = Finding("identity.ek_certificate", "a certificate", "none")
        raise AuthenticationError("the TPM has no EK certificate to check", finding=finding)
    return check_endorsement(ek.key, identity.ek_certificate, authorities, now)


def _make_credential(ek: bytes, ak_name: bytes, secret: bytes) -> bytes:
    """In software: no TPM is needed here."""
    with TpmTools(None).desk() as desk:
        desk.write("ek.pub", ek)
        desk.write("secret", secret)
        arguments = ("-u", "ek.pub", "-s", "secret", "-n", ak_name.hex(), "-o", "credential")
        desk.run("makecredential", "-Q", "-T", "none", *arguments)
        return desk.read("credential")


def _pending_path(folder: FleetFolder, chip: str) -> Path:
    if not folder.authority.is_dir():
        raise ConfigurationError(f"{folder.authority}: is not there: challenges are made where the authority is")
    return folder.authority / "tpm" / f"{chip}.json"
