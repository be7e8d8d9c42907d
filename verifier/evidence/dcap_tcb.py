"""What Intel publishes about firmware, and how a platform rates by it (Intel PCS API v4: TCB info, enclave identity).

A level holds for a platform that has at least its security version numbers (SVNs). The first level of the list that
holds is the platform's; that none holds is an outcome of its own (`none-matches`), never the last level. The worst of
platform, TDX module and quoting enclave counts.
"""

from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from verifier.evidence.dcap_body import Body
from verifier.evidence.interface import TcbStatus

_NOT_PUBLISHED = (TcbStatus.NONE_MATCHES, TcbStatus.UNDETERMINED)


def _published(status: TcbStatus) -> TcbStatus:
    if status in _NOT_PUBLISHED:
        raise ValueError("not a status that Intel gives")
    return status


def _unhex(value: object) -> object:
    return bytes.fromhex(value) if isinstance(value, str) else value


def _bytes(size: int, alias: str | None = None) -> Any:
    return Field(min_length=size, max_length=size, alias=alias)


Svn = Annotated[int, Field(strict=True, ge=0, le=255)]
LongSvn = Annotated[int, Field(strict=True, ge=0, le=65535)]
Status = Annotated[TcbStatus, AfterValidator(_published)]
Hex = Annotated[bytes, BeforeValidator(_unhex)]


class Published(BaseModel):
    """Part of a document of Intel's. It may say more than is read here."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Component(Published):
    """The SVN of one part of the firmware."""

    svn: Svn


Components = Annotated[tuple[Component, ...], Field(min_length=16, max_length=16)]


class PlatformTcb(Published):
    """SVNs of a platform's firmware."""

    sgxtcbcomponents: Components
    tdxtcbcomponents: Components | None = None
    pcesvn: LongSvn

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """Version 2 names the components one by one."""
        if isinstance(value, dict) and "sgxtcbcomp01svn" in value:
            value = {**value, "sgxtcbcomponents": [{"svn": value.get(f"sgxtcbcomp{n:02}svn")} for n in range(1, 17)]}
        return value

    @cached_property
    def sgx(self) -> bytes:
        """16 SVNs."""
        return bytes(component.svn for component in self.sgxtcbcomponents)

    @cached_property
    def tdx(self) -> bytes | None:
        """16 SVNs, of TDX alone."""
        return None if self.tdxtcbcomponents is None else bytes(component.svn for component in self.tdxtcbcomponents)


class EnclaveTcb(Published):
    """The SVN of an enclave, or of a TDX module."""

    isvsvn: LongSvn


class Level(Published):
    """What Intel thinks of everything from these SVNs on."""

    tcb_date: datetime = Field(alias="tcbDate")
    status: Status = Field(alias="tcbStatus")
    advisories: tuple[str, ...] = Field(default=(), alias="advisoryIDs")


class PlatformLevel(Level):
    """A level of a platform."""

    tcb: PlatformTcb


class EnclaveLevel(Level):
    """A level of an enclave, or of a TDX module."""

    tcb: EnclaveTcb


class TdxModule(Published):
    """Who signed the TDX module, and its attributes."""

    mr_signer: Hex = _bytes(48, "mrsigner")
    attributes: Hex = _bytes(8)
    attributes_mask: Hex = _bytes(8, "attributesMask")


class TdxModuleIdentity(TdxModule):
    """The module of one major version, `TDX_01` for example, and its levels."""

    id: str
    levels: tuple[EnclaveLevel, ...] = Field(alias="tcbLevels")


class Document(Published):
    """A document that is valid for a time."""

    issued: datetime = Field(alias="issueDate")
    next_update: datetime = Field(alias="nextUpdate")
    evaluation: int = Field(alias="tcbEvaluationDataNumber", strict=True, ge=0)

    @model_validator(mode="after")
    def _in_utc(self) -> "Document":
        if self.issued.tzinfo is None or self.next_update.tzinfo is None:
            raise ValueError("a time without a zone")
        return self


