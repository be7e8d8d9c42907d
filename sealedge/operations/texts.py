"""The TOML files of a new fleet, with what a person may want to change said beside it."""

import json
from collections.abc import Iterable, Sequence

from edge_agent.attester.tpm_settings import DEFAULT_TCTI
from schemas.kinds import Role, Tier

Value = str | int | bool | Sequence[str]

_SIMULATION = """\
# ####################################################################################################
# ##  SIMULATION: this policy accepts enclaves that prove NOTHING about their hardware.             ##
# ##  Whoever holds an agent's chip.pem, root on its machine first of all, can read every reading,  ##
# ##  result and model there. For trials only. Remove "simulated" below before anything is at stake ##
# ####################################################################################################
"""

_NO_TIER = """\
# No kind of TEE is accepted yet: name those whose evidence is good enough, for example accept = ["simulated"],
# which proves nothing about hardware and is for trials only.
"""

_FURTHER = """\
# What a policy may say besides. `sealedge policy show policy.toml` shows what the whole comes to, and
# `sealedge policy try new.toml` what a change would do to the agents, before it is made. [reference_values] may
# name signed CoRIM files and the keys that sign them: corim = ["FILE"], corim_keys = ["FILE"].
#
# [tcb]
# accept = ["UpToDate"]        # Intel's rating of firmware; what is listed besides is accepted and not affirmed
# [tcb.minimum."sev-snp"]      # AMD rates none: the least of what is reported. Needed for tier "sev-snp"
# snp = 24
# microcode = 219
# [[expect]]                   # a claim that evidence must make, by its path: `sealedge evidence verify` shows claims
# tier = "tpm"
# claim = "pcrs.sha256.7"
# any_of = ["0000000000000000000000000000000000000000000000000000000000000000"]
"""


def table(values: Iterable[tuple[str, Value]], name: str = "") -> str:
    """One table of TOML. JSON's strings, numbers and lists of strings are TOML's, too (TOML 1.0)."""
    lines = [f"[{name}]"] if name else []
    lines += [f"{key} = {_value(value)}" for key, value in values]
    return "\n".join(lines) + "\n"


def _value(value: Value) -> str:
    said = json.dumps(value if isinstance(value, str | int) else list(value), ensure_ascii=False)
    # The one character that JSON takes as it is and TOML does not.
    return said.replace("\x7f", "\\u007f")


def fleet(name: str, model: str, broker: str, tee: Tier | None, *, certificates: bool) -> str:
    """`fleet.toml`."""
    chosen: list[tuple[str, Value]] = [("tee", str(tee))] if tee is not None else []
    values = [("fleet", name), ("model", model), ("broker", broker), *chosen, ("certificates", certificates)]
    return "# Made by `sealedge init`. What a party that is enrolled later starts from.\n" + table(values)


def policy(fleet_name: str, tee: Tier | None, measurement: str, configuration: str) -> str:
    """`policy.toml` of the verifier: this installation's enclave, in this fleet's configuration, and nothing else."""
    warning = _SIMULATION if tee is Tier.SIMULATED else _NO_TIER if tee is None else ""
    return "\n".join(
        (
            "# What the verifier accepts. Anything not named here is refused.",
            table([("name", fleet_name), ("lease_seconds", 300), ("challenge_seconds", 60)]),
            warning + table([("accept", [] if tee is None else [str(tee)])], "tiers"),
            "# `sealedge measure --config agent.toml` prints both for another installation or configuration.",
            table([("measurements", [measurement]), ("configurations", [configuration])], "reference_values"),
            _FURTHER,
        )
    )


def verifier() -> str:
    """What `verifier.toml` says besides what every party's file says."""
    return table([("policy", "policy.toml")])


def agent(model: str, attester: str | None) -> str:
    """What `agent.toml` says besides."""
    about = table([("enrolment", "enrolment.cwt"), ("models", [model])])
    if attester is None:
        return about + '# The TEE of this machine:\n# attester = ""\n'
    if attester == Tier.TPM:
        # Only for a TPM in software, or an unusual one, is anything to be changed here.
        return about + table([("attester", attester)]) + "\n" + table([("tcti", DEFAULT_TCTI)], "tpm")
    return about + table([("attester", attester), ("chip_key", "chip.pem")])


def sensor(model: str, tiers: Sequence[str], recipients: Sequence[str]) -> str:
    """What `sensor.toml` says besides."""
    delivered = table([("deliver_to", "results"), ("recipients", recipients)])
    return table([("model", model), ("tiers", tiers)]) + (delivered if recipients else "")


def consumer(models: Sequence[str], tiers: Sequence[str]) -> str:
    """What `consumer.toml` says besides."""
    return table([("kem_key", "kem.key"), ("models", models), ("tiers", tiers)])


def party(fleet_name: str, role: Role, name: str, trust: str) -> str:
    """What every party's file says. `trust` is the way from its folder to trust/."""
    values = [
        ("fleet", fleet_name),
        ("name", name),
        ("authority", f"{trust}/authority.pub.pem"),
        ("revocations", f"{trust}/revocations.cose"),
        ("state", "state"),
    ]
    if role is not Role.AGENT:
        values += [("signing_key", "signing.pem"), ("credential", "credential.cwt")]
    return (
        "# Relative paths start at this file. SEALEDGE_NAME, SEALEDGE_BROKER__URL and the like stand above it.\n"
        + table(values)
    )


def tier_in_words(tier: Tier) -> str:
    """What evidence of this tier says, and does not: the end of a sentence that begins with the tier."""
    if tier is Tier.SIMULATED:
        return "proves nothing about hardware"
    if tier is Tier.TPM:
        return "proves the machine's identity and what was measured, and hides nothing from the machine's owner"
    return "is as good as the verifier that gave it" if tier is Tier.EAR else "is evidence of a hardware TEE"
