"""Reason codes: why something was refused.

One word per cause. The same code stands in the refusal on the wire, in the JSON status, in the log, in the
command line's error and in SPECIFICATION.md. A code never carries a secret and never depends on one.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a message, a party or a request was refused (SPECIFICATION.md, "Refusals")."""

    # The bytes themselves
    MALFORMED = "malformed"
    OVERSIZED = "oversized"
    UNSUPPORTED = "unsupported"
    # Who and where
    SIGNATURE_INVALID = "signature-invalid"
    DECRYPTION_FAILED = "decryption-failed"
    UNKNOWN_SIGNER = "unknown-signer"
    CREDENTIAL_INVALID = "credential-invalid"
    ROLE_NOT_ALLOWED = "role-not-allowed"
    MISADDRESSED = "misaddressed"
    # When
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    NONCE_UNKNOWN = "nonce-unknown"
    REPLAYED = "replayed"
    STALE = "stale"
    UNEXPECTED = "unexpected"
    # Attestation
    EVIDENCE_INVALID = "evidence-invalid"
    BINDING_MISMATCH = "binding-mismatch"
    TIER_NOT_ACCEPTED = "tier-not-accepted"
    MEASUREMENT_UNKNOWN = "measurement-unknown"
    CHIP_NOT_ALLOWED = "chip-not-allowed"
    DEBUG_ENABLED = "debug-enabled"
    NOT_ATTESTED = "not-attested"
    LEASE_EXPIRED = "lease-expired"
    REVOKED = "revoked"
    # Model and inference
    MODEL_UNKNOWN = "model-unknown"
    MODEL_INVALID = "model-invalid"
    SESSION_UNKNOWN = "session-unknown"
    SESSION_LIMIT = "session-limit"
    INPUT_INVALID = "input-invalid"
    OUTPUT_TOO_LARGE = "output-too-large"
    DEADLINE_EXCEEDED = "deadline-exceeded"
    MEMORY_LIMIT = "memory-limit"
    GUEST_TRAP = "guest-trap"
    BUSY = "busy"
    # This side
    CONFIGURATION = "configuration"
    STORE_FAILED = "store-failed"
    TRANSPORT_FAILED = "transport-failed"
    TIMEOUT = "timeout"
    INTERNAL = "internal"
