"""Naming the TEEs of this machine: which attester would use each, what to write for it, and what keeps it away.

A device says that there is hardware, and nothing of its firmware: that is for the verifier to appraise.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.attester.attributes import why
from edge_agent.attester.gramine import DCAP, attestation_type
from edge_agent.attester.tsm import PROVIDERS, Entry, MakeEntry, provider_of
from protocol.errors import SealedgeError
from schemas.kinds import Tier
from sealedge.operations.doctor import Check

COCO_SECONDS: Final = 1.0

_CONFIGFS: Final = "sys/kernel/config/tsm/report"
_NAMES: Final = {"snp": "AMD SEV-SNP guest", "tdx": "Intel TDX guest", "cca": "Arm CCA realm"}
_GUESTS: Final = (("dev/sev-guest", "AMD SEV-SNP guest"), ("dev/tdx_guest", "Intel TDX guest"))


def _may_use(path: Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


def _is_there(path: Path) -> bool:
    """Also false where the folder above may not be looked into."""
    return os.access(path, os.F_OK)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where to look. All but the defaults stands in for hardware in tests. An empty `coco_url` asks nobody."""

    root: Path = Path("/")
    coco_url: str = "http://127.0.0.1:8006"
    may_use: Callable[[Path], bool] = _may_use
    make_entry: MakeEntry = Entry


def check_tees(machine: Machine) -> Iterator[Check]:
    """One line for each TEE that is found, or one that says that there is none."""
    found = [check for look in _LOOKS for check in look(machine)]
    yield from found
    if not found:
        mend = f"agents here can be of the tier {Tier.SIMULATED} alone, which proves nothing about hardware"
        yield Check("tee", "warn", "no device of a TEE", mend)


def _tsm(machine: Machine) -> Iterator[Check]:
    folder = machine.root / _CONFIGFS
    if not _is_there(folder):
        yield from _guests_without_tsm(machine)
        return
    try:
        provider = provider_of(folder, machine.make_entry)
    except PermissionError:
        yield _kept_away(folder, "reports of a confidential VM", "tsm", "run the agent as root: the folder is root's")
        return
    except OSError as error:
        yield Check("tee", "warn", f"{folder}: {why(error)}", "the kernel has the interface, and no TEE behind it")
        return
    if provider in PROVIDERS:
        yield _usable(folder, _NAMES[PROVIDERS[provider][0].name], "tsm")
    else:
        yield Check("tee", "warn", f"{folder}: provider {provider[:64] or 'none'}", "no attester here knows this TEE")


def _guests_without_tsm(machine: Machine) -> Iterator[Check]:
    for device, what in _GUESTS:
        path = machine.root / device
        if _is_there(path):
            mend = 'for attester = "tsm" mount configfs on /sys/kernel/config; the kernel must be 6.7 or newer'
            yield Check("tee", "warn", f"{path}: {what}, without the kernel's report interface", mend)


def _nitro(machine: Machine) -> Iterator[Check]:
    yield from _device(machine, "dev/nsm", "AWS Nitro enclave", "nitro", "run the agent as root")


def _gramine(machine: Machine) -> Iterator[Check]:
    folder = machine.root / "dev/attestation"
    try:
        kind = attestation_type(folder)
    except OSError:
        kind = ""
    if kind == DCAP:
        yield _usable(folder, "Intel SGX under Gramine", "gramine")
    elif kind:
        mend = 'set sgx.remote_attestation = "dcap" in Gramine\'s manifest'
        yield Check("tee", "warn", f"{folder}: Gramine without attestation ({kind[:32]})", mend)
    elif _is_there(machine.root / "dev/sgx_enclave"):
        mend = 'run the agent under Gramine, with attester = "gramine": SGX attests from inside an enclave alone'
        yield Check("tee", "warn", f"{machine.root / 'dev/sgx_enclave'}: Intel SGX, and no enclave around us", mend)


def _coco(machine: Machine) -> Iterator[Check]:
    from edge_agent.attester.coco import CocoAttester  # noqa: PLC0415 - an HTTP client, for pods alone
    from edge_agent.attester.settings import CocoSettings  # noqa: PLC0415

    if not machine.coco_url:
        return
    try:
        attester = CocoAttester(CocoSettings(url=machine.coco_url, timeout_seconds=COCO_SECONDS))
    except SealedgeError:
        return
    yield Check("tee", "ok", f'{machine.coco_url}: Confidential Containers, {attester.tier}: attester = "coco"')


def _optee(machine: Machine) -> Iterator[Check]:
    path = machine.root / "dev/tee0"
    if _is_there(path):
        mend = 'attester = "command", with a program that has a trusted application make a PSA token'
        yield Check("tee", "warn", f"{path}: Arm TrustZone or another GlobalPlatform TEE", mend)


def _tpm(machine: Machine) -> Iterator[Check]:
    managed, bare = machine.root / "dev/tpmrm0", machine.root / "dev/tpm0"
    if not _is_there(managed):
        if _is_there(bare):
            yield Check("tee", "warn", f"{bare}: a TPM without the kernel's resource manager", "a TPM 2.0 is needed")
        return
    if _is_there(machine.root / "sys/devices/virtual/tpm/tpm0"):
        mend = "good for trials: whoever runs that software can make any quote"
        yield Check("tee", "warn", f"{managed}: a TPM in software (swtpm), which is no TEE", mend)
        return
    what = "TPM 2.0: names the machine and its boot, hides nothing from its owner"
    yield from _device(machine, "dev/tpmrm0", what, "tpm", "add the agent's user to the group of the device (tss)")


def _device(machine: Machine, device: str, what: str, attester: str, mend: str) -> Iterator[Check]:
    path = machine.root / device
    if not _is_there(path):
        return
    yield _usable(path, what, attester) if machine.may_use(path) else _kept_away(path, what, attester, mend)


def _usable(path: Path, what: str, attester: str) -> Check:
    return Check("tee", "ok", f'{path}: {what}: attester = "{attester}" in agent.toml')


def _kept_away(path: Path, what: str, attester: str, mend: str) -> Check:
    return Check("tee", "warn", f'{path}: {what}, not open to this user: attester = "{attester}" would fail', mend)


_LOOKS: Final = (_tsm, _nitro, _gramine, _coco, _optee, _tpm)
