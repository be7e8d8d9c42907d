"""Where the broker is, who we are to it, and how much of it we accept."""

import ipaddress
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import SplitResult, urlsplit

from protocol.errors import ConfigurationError

MEBIBYTE = 1 << 20
PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Host, port, and whether TLS is spoken there."""

    host: str
    port: int
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> "BrokerAddress":
        """Read `mqtt://host[:port]` or `mqtts://host[:port]`.

        Raises:
            ConfigurationError: anything else, also a URL that carries a user name, a password or a path.
        """
        parts = _split(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ConfigurationError("the broker's URL must be mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")
        if parts.username is not None or parts.password is not None:
            raise ConfigurationError("user name and password do not belong in the broker's URL: it is logged")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ConfigurationError("the broker's URL ends after the port")
        return cls(parts.hostname, _port(parts), parts.scheme == "mqtts")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether what is said there stays on this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ConfigurationError("the broker's URL is no URL") from error


def _port(parts: SplitResult) -> int:
    try:
        port = parts.port
    except ValueError as error:
        raise ConfigurationError("the port in the broker's URL must be a number from 1 to 65535") from error
    if port == 0:
        raise ConfigurationError("the port in the broker's URL must be a number from 1 to 65535")
    return port or PORTS[parts.scheme]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSettings:
    """Everything a link is told about its connection. Times in seconds, sizes in bytes.

    `network_tries` and `refusal_tries` say after how many failed connects in a row `Link.run` gives up: for ever
    (None) while the network is down, soon when the broker says no. Files are read once, when a link is
    made; `heartbeat_file` is written while it is connected (`broker.heartbeat`).

    Raises:
        ConfigurationError: a bad URL, a file that is not there, or settings that contradict each other.
    """

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    heartbeat_file: Path | None = None
    keepalive: int = 30
    session_expiry: int = 3600
    will_delay: int = 5
    receive_maximum: int = 64
    max_in_flight: int = 20
    max_payload: int = MEBIBYTE
    max_outbox_messages: int = 10_000
    max_outbox_bytes: int = 256 * MEBIBYTE
    connect_timeout: float = 10.0
    flush_timeout: float = 5.0
    network_tries: int | None = None
    refusal_tries: int | None = 3
    retry_first: float = 0.25
    retry_longest: float = 30.0

    def __post_init__(self) -> None:
        address = self.address
        if not address.tls and (self.ca_file or self.certificate_file or self.key_file):
            raise ConfigurationError(f"certificates are configured, but {address} does not use TLS: say mqtts://")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ConfigurationError("a client certificate and its key come together, or not at all")
        if self.password is not None and self.password_file is not None:
            raise ConfigurationError("give the broker's password or a password file, not both")
        if self.username is None and (self.password is not None or self.password_file is not None):
            raise ConfigurationError("a password for the broker needs a user name")
        for file in (self.password_file, self.ca_file, self.certificate_file, self.key_file):
            if file is not None and not file.is_file():
                raise ConfigurationError(f"the file {file} is not there")
        self._check_numbers()

    def _check_numbers(self) -> None:
        limits = {"keepalive": 65535, "receive_maximum": 65535, "max_in_flight": 65535, "max_payload": 1 << 27}
        for name, highest in limits.items():
            if not 1 <= getattr(self, name) <= highest:
                raise ConfigurationError(f"{name} must be from 1 to {highest}")

    @property
    def address(self) -> BrokerAddress:
        """The URL, parsed."""
        return BrokerAddress.parse(self.url)

    @property
    def maximum_packet_size(self) -> int:
        """What the broker is told (MQTT 5 §3.1.2.11.4): well above the payload cap, which notes what it refuses."""
        return 2 * self.max_payload + 4 * 65536

    def read_password(self) -> str | None:
        """The password, from the settings or the first line of its file.

        Raises:
            ConfigurationError: the file cannot be read as text.
        """
        if self.password_file is None:
            return self.password
        try:
            return self.password_file.read_text(encoding="utf-8").partition("\n")[0].removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"the password file {self.password_file} cannot be read") from error

    def tls_context(self) -> ssl.SSLContext | None:
        """A context that checks the broker's certificate and host name, or None without TLS.

        Raises:
            ConfigurationError: a certificate or key file cannot be used.
        """
        if not self.address.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.certificate_file is not None:
                context.load_cert_chain(self.certificate_file, self.key_file, password=_no_prompt)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            raise ConfigurationError(f"the TLS files for {self.address} cannot be used: {reason}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def _no_prompt() -> NoReturn:
    """Stand in for OpenSSL's own prompt, which would wait for a terminal that a service does not have."""
    raise ConfigurationError("the client key is encrypted: decrypt it, or keep it in an owner-only file")
