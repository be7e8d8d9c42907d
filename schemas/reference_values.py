"""Reference values that a file supplied, in this project's own words: what is kept of a CoRIM.

A document has triples; a triple says that in an environment all its measurements may be found together.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from schemas.base import Digest, Text

Measured = Annotated[bytes, Field(min_length=32, max_length=64)]
"""A digest as a TEE or a file gives it: SHA-256, SHA-384 or SHA-512."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Environment(_Value):
    """Of whom a triple speaks. `named` is for people; the rest must be found in the evidence.

    `implementation` the class id where it is bytes: PSA's implementation id
    `instance`       the instance id where it is bytes or a UEID
    """

    named: Text = ""
    implementation: bytes | None = None
    instance: bytes | None = None


class ReferenceMeasurement(_Value):
    """One measurement: every field that is given must hold of the evidence.

    `key`       which element was measured: the dotted path of a claim, or only a name
    `signer`    the signer of a PSA software component
    `digests`   any one of them
    `svn`, `least_svn` a security version, exactly or at least
    `raw`, `mask` a claim of bytes, in the bits of the mask
    `registers` name of a register to the digests that it may hold
    `debug`     whether the TEE may be, and must be, debugged
    """

    key: Text | None = None
    signer: bytes | None = None
    digests: tuple[Measured, ...] = ()
    svn: int | None = None
    least_svn: int | None = None
    raw: bytes | None = None
    mask: bytes | None = None
    registers: tuple[tuple[Text, tuple[Measured, ...]], ...] = ()
    debug: bool | None = None


class ReferenceTriple(_Value):
    """A reference value: all of these measurements, in this environment. `tag` is the CoMID that says so."""

    tag: Text
    environment: Environment
    measurements: tuple[ReferenceMeasurement, ...] = Field(min_length=1)


class ReferenceDocument(_Value):
    """One file of reference values. `not_before` and `not_after` in seconds since 1970, None where it says nothing.

    `signer` is the thumbprint of the key that it verified under, None where nobody signed it; `skipped` says what
    in it was not used, one line each.
    """

    name: Text
    digest: Digest
    identifier: Text
    signer: Digest | None = None
    not_before: int | None = None
    not_after: int | None = None
    triples: tuple[ReferenceTriple, ...] = Field(min_length=1)
    skipped: tuple[Text, ...] = ()
