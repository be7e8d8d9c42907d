"""What a relying party checks before it believes a result.

result ─> attestation result (verifier) ─> receipt (enclave) ─> request, module, version ─> commitments to the data
"""

from dataclasses import dataclass, field

from protocol.attestation import Passport
from protocol.errors import AuthenticationError, Finding, UnexpectedError
from protocol.messages import decode_message_untrusted, encode_message
from protocol.receipts import VerifiedRoots, check_commitment, open_receipt_untrusted
from protocol.trust import Trust, check_times
from schemas.kinds import Tier
from schemas.reason import Reason
from schemas.session import InferenceResult, Receipt, ReceiptBundle
from sealedge.client.passports import ResultPassports


@dataclass(frozen=True, slots=True)
class VerifiedResult:
    """A result whose enclave, tier, lease, receipt and output commitment hold."""

    result: InferenceResult = field(repr=False)
    receipt: Receipt
    passport: Passport

    @property
    def bundle(self) -> bytes:
        """The encoded `ReceiptBundle`, with the salt: for whoever may check the data, too."""
        bundle = ReceiptBundle(
            attestation_result=self.result.attestation_result, receipt=self.result.receipt, salt=self.result.salt
        )
        return encode_message(bundle)

    @property
    def step(self) -> int | None:
        """How many requests of the session the model's state was carried through before; None without state."""
        return None if self.receipt.carried is None else self.receipt.carried.step

    def check_input(self, value: bytes) -> None:
        """Raises `AuthenticationError` unless the receipt commits to this input."""
        check_commitment("input", self.result.salt, value, self.receipt.input_commitment)


class ResultCheck:
    """The relying party's check, for results that `tiers` are good enough for; `policy` names that list."""

    def __init__(self, trust: Trust, tiers: tuple[Tier, ...], policy: str) -> None:
        self._trust, self._tiers, self._policy = trust, tiers, policy
        self._passports, self._roots = ResultPassports(trust), VerifiedRoots()

    def open_untrusted(self, plaintext: bytes, request: bytes, now: float) -> VerifiedResult:
        """Returns the verified result of `request`. It may be a repetition, or of an older version than one seen.

        Raises `MalformedError`, `AuthenticationError`, `FreshnessError`, `AppraisalError`.
        """
        result = decode_message_untrusted(InferenceResult, plaintext)
        passport = self._passports.open_untrusted(result.attestation_result, now)
        passport.check_tier(self._tiers, self._policy)
        receipt = open_receipt_untrusted(result.receipt, passport, self._roots)
        for claim, found in (("result.request", result.request), ("receipt.request", receipt.request)):
            if found != request:
                raise AuthenticationError(
                    "the result of another request",
                    reason=Reason.MISADDRESSED,
                    finding=Finding(claim, request.hex(), found.hex()),
                )
        check_times("receipt", receipt.time, float("inf"), now)
        self._trust.revocations.check("model", receipt.module)
        if result.output is not None:
            check_commitment("output", result.salt, result.output, receipt.output_commitment)
        return VerifiedResult(result, receipt, passport)

    def forget(self) -> None:
        """A newer revocation list is in force: passports are verified anew."""
        self._passports.forget()


def correlation_untrusted(correlation: bytes | None) -> bytes:
    """The 16 bytes of a request or session id. Raises `UnexpectedError` for anything else."""
    if correlation is None or len(correlation) != 16:
        raise UnexpectedError("no correlation data of 16 bytes", finding=Finding("correlation", "16 bytes", "others"))
    return correlation
