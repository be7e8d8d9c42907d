"""Evidence of a TPM 2.0: a quote by an attestation key, and what explains the quoted PCRs.

A TPM has no vendor chain here: its attestation key is the machine's name (`TeeClaims.chip`), believed because an
enrolment lists it. That the key lives in a TPM is what the enrolment found out. A TPM hides nothing from the
machine's owner; it tells what was measured since the machine started.
"""

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import rsa

from schemas.evidence import TPM
from schemas.kinds import Tier
from verifier.evidence.examination import Examination
from verifier.evidence.interface import Claim, Endorsements, Parts, TeeClaims, required
from verifier.evidence.public_keys import spki
from verifier.evidence.tpm_boot import check_event_log_untrusted, check_measurements_untrusted
from verifier.evidence.tpm_keys import AttestationKey, attestation_key_untrusted, check_area, is_signed
from verifier.evidence.tpm_pcrs import PcrValues, check_digest, pcr_values_untrusted
from verifier.evidence.tpm_structures import Quote, Signature, quote_untrusted, signature_untrusted


class TpmAppraiser:
    """Appraises `schemas.evidence.TPM`. A key that lies in `endorsements` as `tpm/ak/{chip}` is noted as endorsed."""

    form = TPM

    def __init__(self, endorsements: Endorsements) -> None:
        self._endorsements = endorsements

    def appraise_untrusted(self, parts: Parts, now: float, examination: Examination) -> TeeClaims:  # noqa: ARG002 - nothing in a quote ends
        """Returns what the holder of the attestation key quoted, `chip` being SHA-256 over that key's SPKI.

        `measurement` is the last of what the agent extended and `earlier` the others; without such a list it is
        the quote's pcrDigest. Raises `MalformedError`, `UnsupportedError`, `AuthenticationError`, `AppraisalError`.
        """
        message = required(parts, "quote")
        quote, signature = quote_untrusted(message), signature_untrusted(required(parts, "sig"))
        values = pcr_values_untrusted(required(parts, "pcrs"), quote)
        ak = attestation_key_untrusted(required(parts, "ak"))
        check_signature(ak, signature, message, examination)
        endorsed = self._is_endorsed(ak, examination)
        check_digest(quote, values, signature.hash, examination)
        claims: dict[str, Claim] = {
            "quote": quote_claims(quote),
            "pcrs": pcr_claims(values),
            "ak": {**key_claims(ak), "endorsed": endorsed},
            **boot_claims(parts, values, examination),
            **measurement_claims(parts, values, examination),
        }
        return _tee_claims(quote, ak, claims)

    def _is_endorsed(self, ak: AttestationKey, examination: Examination) -> bool:
        """Whether the folder has this key: by its name, and as the same key."""
        found = self._endorsements.find(f"tpm/ak/{ak.chip.hex()}")
        endorsed = found is not None and attestation_key_untrusted(found).chip == ak.chip
        examination.note("tpm.ak", "an enrolled key", "endorsed" if endorsed else "self-declared: see the chip list")
        return endorsed


def check_signature(ak: AttestationKey, signature: Signature, message: bytes, examination: Examination) -> None:
    """Check that `ak` signed `message`, and that a TPM would let it sign nothing else. Raises `RemoteError`s."""
    signer = f"{signature.scheme.name} {signature.hash} of {ak.chip.hex()[:16]}"
    examination.signature_checked(is_signed(ak.key, signature, message), "tpm.signature", signer)
    check_area(ak, signature, examination)
    examination.signature = "valid"


def quote_claims(quote: Quote) -> Mapping[str, Claim]:
    """What the TPM says beside PCR values, as claims."""
    return {
        "extra_data": quote.extra_data,
        "qualified_signer": quote.qualified_signer,
        "clock": quote.clock,
        "reset_count": quote.reset_count,
        "restart_count": quote.restart_count,
        "safe": quote.safe,
        "firmware_version": quote.firmware_version,
        "pcr_digest": quote.pcr_digest,
        "banks": tuple(each.bank for each in quote.selections),
    }


def pcr_claims(values: PcrValues) -> Mapping[str, Claim]:
    """Quoted values by bank and index, `pcrs.sha256.7` for one."""
    return {bank: {str(index): found[index] for index in sorted(found)} for bank, found in values.items()}


def key_claims(ak: AttestationKey) -> dict[str, Claim]:
    """The attestation key, as claims.

    `declared` is what its public area says beside the key, None where none was given: the sender's word, since only
    the enrolment has seen that the TPM knows the key by that name.
    """
    is_rsa = isinstance(ak.key, rsa.RSAPublicKey)
    area = ak.area
    return {
        "sha256": ak.chip,
        "spki": spki(ak.key),
        "type": "rsa" if is_rsa else "ecc",
        "bits": ak.key.key_size,
        "declared": None if area is None else {"name": area.name, "attributes": area.attribute_names},
    }


def boot_claims(parts: Parts, values: PcrValues, examination: Examination) -> Mapping[str, Claim]:
    """What the event log says, if one is given and explains the quoted PCRs. Raises `RemoteError`s."""
    if "eventlog" not in parts:
        examination.note("tpm.eventlog", "a log that gives the quoted values", "not given")
        return {}
    return {"eventlog": check_event_log_untrusted(parts["eventlog"], values, examination)}


def measurement_claims(parts: Parts, values: PcrValues, examination: Examination) -> Mapping[str, Claim]:
    """What the agent extended and into which PCR, if a list is given and is the whole of it. Raises `RemoteError`s."""
    if "measurements" not in parts:
        examination.note("tpm.measurements", "what the agent extended", "not given: the pcrDigest stands for it")
        return {}
    index, digests = check_measurements_untrusted(parts["measurements"], values, examination)
    return {"agent_pcr": index, "measurements": digests}


def _tee_claims(quote: Quote, ak: AttestationKey, claims: Mapping[str, Claim]) -> TeeClaims:
    listed = claims.get("measurements")
    measured = tuple(each for each in listed if isinstance(each, bytes)) if isinstance(listed, tuple) else ()
    *earlier, measurement = measured or (quote.pcr_digest,)
    return TeeClaims(
        tier=Tier.TPM,
        chip=ak.chip,
        measurement=measurement,
        earlier=tuple(earlier),
        report_data=quote.extra_data,
        debug=False,
        opaque=False,
        claims=claims,
    )