class TcbInfo(Document):
    """The levels of all platforms of one FMSPC."""

    id: Literal["SGX", "TDX"] = "SGX"
    version: Literal[2, 3]
    fmspc: Hex = _bytes(6)
    pce_id: Hex = _bytes(2, "pceId")
    tdx_module: TdxModule | None = Field(default=None, alias="tdxModule")
    tdx_modules: tuple[TdxModuleIdentity, ...] = Field(default=(), alias="tdxModuleIdentities")
    levels: tuple[PlatformLevel, ...] = Field(alias="tcbLevels")

    def level(self, components: bytes, pce_svn: int, tee_tcb_svn: bytes | None) -> PlatformLevel | None:
        """The first level that holds; `tee_tcb_svn` is that of a TD. None where none does."""
        for level in self.levels:
            if pce_svn >= level.tcb.pcesvn and _reaches(components, level.tcb.sgx):
                if tee_tcb_svn is None:
                    return level
                # From major version 1 on, the first two SVNs are the module's own, and rated by its identity.
                start = 2 if tee_tcb_svn[1] > 0 else 0
                if level.tcb.tdx is not None and _reaches(tee_tcb_svn[start:], level.tcb.tdx[start:]):
                    return level
        return None

    def module(self, major: int) -> TdxModule | TdxModuleIdentity | None:
        """What the TDX module of this major version must be."""
        if major == 0:
            return self.tdx_module
        name = f"TDX_{major:02X}"
        return next((module for module in self.tdx_modules if module.id.upper() == name), None)


class EnclaveIdentity(Document):
    """Which enclave is Intel's quoting enclave, and its levels."""

    id: Literal["QE", "TD_QE"]
    version: Literal[2, 3]
    misc_select: Hex = _bytes(4, "miscselect")
    misc_select_mask: Hex = _bytes(4, "miscselectMask")
    attributes: Hex = _bytes(16)
    attributes_mask: Hex = _bytes(16, "attributesMask")
    mr_signer: Hex = _bytes(32, "mrsigner")
    isv_prod_id: LongSvn = Field(alias="isvprodid")
    levels: tuple[EnclaveLevel, ...] = Field(alias="tcbLevels")

    def mismatch(self, report: Body) -> str | None:
        """The first field in which `report` is of another enclave, or None."""
        found = {
            "misc_select": masked(report.field("misc_select"), self.misc_select_mask) == self.misc_select,
            "attributes": masked(report.field("attributes"), self.attributes_mask) == self.attributes,
            "mr_signer": report.field("mr_signer") == self.mr_signer,
            "isv_prod_id": report.number("isv_prod_id") == self.isv_prod_id,
        }
        return next((name for name, holds in found.items() if not holds), None)


def enclave_level(levels: tuple[EnclaveLevel, ...], svn: int) -> EnclaveLevel | None:
    """The first level that holds for this SVN, or None."""
    return next((level for level in levels if svn >= level.tcb.isvsvn), None)


def masked(value: bytes, mask: bytes) -> bytes:
    """The bits of `value` that `mask` has; both of one length."""
    return bytes(a & b for a, b in zip(value, mask, strict=True))


_OUT_OF_DATE: Final = {
    TcbStatus.UP_TO_DATE: TcbStatus.OUT_OF_DATE,
    TcbStatus.SW_HARDENING_NEEDED: TcbStatus.OUT_OF_DATE,
    TcbStatus.CONFIGURATION_NEEDED: TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
}


def converge(platform: TcbStatus, part: TcbStatus) -> TcbStatus:
    """The status of a platform of which a part (TDX module, quoting enclave) has this status.

    As Intel's library has it: a part is up to date, revoked, matched by no level, or else out of date.
    """
    for status in (TcbStatus.NONE_MATCHES, TcbStatus.REVOKED):
        if status in (platform, part):
            return status
    return platform if part == TcbStatus.UP_TO_DATE else _OUT_OF_DATE.get(platform, platform)


def _reaches(svns: bytes, level: bytes) -> bool:
    """Each SVN at least that of the level."""
    return all(svn >= least for svn, least in zip(svns, level, strict=True))
