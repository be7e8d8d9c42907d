"""HiveMQ Community Edition as a process, with the configuration and the ACL of `broker/hivemq`.

It comes from Maven Central: `scripts/ci-needs` fetches it. SEALEDGE_HIVEMQ names its folder of jars, where another is
meant.
"""

import os
import shutil
import socket
import subprocess
import time
import zipfile
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

CONFIGURATION = Path(__file__).parents[2] / "broker" / "hivemq"
PASSWORD = "of a key store in a test's folder"
START_SECONDS = 60


def jars() -> Path:
    """The folder of HiveMQ's jars; skips where there is none."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("SEALEDGE_HIVEMQ") or Path(cache) / "sealedge" / "hivemq")
    if not list(folder.glob("hivemq-community-edition-embedded-*.jar")):
        pytest.skip("HiveMQ is not here: scripts/ci-needs fetches it where Maven is installed")
    if shutil.which("javac") is None:
        pytest.skip("no javac for HiveMQ's extension")
    return folder


class HiveMq:
    """One broker in `home`, for the fleet whose broker's files are in `fleet`."""

    def __init__(self, home: Path, fleet: Path, port: int) -> None:
        self.home, self.port, self._jars = home, port, jars()
        (home / "conf").mkdir(parents=True)
        for name in ("data", "log"):
            (home / name).mkdir()
        text = (CONFIGURATION / "config.xml").read_text("utf-8").replace("/opt/hivemq/conf", str(home / "conf"))
        text = text.replace("<port>8883<", f"<port>{port}<").replace("0.0.0.0", "127.0.0.1")
        (home / "conf" / "config.xml").write_text(text)
        self._write_key_stores(fleet)
        self._write_extension(fleet)

    def _write_key_stores(self, fleet: Path) -> None:
        key = serialization.load_pem_private_key((fleet / "server.key").read_bytes(), None)
        certificate, authority = (
            x509.load_pem_x509_certificate((fleet / name).read_bytes()) for name in ("server.pem", "ca.pem")
        )
        encryption = serialization.BestAvailableEncryption(PASSWORD.encode())
        own = pkcs12.serialize_key_and_certificates(b"server", key, certificate, None, encryption)  # type: ignore[arg-type]  # of a kind that PKCS 12 knows
        (self.home / "conf" / "server.p12").write_bytes(own)
        trusted = pkcs12.serialize_java_truststore([pkcs12.PKCS12Certificate(authority, b"ca")], encryption)
        (self.home / "conf" / "ca.p12").write_bytes(trusted)

    def _write_extension(self, fleet: Path) -> None:
        folder, classes = self.home / "extensions" / "sealedge", self.home / "classes"
        folder.mkdir(parents=True)
        command = ["javac", "-d", str(classes), "-cp", f"{self._jars}/*", str(CONFIGURATION / "FleetAcl.java")]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(folder / "sealedge.jar", "w") as jar:
            for each in classes.rglob("*.class"):
                jar.write(each, each.relative_to(classes))
            jar.writestr("META-INF/services/com.hivemq.extension.sdk.api.ExtensionMain", "dev.sealedge.hivemq.FleetAcl")
        shutil.copy(CONFIGURATION / "hivemq-extension.xml", folder)
        shutil.copy(fleet / "acl", folder)

    def start(self) -> "HiveMq":
        command = [
            "java",
            "-Xmx512m",
            f"-Dhivemq.home={self.home}",
            "-cp",
            f"{self._jars}/*",
            "com.hivemq.HiveMQServer",
        ]
        environment = {**os.environ, "SEALEDGE_KEYSTORE_PASSWORD": PASSWORD}
        with (self.home / "log" / "said").open("ab") as said:
            self.process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
        until = time.monotonic() + START_SECONDS
        while not self._listens():
            assert self.process.poll() is None, "HiveMQ ended"
            assert time.monotonic() < until, "HiveMQ does not listen"
            time.sleep(0.05)
        return self

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
