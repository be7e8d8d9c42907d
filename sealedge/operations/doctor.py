"""Checking this machine, a party's files and its broker before anything depends on them: one line a check.

ok     as it should be
warn   works, or will for a while: worth a look
fail   does not work; the line says how to mend it
"""

import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from broker.children import find_mosquitto
from broker.settings import ConnectionSettings
from protocol.errors import SealedgeError
from sealedge.operations.connack import BrokerFeatures, ask_broker

Level = Literal["ok", "warn", "fail"]

BUILT: Final = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
"""No honest clock is before this."""

MIN_PACKET: Final = 2**17
"""Bytes: a chunk of a model, in its envelope, is the largest message that every fleet sends."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `mend` is what a person does about it; empty where nothing is to be done."""

    name: str
    level: Level
    found: str
    mend: str = ""

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return {name: value for name, value in asdict(self).items() if value}


def check_machine(now: float) -> Iterator[Check]:
    """Python, the clock and a broker program; its TEEs are in `doctor_tees`."""
    version = platform.python_version()
    yield Check("python", "ok" if sys.version_info >= (3, 11) else "fail", version, "")
    yield _clock(now)
    mosquitto = find_mosquitto()
    if mosquitto is None:
        mend = "trials use iotcore, which forgets sessions at its end; install mosquitto to keep them"
        yield Check("mosquitto", "warn", "not installed", mend)
    else:
        yield Check("mosquitto", "ok", mosquitto)


def _clock(now: float) -> Check:
    shown = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if now < BUILT:
        return Check("clock", "fail", f"{shown} is in the past", "set the clock: leases and credentials depend on it")
    if _is_synchronised() is False:
        return Check("clock", "warn", f"{shown}, not synchronised", "start a time service: other parties allow 60 s")
    return Check("clock", "ok", shown)


def _is_synchronised() -> bool | None:
    """What systemd-timesyncd says; None where it does not run."""
    folder = Path("/run/systemd/timesync")
    return (folder / "synchronized").exists() if folder.is_dir() else None


def check_broker(connection: ConnectionSettings) -> Iterator[Check]:
    """Whether it answers, lets this account in, and has what sealedge needs."""
    address = connection.address
    try:
        started = time.monotonic()
        features = ask_broker(connection)
        elapsed = f"{(time.monotonic() - started) * 1000:.0f} ms"
    except SealedgeError as error:
        yield Check("broker", "fail", str(error), "start it, or correct [broker] url and files")
        return
    if features.refusal is not None:
        mend = "correct [broker] username and password, or the account at the broker"
        yield Check("broker", "fail", f"{address} refuses: {features.refusal}", mend)
        return
    yield Check("broker", "ok", f"{address} answers in {elapsed}")
    yield from _features(features, connection)
    if not address.tls and not address.is_loopback:
        mend = "use mqtts://: sizes, times and passwords are open to the network"
        yield Check("broker-tls", "warn", "not encrypted", mend)


def _features(features: BrokerFeatures, connection: ConnectionSettings) -> Iterator[Check]:
    for name, has, what in (
        ("broker-qos", features.maximum_qos >= 1, "QoS 1"),
        ("broker-retain", features.retain, "retained messages"),
        ("broker-wildcards", features.wildcards, "wildcard subscriptions"),
    ):
        yield Check(name, "ok", what) if has else Check(name, "fail", f"no {what}", "use another broker")
    size = features.maximum_packet_size
    if size is not None and size < MIN_PACKET:
        mend = f"raise the broker's limit to {2 * connection.max_payload} bytes"
        yield Check("broker-packets", "fail", f"at most {size} bytes", mend)
    else:
        yield Check("broker-packets", "ok", "no limit" if size is None else f"at most {size} bytes")
    yield Check("broker-receive-maximum", "ok", f"{features.receive_maximum} messages in flight")
    kept = connection.session_expiry if features.session_expiry is None else features.session_expiry
    if kept < connection.session_expiry:
        mend = "what waits for a party is lost when it is away for longer"
        yield Check("broker-sessions", "warn", f"kept for {kept} s, not {connection.session_expiry} s", mend)
    else:
        yield Check("broker-sessions", "ok", f"kept for {kept} s")


def has_failed(checks: Sequence[Check]) -> bool:
    """Whether anything does not work."""
    return any(check.level == "fail" for check in checks)
