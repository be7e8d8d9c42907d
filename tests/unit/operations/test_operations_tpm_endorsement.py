"""Whether a maker vouches for a TPM: one-fault certificates of a made-up maker, and a real swtpm_setup's."""

import os
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from edge_agent.attester.tpm_settings import DEFAULT_TCTI
from protocol.errors import AuthenticationError, ConfigurationError, FreshnessError, MalformedError, RemoteError
from schemas.kinds import Role, Tier
from sealedge.operations.demo.software_tpm import SoftwareTpm
from sealedge.operations.init import FleetPlan, create_fleet
from sealedge.operations.settings import AgentSettings
from sealedge.operations.tpm_challenge import challenge
from sealedge.operations.tpm_endorsement import EK_CERTIFICATE, check_endorsement
from sealedge.operations.tpm_machine import identify
from tests.support.tpms import need

NOW = 1_800_000_000.0
DAY = timedelta(days=1)
CLIENT = x509.ExtendedKeyUsageOID.CLIENT_AUTH


class Maker:
    """A made-up maker of TPMs: a root, an intermediate, and what they issue."""

    def __init__(self, name: str = "maker") -> None:
        self.root_key, self.issuer_key, self.ek = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self.root = self.issue(self.root_key, f"{name} root", self.root_key, f"{name} root", ca=True)
        self.issuer = self.issue(self.issuer_key, f"{name} ca", self.root_key, f"{name} root", ca=True)
        self.leaf = self.issue_leaf()
        self.name = name

    @property
    def authorities(self) -> bytes:
        return self.issuer.public_bytes(Encoding.PEM) + self.root.public_bytes(Encoding.PEM)

    def issue_leaf(self, **faults: object) -> x509.Certificate:
        said: dict[str, object] = {"purpose": EK_CERTIFICATE, **faults}
        return self.issue(self.ek, "ek", self.issuer_key, self.issuer.subject.rfc4514_string()[3:], **said)  # type: ignore[arg-type]  # a test's own

    def issue(
        self,
        key: ec.EllipticCurvePrivateKey,
        name: str,
        by: ec.EllipticCurvePrivateKey,
        by_name: str,
        *,
        ca: bool = False,
        purpose: x509.ObjectIdentifier | None = None,
        begins: float = NOW,
        ends: float = NOW,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(by_name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.fromtimestamp(begins, UTC) - DAY)
            .not_valid_after(datetime.fromtimestamp(ends, UTC) + DAY)
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
        )
        if purpose is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        return builder.sign(by, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def maker() -> Maker:
    return Maker()


def check(maker: Maker, leaf: x509.Certificate, **changes: object) -> str:
    arguments: dict[str, object] = {"authorities": maker.authorities, "now": NOW, **changes}
    return check_endorsement(maker.ek.public_key(), der(leaf), **arguments)  # type: ignore[arg-type]  # a test's own


def test_a_maker_vouches_for_its_tpm(maker: Maker) -> None:
    assert check(maker, maker.leaf) == "CN=maker root"


def test_the_certificate_of_another_key_is_refused(maker: Maker) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(AuthenticationError, match="another endorsement key"):
        check_endorsement(other, der(maker.leaf), maker.authorities, NOW)


@pytest.mark.parametrize("purpose", [None, CLIENT], ids=["none", "client"])
def test_a_certificate_for_something_else_is_refused(maker: Maker, purpose: x509.ObjectIdentifier | None) -> None:
    with pytest.raises(AuthenticationError, match="not of an endorsement key"):
        check(maker, maker.issue_leaf(purpose=purpose))


@pytest.mark.parametrize("days", [-5, 5], ids=["over", "early"])
def test_a_certificate_out_of_time_is_refused(maker: Maker, days: int) -> None:
    when = NOW + days * 86_400
    with pytest.raises(FreshnessError):
        check(maker, maker.issue_leaf(begins=when, ends=when))


def test_a_maker_of_the_same_name_is_another_maker(maker: Maker) -> None:
    namesake = Maker()
    with pytest.raises(AuthenticationError):
        check(maker, maker.leaf, authorities=namesake.authorities)


def test_an_authority_that_is_not_named_is_refused(maker: Maker) -> None:
    with pytest.raises(AuthenticationError, match="nobody of --ek-roots"):
        check(maker, maker.leaf, authorities=Maker("another").authorities)
    with pytest.raises(AuthenticationError, match="nobody of --ek-roots"):
        check(maker, maker.leaf, authorities=maker.issuer.public_bytes(Encoding.PEM))


def test_a_leaf_does_not_vouch_for_another(maker: Maker) -> None:
    """The key of a genuine EK certificate cannot issue: it is not a CA."""
    forged = maker.issue(maker.ek, "forged", maker.ek, "ek", purpose=EK_CERTIFICATE)
    authorities = maker.authorities + maker.leaf.public_bytes(Encoding.PEM)
    with pytest.raises(AuthenticationError):
        check_endorsement(maker.ek.public_key(), der(forged), authorities, NOW)


def test_a_self_signed_leaf_vouches_for_nothing(maker: Maker) -> None:
    own = maker.issue(maker.ek, "own", maker.ek, "own", purpose=EK_CERTIFICATE)
    with pytest.raises(AuthenticationError):
        check(maker, own)


def test_names_that_go_in_circles_end(maker: Maker) -> None:
    one = maker.issue(maker.ek, "one", maker.ek, "two", ca=True, purpose=EK_CERTIFICATE)
    two = maker.issue(maker.ek, "two", maker.ek, "one", ca=True)
    circle = one.public_bytes(Encoding.PEM) + two.public_bytes(Encoding.PEM)
    with pytest.raises(RemoteError):
        check(maker, one, authorities=circle)


@pytest.mark.parametrize("data", [b"", b"0", b"-----BEGIN CERTIFICATE-----\n"], ids=repr)
def test_bytes_that_are_no_certificate_are_refused(maker: Maker, data: bytes) -> None:
    with pytest.raises(MalformedError):
        check_endorsement(maker.ek.public_key(), data, maker.authorities, NOW)


def test_authorities_that_cannot_be_read_are_the_operators_fault(maker: Maker) -> None:
    with pytest.raises(ConfigurationError, match="ek-roots"):
        check(maker, maker.leaf, authorities=b"-----BEGIN CERTIFICATE-----\n")


def test_many_makers_may_be_trusted(maker: Maker) -> None:
    others = b"".join(Maker(f"maker {number}").authorities for number in range(10))
    assert check(maker, maker.leaf, authorities=others + maker.authorities) == "CN=maker root"


# A TPM whose maker is swtpm's local authority


@pytest.fixture(scope="module")
def made_by_swtpm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a TPM's state, tpm/, and the certificates of its maker, ca/."""
    need("swtpm", "tpm2", "swtpm_setup")
    folder = tmp_path_factory.mktemp("maker")
    (folder / "tpm").mkdir()
    (folder / "options").write_text("--platform-manufacturer X --platform-version 1 --platform-model Y\n")
    names = {"statedir": "ca", "signingkey": "ca/key.pem", "issuercert": "ca/issuer.pem", "certserial": "ca/serial"}
    (folder / "ca.conf").write_text("".join(f"{name} = {folder / path}\n" for name, path in names.items()))
    settings = {
        "create_certs_tool": shutil.which("swtpm_localca"),
        "create_certs_tool_config": folder / "ca.conf",
        "create_certs_tool_options": folder / "options",
    }
    (folder / "setup.conf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
    command = ["swtpm_setup", "--tpm2", "--tpmstate", str(folder / "tpm"), "--create-ek-cert"]
    done = subprocess.run([*command, "--config", str(folder / "setup.conf")], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_a_tpm_with_a_certificate_is_vouched_for_by_its_maker_alone(made_by_swtpm: Path, tmp_path: Path) -> None:
    now = time.time() + 60
    fleet = create_fleet(tmp_path / "plant", FleetPlan("plant", tee=Tier.TPM), now=now, randomness=os.urandom)
    path = fleet.folder.settings(Role.AGENT, "agent-1")
    files = ("issuer.pem", "swtpm-localca-rootca-cert.pem")
    authorities = b"".join((made_by_swtpm / "ca" / name).read_bytes() for name in files)
    with SoftwareTpm(made_by_swtpm / "tpm") as tpm:
        path.write_text(path.read_text().replace(DEFAULT_TCTI, tpm.tcti))
        identity = identify(AgentSettings.load(path))
    assert identity.ek_certificate is not None
    made = challenge(fleet.folder, identity, authorities, now=now, randomness=os.urandom)
    assert made.certified_by == "CN=swtpm-localca-rootca"
    with pytest.raises(AuthenticationError, match="nobody of --ek-roots"):
        challenge(fleet.folder, identity, Maker().authorities, now=now, randomness=os.urandom)
    bare = identity.model_copy(update={"ek_certificate": None})
    with pytest.raises(AuthenticationError, match="no EK certificate"):
        challenge(fleet.folder, bare, authorities, now=now, randomness=os.urandom)
    assert challenge(fleet.folder, bare, None, now=now, randomness=os.urandom).certified_by is None
