"""What a verifier accepts: the appraisal policy. `PolicyText` is what its TOML says; all that it may say stands here.

name = "plant"                        allow_debug, allow_migration = false; lease_seconds, challenge_seconds
[tiers] accept = ["sev-snp"]          the simulated tier is accepted only where it is named (P6)
[reference_values] measurements = []  hex, 32, 48 or 64 bytes: enclaves that may run
[tcb] accept = ["UpToDate"]           and [tcb.minimum."sev-snp"] snp = 24
[chips] unnamed = []                  tiers that may name no chip
[enclave] confinement = []            words for what the enclave's process must have given up
[roots] amd = []                      further pins beside the vendors' own
[[expect]] tier = "tpm"               claim = "pcrs.sha256.7", any_of = ["hex"]
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints

from schemas.attestation import TierName
from schemas.base import Name, Text
from schemas.reference_values import ReferenceDocument

HexDigest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
HexMeasurement = Annotated[str, StringConstraints(pattern=r"^(?:[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})$")]
FileName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Level = Annotated[int, Field(ge=0, le=255)]

AcceptableTcb = Literal[
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "undetermined",
]
"""TCB statuses that a policy may put up with. Revoked levels, and those that match none, are not among them."""

ExpectableAspect = Literal["configuration", "executables", "file_system", "storage_opaque", "sourced_data"]


def _value(value: object) -> bool | int | str:
    """One fault for all types, where a union would name each that did not fit."""
    if isinstance(value, str) or (isinstance(value, int) and -(2**63) <= value < 2**64):
        return value
    raise ValueError("Input should be true, false, text, or a whole number of 64 bits")


Value = Annotated[bool | int | str, PlainValidator(_value)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tiers(_Section):
    """Which kinds of TEE are good enough."""

    accept: tuple[TierName, ...] = ()


class ReferenceValues(_Section):
    """What an enclave must measure as. An empty list of configurations accepts any configuration.

    `chips`          SHA-256 of chip identities: where not empty, an allow-list beside the enrolment's
    `corim`          signed CoRIM files, relative to the policy's; each must verify under one of `corim_keys`
    `corim_unsigned` CoRIM files that nobody signed
    `corim_profiles` profiles (URI, or OID in hex) of CoRIM whose reference values may be read without the profile
    """

    measurements: tuple[HexMeasurement, ...] = ()
    configurations: tuple[HexDigest, ...] = ()
    chips: tuple[HexDigest, ...] = ()
    corim: tuple[FileName, ...] = Field(default=(), max_length=64)
    corim_unsigned: tuple[FileName, ...] = Field(default=(), max_length=64)
    corim_keys: tuple[FileName, ...] = Field(default=(), max_length=16)
    corim_profiles: tuple[Text, ...] = Field(default=(), max_length=16)


class SnpMinimum(_Section):
    """The least security version of each part of AMD's firmware; a part that is left out may have any."""

    fmc: Level | None = None
    bootloader: Level | None = None
    tee: Level | None = None
    snp: Level | None = None
    microcode: Level | None = None


class Minimum(_Section):
    """Least firmware for kinds whose vendor rates none. An empty table accepts any, on purpose."""

    sev_snp: SnpMinimum | None = Field(default=None, alias="sev-snp")
    azure_sev_snp: SnpMinimum | None = Field(default=None, alias="azure-sev-snp")


class Tcb(_Section):
    """Which firmware is good enough. Advisories count where the status is not UpToDate: each must be tolerated.

    `platforms` names the firmware of CCA platforms: SHA-256 over their software components, as the trace shows it.
    """

    accept: tuple[AcceptableTcb, ...] = ("UpToDate",)
    advisories_tolerated: tuple[Text, ...] = ()
    minimum: Minimum = Minimum()
    platforms: tuple[HexDigest, ...] = ()


class Chips(_Section):
    """Tiers whose evidence may name no chip (SNP under a VLEK): any machine of that vendor fits the enrolment."""

    unnamed: tuple[TierName, ...] = ()


class EnclavePolicy(_Section):
    """Words that must stand in the enclave's claim `confinement`: worth what the measurement is that claims them."""

    confinement: tuple[Name, ...] = Field(default=(), max_length=32)


class RootPins(_Section):
    """SHA-256 fingerprints of further root certificates (DER), beside the pinned ones: a laboratory's."""

    amd: tuple[HexDigest, ...] = ()
    intel: tuple[HexDigest, ...] = ()
    aws: tuple[HexDigest, ...] = ()


class Expectation(_Section):
    """One claim that evidence of a tier must make, by its dotted path, and the values that it may have.

    Byte strings are compared as lower-case hex. `aspect` is what of the trustworthiness vector it speaks of.
    """

    tier: TierName
    claim: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    any_of: tuple[Value, ...] = Field(min_length=1, max_length=256)
    aspect: ExpectableAspect = "configuration"


class PolicyText(_Section):
    """All that the TOML of a policy may say. Nothing of it accepts anything unless told to."""

    name: Text = "default"
    tiers: Tiers = Tiers()
    reference_values: ReferenceValues = ReferenceValues()
    tcb: Tcb = Tcb()
    chips: Chips = Chips()
    enclave: EnclavePolicy = EnclavePolicy()
    roots: RootPins = RootPins()
    expect: tuple[Expectation, ...] = Field(default=(), max_length=32)
    allow_debug: bool = False
    allow_migration: bool = False
    lease_seconds: int = Field(default=300, ge=10, le=86_400)
    challenge_seconds: int = Field(default=60, ge=5, le=3600)


class AppraisalPolicy(PolicyText):
    """The policy of a verifier, with what the files that it names hold. The default accepts nothing."""

    documents: tuple[ReferenceDocument, ...] = ()
