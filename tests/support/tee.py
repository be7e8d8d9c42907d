"""Claims of TEEs as their appraisers give them, for tests of what is said of them."""

from typing import Any

from schemas.kinds import Tier
from schemas.policy import AppraisalPolicy
from verifier.evidence.interface import TcbStatus, TeeClaims
from verifier.policy import load_policy

MEASUREMENT = bytes([0xAA]) * 48
CHIP = bytes([0xC0]) * 32
NOW = 1_800_000_000.0
HEX = MEASUREMENT.hex()


def claims_of(tier: Tier = Tier.NITRO, **changes: Any) -> TeeClaims:
    """What an honest machine's evidence comes to."""
    values: dict[str, Any] = {
        "tier": tier,
        "chip": CHIP,
        "measurement": MEASUREMENT,
        "report_data": bytes(64),
        "debug": False,
        **changes,
    }
    return TeeClaims(**values)


def snp(**changes: Any) -> TeeClaims:
    """An SNP guest's."""
    reported = {"bootloader": 4, "tee": 0, "snp": 24, "microcode": 219}
    claims = {"policy": {"migrate_ma": False, "debug": False}, "tcb": {"reported": reported}, "guest_svn": 3}
    return claims_of(Tier.SEV_SNP, **{"claims": claims, **changes})


def tdx(**changes: Any) -> TeeClaims:
    """A trust domain's, on a machine that is up to date."""
    return claims_of(Tier.TDX, **{"tcb_status": TcbStatus.UP_TO_DATE, **changes})


def policy_of(*tiers: Tier, more: str = "", top: str = "", measurements: str = f'"{HEX}"') -> AppraisalPolicy:
    """A policy that accepts tiers and the measurement above; `top` before its tables, `more` behind."""
    accepted = ", ".join(f'"{tier}"' for tier in tiers or (Tier.NITRO,))
    return load_policy(
        f"{top}\n[tiers]\naccept = [{accepted}]\n[reference_values]\nmeasurements = [{measurements}]\n{more}"
    )
