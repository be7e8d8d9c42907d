"""TLS and accounts on the broker, the same for both targets: a certificate for the broker, one for each client."""

import ssl
import time
from pathlib import Path
from typing import Final

from broker.settings import ConnectionSettings
from sealedge.operations.certificates import BrokerCA, Issued

NAME: Final = "attacked"


class Accounts:
    """A CA of its own, with all its files in `folder`; `host` is where the broker is reached."""

    def __init__(self, folder: Path, host: str) -> None:
        self._folder, self._host = folder, host
        self._authority = BrokerCA.create(NAME, time.time())
        self._ca_file = self._written("ca.pem", self._authority.pem().certificate)
        self._known: dict[str, ConnectionSettings] = {}

    def settings(self, name: str, url: str) -> ConnectionSettings:
        """How the client of this account connects. The same each time."""
        if name not in self._known:
            certificate, key = self._pair(name, self._authority.issue_client(name, NAME, time.time()))
            self._known[name] = ConnectionSettings(
                url=url, ca_file=self._ca_file, certificate_file=certificate, key_file=key, retry_longest=1.0
            )
        return self._known[name]

    def server_context(self) -> ssl.SSLContext:
        """For the broker's side: nobody comes in without a certificate."""
        certificate, key = self._pair("server", self._authority.issue_server(self._host, time.time()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(self._ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _pair(self, name: str, issued: Issued) -> tuple[Path, Path]:
        return self._written(f"{name}.pem", issued.certificate), self._written(f"{name}.key", issued.key)

    def _written(self, name: str, content: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path
