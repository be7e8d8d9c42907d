"""From report data through each attester to the verifier's claims: synthetic TEEs behind the stand-ins, no hardware."""

import base64
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from edge_agent.attester import Attester, Platform, choose_attester
from edge_agent.attester.nitro import NitroAttester
from edge_agent.attester.settings import CocoSettings, CommandSettings, GramineSettings, NitroSettings, TsmSettings
from edge_agent.attester.tsm import TsmAttester
from protocol.cbor import decode_untrusted, encode
from schemas.kinds import Tier
from tests.support.configfs import Kernel
from tests.support.guest_components import GuestComponents, serving
from tests.synthetic.cca import cca
from tests.synthetic.dcap import sgx, tdx
from tests.synthetic.exhibit import Exhibit
from tests.synthetic.nitro import nitro
from tests.synthetic.psa import psa
from verifier.evidence import by_media_type, examine_untrusted
from verifier.evidence.examination import Examination

REPORT_DATA = bytes(range(100, 164))

Made = Callable[[bytes], Exhibit]

MAKERS: dict[Tier, Made] = {
    Tier.SGX: lambda data: sgx(body={"report_data": data}),
    Tier.TDX: lambda data: tdx(body={"report_data": data}),
    Tier.NITRO: lambda data: nitro(changed={"nonce": data}),
    Tier.PSA: lambda data: psa(changed={10: data}),
    Tier.CCA: lambda data: cca(realm={10: data}),
}


@cache
def made(tier: Tier, report_data: bytes) -> Exhibit:
    """The same each time: a made-up authority is another one when it is made again."""
    return MAKERS[tier](report_data)


def check(attester: Attester, tier: Tier) -> None:
    """Twice, with other report data, so that nothing of the first time is left."""
    for data in (REPORT_DATA, bytes(reversed(REPORT_DATA))):
        exhibit, examination = made(tier, data), Examination()
        registry = by_media_type([exhibit.appraiser])
        evidence = attester.collect(data)
        claims = examine_untrusted(registry, attester.media_type, evidence, exhibit.now, examination)
        assert (claims.report_data, examination.signature) == (data, "valid")
        assert claims.tier == attester.tier == tier


@pytest.mark.parametrize(
    ("provider", "tier", "part"),
    [
        ("tdx_guest", Tier.TDX, "quote"),
        ("arm_cca_guest", Tier.CCA, "token"),
    ],
)
def test_through_the_kernels_interface(provider: str, tier: Tier, part: str, tmp_path: Path) -> None:
    """A made-up kernel over a folder: no hardware was there. For SEV-SNP see test_attester_tsm."""
    kernel = Kernel(provider, lambda data: (made(tier, data).parts[part], b""))
    check(TsmAttester(TsmSettings(folder=tmp_path), kernel.make_entry), tier)


def test_through_the_nitro_module() -> None:
    """A function in place of the device: no hardware was there."""

    def exchange(request: bytes) -> bytes:
        asked: Any = decode_untrusted(request)
        return encode({"Attestation": {"document": nitro(changed=asked["Attestation"]).parts["doc"]}})

    check(NitroAttester(NitroSettings(), exchange), Tier.NITRO)


def test_through_gramine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of files, of which the quote is made anew at each write: no hardware was there."""
    (tmp_path / "attestation_type").write_text("dcap")
    (tmp_path / "user_report_data").write_bytes(b"")

    def write_attribute(path: Path, data: bytes) -> None:
        assert path == tmp_path / "user_report_data"
        (tmp_path / "quote").write_bytes(made(Tier.SGX, data).parts["quote"])

    monkeypatch.setattr("edge_agent.attester.gramine.write_attribute", write_attribute)
    platform = Platform(bytes(32), gramine=GramineSettings(folder=tmp_path))
    check(choose_attester("gramine", platform), Tier.SGX)


def coco_quote(tier: Tier) -> Callable[[bytes], dict[str, object]]:
    return lambda data: {"quote": base64.b64encode(made(tier, data).parts["quote"]).decode()}


def coco_cca(data: bytes) -> dict[str, object]:
    return {"token": list(made(Tier.CCA, data).parts["token"])}


@pytest.mark.parametrize(
    ("tee", "tier", "reply"),
    [
        ("tdx", Tier.TDX, coco_quote(Tier.TDX)),
        ("sgx", Tier.SGX, coco_quote(Tier.SGX)),
        ("cca", Tier.CCA, coco_cca),
    ],
)
def test_through_confidential_containers(tee: str, tier: Tier, reply: Callable[[bytes], dict[str, object]]) -> None:
    """A local server: no hardware was there."""
    components = GuestComponents(tee, lambda data: json.dumps(reply(data)).encode())
    with serving(components.answer) as url:
        check(choose_attester("coco", Platform(bytes(32), coco=CocoSettings(url=url))), tier)


def test_through_a_program(tmp_path: Path) -> None:
    """A script that prints a token made beforehand for each report data: no hardware was there."""
    for data in (REPORT_DATA, bytes(reversed(REPORT_DATA))):
        (tmp_path / data.hex()).write_bytes(made(Tier.PSA, data).parts["token"])
    argv = ("/bin/cat", str(tmp_path / "{report_data_hex}"))
    command = CommandSettings(argv=argv, kind="psa", part="token")
    check(choose_attester("command", Platform(bytes(32), command=command)), Tier.PSA)
