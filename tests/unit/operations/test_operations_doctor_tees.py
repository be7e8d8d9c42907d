"""Doctor names the TEEs it finds: in folders that stand in for a machine's; no hardware was there."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.attester import Platform, choose_attester
from protocol.errors import ConfigurationError
from sealedge.operations.doctor import Check
from sealedge.operations.doctor_tees import Machine, check_tees
from tests.support.configfs import Kernel
from tests.support.guest_components import GuestComponents, serving


def nobody() -> str:
    """The URL of a port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def machine(root: Path, *devices: str, may_use: bool = True, kernel: Kernel | None = None) -> Machine:
    for device in devices:
        name, _, content = device.partition("=")
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    answer = kernel or Kernel("", lambda _: (b"", b""))
    return Machine(root, coco_url=nobody(), may_use=lambda _: may_use, make_entry=answer.make_entry)


def one(found: Machine) -> Check:
    (check,) = check_tees(found)
    assert check.name == "tee"
    assert "\n" not in check.found + check.mend
    return check


def refusing(error: OSError) -> Callable[[Path], object]:
    def make_entry(path: Path) -> object:
        raise error

    return make_entry


@pytest.mark.parametrize(
    ("device", "attester"), [("dev/nsm", "nitro"), ("dev/attestation/attestation_type=dcap\n", "gramine")]
)
def test_a_tee_that_can_be_used_comes_with_the_line_to_write(device: str, attester: str, tmp_path: Path) -> None:
    check = one(machine(tmp_path, device))
    assert check.level == "ok"
    assert f'attester = "{attester}" in agent.toml' in check.found


@pytest.mark.parametrize(
    ("provider", "what"),
    [("sev_guest", "AMD SEV-SNP"), ("tdx_guest", "Intel TDX"), ("arm_cca_guest", "Arm CCA")],
)
def test_the_kernel_is_asked_which_tee_is_behind_its_interface(provider: str, what: str, tmp_path: Path) -> None:
    folder = tmp_path / "sys/kernel/config/tsm/report"
    folder.mkdir(parents=True)
    # The device is the same TEE once more.
    check = one(machine(tmp_path, "dev/sev-guest", kernel=Kernel(provider, lambda _: (b"", b""))))
    assert (check.level, what in check.found, 'attester = "tsm"' in check.found) == ("ok", True, True)
    assert list(folder.iterdir()) == []


def test_an_interface_without_a_known_tee_is_no_tee(tmp_path: Path) -> None:
    (tmp_path / "sys/kernel/config/tsm/report").mkdir(parents=True)
    assert "provider none" in one(machine(tmp_path)).found
    check = one(machine(tmp_path, kernel=Kernel("riscv_cove", lambda _: (b"", b""))))
    assert (check.level, "riscv_cove" in check.found) == ("warn", True)


@pytest.mark.parametrize(
    ("error", "said"),
    [(PermissionError(13, "Permission denied"), "as root"), (OSError(6, "No such device"), "no TEE behind it")],
)
def test_an_interface_that_refuses_says_what_to_do(error: OSError, said: str, tmp_path: Path) -> None:
    (tmp_path / "sys/kernel/config/tsm/report").mkdir(parents=True)
    check = one(Machine(tmp_path, coco_url="", make_entry=refusing(error)))  # type: ignore[arg-type]
    assert (check.level, said in check.mend) == ("warn", True)


@pytest.mark.parametrize("device", ["dev/sev-guest", "dev/tdx_guest"])
def test_a_guest_whose_kernel_is_too_old_is_told(device: str, tmp_path: Path) -> None:
    check = one(machine(tmp_path, device))
    assert (check.level, "6.7" in check.mend, device in check.found) == ("warn", True, True)


@pytest.mark.parametrize(("device", "attester"), [("dev/nsm", "nitro"), ("dev/tpmrm0", "tpm")])
def test_a_device_that_this_user_may_not_use_is_warned_of(device: str, attester: str, tmp_path: Path) -> None:
    check = one(machine(tmp_path, device, may_use=False))
    assert check.level == "warn"
    assert "not open to this user" in check.found
    assert f'attester = "{attester}" would fail' in check.found
    assert check.mend


def test_sgx_outside_an_enclave_cannot_attest(tmp_path: Path) -> None:
    check = one(machine(tmp_path, "dev/sgx_enclave"))
    assert (check.level, "Gramine" in check.mend) == ("warn", True)


def test_gramine_without_attestation_is_told(tmp_path: Path) -> None:
    check = one(machine(tmp_path, "dev/attestation/attestation_type=none"))
    assert (check.level, "remote_attestation" in check.mend) == ("warn", True)


def test_confidential_containers_are_asked_which_tee_they_have(tmp_path: Path) -> None:
    with serving(GuestComponents("snp", lambda _: b"").answer) as url:
        check = one(Machine(tmp_path, coco_url=url))
    assert (check.level, "sev-snp" in check.found, 'attester = "coco"' in check.found) == ("ok", True, True)


def test_trustzone_needs_a_program(tmp_path: Path) -> None:
    check = one(machine(tmp_path, "dev/tee0"))
    assert (check.level, '"command"' in check.mend) == ("warn", True)


def test_a_tpm_is_said_to_hide_nothing(tmp_path: Path) -> None:
    check = one(machine(tmp_path, "dev/tpmrm0", "dev/tpm0"))
    assert (check.level, 'attester = "tpm"' in check.found) == ("ok", True)
    assert "hides nothing from its owner" in check.found


def test_a_tpm_in_software_is_no_tee(tmp_path: Path) -> None:
    check = one(machine(tmp_path, "dev/tpmrm0", "sys/devices/virtual/tpm/tpm0/dev"))
    assert (check.level, "no TEE" in check.found) == ("warn", True)


def test_a_tpm_without_resource_manager_is_too_old(tmp_path: Path) -> None:
    assert "TPM 2.0 is needed" in one(machine(tmp_path, "dev/tpm0")).mend


def test_several_tees_have_a_line_each(tmp_path: Path) -> None:
    found = list(check_tees(machine(tmp_path, "dev/nsm", "dev/tpmrm0", "dev/tee0")))
    assert [check.level for check in found] == ["ok", "warn", "ok"]


def test_no_tee_is_said_in_one_line(tmp_path: Path) -> None:
    check = one(machine(tmp_path))
    assert (check.level, "proves nothing about hardware" in check.mend) == ("warn", True)


def test_every_attester_that_is_named_exists() -> None:
    with pytest.raises(ConfigurationError) as caught:
        choose_attester("", Platform(bytes(32)))
    assert caught.value.finding is not None
    known = set(caught.value.finding.expected.split(" or "))
    assert {"tsm", "nitro", "gramine", "coco", "command", "tpm"} <= known
