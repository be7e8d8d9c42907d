"""What an enclave leaves with its host for its next start: a model, compiled, and until when it is lent.

    the TEE's sealing key ─HKDF(part, salt, binding)─> a key for one blob ─> COSE_Encrypt0 {kid: salt}, aad: binding

    lease   until when the publisher lent the model: small, sealed anew at each renewal
    code    the module and its machine code: large, sealed once

`wasmtime.Module.deserialize` believes its input, so no bytes reach it but those that opened here (ADR 28). A host can
withhold a blob, or hand in an older one: an older lease ends no later than its publisher once allowed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import Field

from edge_agent.enclave.needs import MAX_SEALED
from protocol.attestation import Passport
from protocol.cbor import CborValue, encode
from protocol.cose import NO_BASE_IV, AeadKey, derive, parse_encrypt0_untrusted, seal0
from protocol.errors import AuthenticationError, Finding, MalformedError
from protocol.messages import DOMAIN, decode_message_untrusted, digest, encode_message
from protocol.party import Randomness
from schemas.base import Counter, Message, Time, at
from schemas.model import Manifest
from schemas.reason import Reason

LEASE: Final = "application/vnd.sealedge.sealed-lease+cose"
CODE: Final = "application/vnd.sealedge.sealed-code+cose"
"""The COSE `typ` of each: neither is ever sent to anybody."""

MAX_LEASE: Final = 1024
"""Bytes of a sealed lease."""

SALT_BYTES: Final = 32
_ROOM: Final = 1024
"""Bytes that the envelope adds at most."""


class ModelLease(Message):
    """The plaintext of a sealed lease. `revocations` is the count of the list in force when it was sealed."""

    expires: Time = at(1)
    renew_at: Time = at(2)
    revocations: Counter = at(3)


class ModelCode(Message):
    """The plaintext of sealed code: the module that the manifest names, and what its compiler made of it."""

    module: Annotated[bytes, Field(min_length=1)] = at(1, repr=False)
    machine_code: Annotated[bytes, Field(min_length=1)] = at(2, repr=False)


@dataclass(frozen=True, slots=True)
class SealedModel:
    """What opened: this very enclave code sealed it, on this machine, for this manifest."""

    lease: ModelLease
    code: ModelCode = field(repr=False)


class SealedCache:
    """Seals and opens for one agent. `engine` is `engine_fingerprint`: it is asked when it is first needed."""

    def __init__(
        self, key: bytes, agent: str, configuration: bytes, engine: Callable[[], str], randomness: Randomness
    ) -> None:
        self._key, self._agent, self._configuration = key, agent, configuration
        self._engine, self._randomness = engine, randomness
        self._fingerprint: str | None = None

    def seal_lease(self, manifest: Manifest, named: bytes, passport: Passport, lease: ModelLease) -> bytes:
        """The lease of the manifest of this digest. Nobody opens it without the TEE's sealing key."""
        return self._seal(LEASE, encode_message(lease), self._binding(manifest, named, passport))

    def seal_code(self, manifest: Manifest, named: bytes, passport: Passport, code: ModelCode) -> bytes | None:
        """The module and its machine code; None where they are too large to be kept (`MAX_SEALED`)."""
        if len(code.module) + len(code.machine_code) + _ROOM > MAX_SEALED:
            return None
        return self._seal(CODE, encode_message(code), self._binding(manifest, named, passport))

    def open_untrusted(
        self, manifest: Manifest, named: bytes, passport: Passport, lease: bytes, code: bytes
    ) -> SealedModel:
        """Returns what was sealed for exactly this. Whether the lease still runs is for the caller to check.

        Raises `AuthenticationError` (decryption-failed, binding-mismatch), `MalformedError`.
        """
        binding = self._binding(manifest, named, passport)
        terms = decode_message_untrusted(ModelLease, self._open_untrusted(LEASE, lease, binding, MAX_LEASE))
        plaintext = self._open_untrusted(CODE, code, binding, MAX_SEALED)
        found = decode_message_untrusted(ModelCode, plaintext, max_bytes=MAX_SEALED)
        if len(found.module) != manifest.size or digest(found.module) != manifest.digest:
            raise AuthenticationError(
                "the sealed module is not the one that the manifest names", reason=Reason.BINDING_MISMATCH
            )
        return SealedModel(terms, found)

    def _binding(self, manifest: Manifest, named: bytes, passport: Passport) -> list[CborValue]:
        """All that must be the same at the next start. Measurement and tier are the verifier's word, not the host's."""
        if self._fingerprint is None:
            self._fingerprint = self._engine()
        return [
            manifest.fleet,
            self._agent,
            manifest.model,
            manifest.version,
            named,
            manifest.digest,
            self._fingerprint,
            passport.result.measurement,
            str(passport.result.tier),
            self._configuration,
        ]

    def _seal(self, part: str, plaintext: bytes, binding: list[CborValue]) -> bytes:
        salt = self._randomness(SALT_BYTES)
        key, aad = self._derived(part, salt, binding), encode([DOMAIN, part, *binding])
        return seal0(key, plaintext, typ=part, kid=salt, partial_iv=0, external_aad=aad)

    def _open_untrusted(self, part: str, blob: bytes, binding: list[CborValue], max_bytes: int) -> bytes:
        sealed = parse_encrypt0_untrusted(blob, max_bytes=max_bytes)
        if len(sealed.kid) != SALT_BYTES or sealed.partial_iv != 0:
            finding = Finding("sealed.kid", f"{SALT_BYTES} bytes", f"{len(sealed.kid)} bytes")
            raise MalformedError("not what an enclave seals", finding=finding)
        key, aad = self._derived(part, sealed.kid, binding), encode([DOMAIN, part, *binding])
        return sealed.open(key, typ=part, external_aad=aad)

    def _derived(self, part: str, salt: bytes, binding: list[CborValue]) -> AeadKey:
        """Each salt is drawn for one blob, so its key encrypts one plaintext, and its only nonce may be zero."""
        info = encode([DOMAIN, "sealed-model-key", part, salt, *binding])
        return AeadKey(derive(self._key, info, 32), NO_BASE_IV)

    def __repr__(self) -> str:
        return f"SealedCache({self._agent})"
