"""One GET over HTTP to a service on this machine: nowhere else, no redirects, bounded in time and size."""

import http.client
import ipaddress
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode, urlsplit

from edge_agent.attester.interface import AttesterError
from protocol.errors import ConfigurationError, Finding
from schemas.reason import Reason

MAX_REPLY: Final = 1 << 19
"""Bytes: a report as JSON numbers takes four times its size."""

_OK: Final = 200
_MAX_SHOWN: Final = 160


@dataclass(frozen=True, slots=True)
class LoopbackService:
    """A service by address and port. `timeout` is in seconds, for a whole request."""

    host: str
    port: int
    timeout: float

    @classmethod
    def of_url(cls, url: str, timeout: float) -> "LoopbackService":
        """Raises `ConfigurationError` for all but `http://` and an address of this machine, spelt in numbers.

        A name could mean another machine tomorrow; what signs for this one is on this one.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or 80
            local = ipaddress.ip_address(host).is_loopback
        except ValueError:
            local = False
        if not local or parts.scheme != "http" or parts.path.strip("/") or parts.query or parts.username:
            finding = Finding("url", "http://127.0.0.1:PORT or http://[::1]:PORT", url[:64])
            raise ConfigurationError("not a service of this machine", finding=finding)
        return cls(host, port, timeout)

    def ask(self, path: str, parameters: Mapping[str, str]) -> bytes:
        """The body of the answer. Raises `OSError` where nothing listens, `AttesterError` for all but a 200."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        target = path + ("?" + urlencode(parameters) if parameters else "")
        connection.connect()
        try:
            with _watched(connection.sock, self.timeout) as late:
                return _answered(connection, target, late)
        finally:
            connection.close()


def _answered(connection: http.client.HTTPConnection, target: str, late: threading.Event) -> bytes:
    try:
        connection.request("GET", target, headers={"Accept-Encoding": "identity"})
        response = connection.getresponse()
        body = response.read(MAX_REPLY + 1)
    except (OSError, http.client.HTTPException) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            raise AttesterError("the service takes too long", reason=Reason.TIMEOUT) from None
        raise AttesterError(f"the service does not speak HTTP: {type(error).__name__}") from None
    if late.is_set():
        raise AttesterError("the service takes too long", reason=Reason.TIMEOUT)
    if len(body) > MAX_REPLY:
        finding = Finding("reply", f"at most {MAX_REPLY} bytes", "more")
        raise AttesterError("the service says too much", reason=Reason.OVERSIZED, finding=finding)
    if response.length:
        raise AttesterError("the service breaks off", finding=Finding("reply", "all of it", f"{len(body)} bytes"))
    if response.status != _OK:
        finding = Finding("HTTP status", str(_OK), str(response.status))
        raise AttesterError(f"the service refuses: {_shown(body)}", finding=finding)
    return body


@contextmanager
def _watched(connected: socket.socket, timeout: float) -> Iterator[threading.Event]:
    """A socket's own timeout is for each read, and one byte a second would never meet it."""
    late = threading.Event()

    def cut() -> None:
        late.set()
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(timeout, cut)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()


def _shown(body: bytes) -> str:
    text = body[:_MAX_SHOWN].decode("utf-8", "replace")
    return "".join(each if each.isprintable() else " " for each in text).strip() or "it does not say why"
