"""What the agent's machine and the operator carry to one another to enrol a TPM: three JSON files, none of them secret.

identity    what the machine says of itself: its attestation key (AK), its endorsement key (EK), the EK's certificate
challenge   a secret that only the TPM of that EK gives out, and only if that AK lives in it too
answer      the secret: proof for whoever made the challenge, of no use to anybody else
"""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from protocol.errors import ConfigurationError, Finding, MalformedError
from storage.files import read_bytes, write_private

MAX_DOCUMENT: Final = 32_768

Structure = Annotated[bytes, Field(min_length=1, max_length=4096)]
"""A TPM's structure: TPM2B_PUBLIC and the like. Bytes are base64 in the files."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in hex. `chip` is that of the AK's SubjectPublicKeyInfo."""


class Document(BaseModel):
    """The base of the three: what nobody wrote is refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, ser_json_bytes="base64", val_json_bytes="base64"
    )

    @classmethod
    def read_untrusted(cls, path: Path) -> Self:
        """The document in a file that another machine wrote. Nothing in it is trusted.

        Raises `ConfigurationError`, also for another content: the person who named the file named the wrong one.
        """
        try:
            return cls.parse_untrusted(read_bytes(path, max_bytes=MAX_DOCUMENT), str(path))
        except MalformedError as error:
            raise ConfigurationError(str(error), finding=error.finding) from None

    @classmethod
    def parse_untrusted(cls, data: bytes, name: str) -> Self:
        """The document in these bytes. Raises `MalformedError`."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            field = ".".join(str(part) for part in first["loc"]) or "document"
            finding = Finding(field, first["msg"], "not so")
            raise MalformedError(f"{name}: is not a {cls.__name__.lower()} of a TPM", finding=finding) from None

    def write(self, path: Path) -> None:
        """Write a new file. Raises `ConfigurationError`, also where there is one already."""
        write_private(path, self.model_dump_json(indent=1).encode() + b"\n", replace=False)


class Identity(Document):
    """`ak` and `ek` are TPM2B_PUBLIC, `ek_certificate` X.509 in DER."""

    type: Literal["sealedge-tpm-identity-1"] = "sealedge-tpm-identity-1"
    chip: Digest
    ak: Structure
    ek: Structure
    ek_certificate: Annotated[bytes, Field(max_length=8192)] | None = None


class Challenge(Document):
    """`credential` is the file of TPM2_MakeCredential that tpm2-tools write and read."""

    type: Literal["sealedge-tpm-challenge-1"] = "sealedge-tpm-challenge-1"
    chip: Digest
    credential: Structure


class Answer(Document):
    """`secret` is what the TPM found in the credential."""

    type: Literal["sealedge-tpm-answer-1"] = "sealedge-tpm-answer-1"
    chip: Digest
    secret: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]


class Pending(Document):
    """What the operator remembers of a challenge, and of whom it was. Times are seconds since the epoch."""

    type: Literal["sealedge-tpm-pending-1"] = "sealedge-tpm-pending-1"
    chip: Digest
    secret_digest: Digest
    expires: int
    ek_certified_by: str | None = None
