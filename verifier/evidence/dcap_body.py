"""What Intel's quotes speak of: the report of an SGX enclave, or of a TDX trust domain in one of three lengths.

Fields by name, as in sgx_report_body_t (SGX), sgx_report2_body_t, sgx_report2_body_v1_5_t and its extended form (TDX),
of sgx_quote_3.h to sgx_quote_5.h. Reserved bytes have no name; they are signed like the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Final

REPORT_SIZE: Final = 384


class BodyType(IntEnum):
    """As version 5 of the quote numbers them."""

    SGX = 1
    TDX_1_0 = 2
    TDX_1_5 = 3
    TDX_1_5_EXTENDED = 4


def _fields(*sizes: tuple[str, int]) -> Mapping[str, slice]:
    found, start = {}, 0
    for name, size in sizes:
        found[name] = slice(start, start + size)
        start += size
    return {name: where for name, where in found.items() if not name.startswith("_")}


REPORT: Final = _fields(
    ("cpu_svn", 16),
    ("misc_select", 4),
    ("_reserved1", 12),
    ("isv_ext_prod_id", 16),
    ("attributes", 16),
    ("mr_enclave", 32),
    ("_reserved2", 32),
    ("mr_signer", 32),
    ("_reserved3", 32),
    ("config_id", 64),
    ("isv_prod_id", 2),
    ("isv_svn", 2),
    ("config_svn", 2),
    ("_reserved4", 42),
    ("isv_family_id", 16),
    ("report_data", 64),
)
"""An enclave, the quoting enclave among them."""

_TD_1_0 = (
    ("tee_tcb_svn", 16),
    ("mr_seam", 48),
    ("mr_signer_seam", 48),
    ("seam_attributes", 8),
    ("td_attributes", 8),
    ("xfam", 8),
    ("mr_td", 48),
    ("mr_config_id", 48),
    ("mr_owner", 48),
    ("mr_owner_config", 48),
    ("rtmr0", 48),
    ("rtmr1", 48),
    ("rtmr2", 48),
    ("rtmr3", 48),
    ("report_data", 64),
)
_TD_1_5 = (*_TD_1_0, ("tee_tcb_svn_2", 16), ("mr_service_td", 48))
_TD_1_5_EXTENDED = (
    *_TD_1_5,
    ("vmid", 1),
    ("td_id", 32),
    ("dev_info", 48),
    ("init_service_td_hash", 48),
    ("init_service_td_attributes", 8),
    ("init_cpu_svn", 16),
    ("init_tee_tcb_svn", 16),
    ("init_tee_fmspc", 12),
    ("current_service_td_hash", 48),
    ("current_service_td_attributes", 8),
)

LAYOUTS: Final[Mapping[BodyType, Mapping[str, slice]]] = {
    BodyType.SGX: REPORT,
    BodyType.TDX_1_0: _fields(*_TD_1_0),
    BodyType.TDX_1_5: _fields(*_TD_1_5),
    BodyType.TDX_1_5_EXTENDED: _fields(*_TD_1_5_EXTENDED),
}
SIZES: Final[Mapping[BodyType, int]] = {
    BodyType.SGX: REPORT_SIZE,
    BodyType.TDX_1_0: 584,
    BodyType.TDX_1_5: 648,
    BodyType.TDX_1_5_EXTENDED: 885,
}


@dataclass(frozen=True)
class Body:
    """A report body; its fields by the names of `LAYOUTS`."""

    type: BodyType
    content: bytes

    def field(self, name: str) -> bytes:
        """The bytes of one field."""
        return self.content[LAYOUTS[self.type][name]]

    def number(self, name: str) -> int:
        """One field as an integer."""
        return int.from_bytes(self.field(name), "little")

    @cached_property
    def fields(self) -> Mapping[str, bytes]:
        """All fields but the reserved ones."""
        return {name: self.content[where] for name, where in LAYOUTS[self.type].items()}
