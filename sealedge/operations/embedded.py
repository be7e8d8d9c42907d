"""Running the embedded broker as the whole of a process: until a signal comes, or it ends by itself."""

import os
import signal
from pathlib import Path
from threading import Event as Signal
from types import FrameType
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from broker.embedded import Embedded
from protocol.errors import TransportError
from sealedge.operations.log import EventLog
from sealedge.settings import explained, read_toml

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
LOOK_SECONDS: Final = 0.5


class EmbeddedSettings(BaseModel):
    """`broker.toml`. `state` keeps mosquitto's sessions and retained messages; without it they end with it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["auto", "mosquitto", "iotcore"] = "auto"
    port: int = Field(default=1883, ge=0, le=65535)
    state: Path | None = None


def load_embedded(path: Path | None, **above: Any) -> EmbeddedSettings:
    """The settings of a file, and above them what is not None. Raises `ConfigurationError`."""
    place = path or Path("broker.toml")
    values = {} if path is None else read_toml(path)
    if isinstance(values.get("state"), str):
        values["state"] = place.parent / values["state"]
    try:
        return EmbeddedSettings(**{**values, **{name: value for name, value in above.items() if value is not None}})
    except ValidationError as error:
        raise explained(place, error) from None


def run_broker(settings: EmbeddedSettings, log: EventLog) -> int:
    """Start it, say where it is, and serve until SIGTERM or SIGINT. The exit status.

    Raises `ConfigurationError` or `TransportError` where it does not start, or ends by itself.
    """
    stopped = Signal()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in SIGNALS:
        signal.signal(number, stop)
    with Embedded(settings.kind, settings.port, settings.state) as embedded:
        print(embedded.url, flush=True)
        log.write("broker-started", {"url": embedded.url, "kind": embedded.kind})
        while not stopped.wait(LOOK_SECONDS):
            if embedded.pid is None or _has_ended(embedded.pid):
                raise TransportError(f"the {embedded.kind} broker ended by itself")
    return 0


def _has_ended(pid: int) -> bool:
    """Without reaping it, which is its owner's to do."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
