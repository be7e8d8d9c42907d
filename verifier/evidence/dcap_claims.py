"""What a policy can ask of an SGX or TDX quote: its report, its platform, its quoting enclave, its rating."""

from collections.abc import Mapping

from verifier.evidence.dcap_collateral import Collateral
from verifier.evidence.dcap_pck import Platform
from verifier.evidence.dcap_quote import Quote, Tee
from verifier.evidence.dcap_rating import Rating
from verifier.evidence.dcap_tcb import Level
from verifier.evidence.interface import Claim

_NUMBERS = ("isv_prod_id", "isv_svn", "config_svn", "vmid")
_SGX_DEBUG = 0x02


def is_debug(quote: Quote) -> bool:
    """Whether the host may look inside: ATTRIBUTES.DEBUG of an enclave, any bit of TUD of a trust domain.

    TUD is the first byte of TD attributes: DEBUG, and seven bits that are reserved for more of its kind.
    """
    if quote.tee == Tee.SGX:
        return bool(quote.body.field("attributes")[0] & _SGX_DEBUG)
    return quote.body.field("td_attributes")[0] != 0


def claims_of(quote: Quote, platform: Platform, collateral: Collateral, rating: Rating) -> Mapping[str, Claim]:
    """All that is authentic, by name. SVNs of a platform are 16 bytes, one each."""
    fields: dict[str, Claim] = dict(quote.body.fields)
    fields |= {name: quote.body.number(name) for name in _NUMBERS if name in fields}
    return {
        **fields,
        "quote_version": quote.version,
        "body_type": int(quote.body.type),
        "user_data": quote.user_data,
        "debug": is_debug(quote),
        "fmspc": platform.fmspc,
        "pce_id": platform.pce_id,
        "pce_svn": platform.pce_svn,
        "tcb_components": platform.components,
        "sgx_type": platform.sgx_type,
        "platform": dict(platform.flags),
        "qe": _qe_claims(quote),
        "tcb_status": str(rating.status),
        "tcb_evaluation": rating.evaluation,
        "tcb_levels": {name: _level_claims(level) for name, level in rating.levels.items()},
        "advisories": rating.advisories,
        "revocation_checked": collateral.pck_crl is not None and collateral.root_crl is not None,
    }


def _qe_claims(quote: Quote) -> Mapping[str, Claim]:
    report = quote.qe_report
    names = ("mr_enclave", "mr_signer", "attributes", "cpu_svn")
    return {**{name: report.field(name) for name in names}, **{n: report.number(n) for n in ("isv_prod_id", "isv_svn")}}


def _level_claims(level: Level) -> Mapping[str, Claim]:
    return {"status": str(level.status), "date": level.tcb_date.date().isoformat(), "advisories": level.advisories}
