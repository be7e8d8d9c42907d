"""sealedge: AI inference on untrusted edge devices over MQTT 5, in enclaves that prove what they are.

`from sealedge import Sensor, Consumer`, or `AsyncSensor` and `AsyncConsumer` for asyncio. See docs/sdk.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sealedge.client.aio import AsyncConsumer, AsyncSensor
    from sealedge.client.api import Consumer, Sensor
    from sealedge.client.outcome import Pending, ReceivedResult, Result
    from sealedge.client.settings import ConsumerSettings, SensorSettings

__all__ = [
    "AsyncConsumer",
    "AsyncSensor",
    "Consumer",
    "ConsumerSettings",
    "Pending",
    "ReceivedResult",
    "Result",
    "Sensor",
    "SensorSettings",
]

_HOMES = {
    "AsyncConsumer": "aio",
    "AsyncSensor": "aio",
    "Consumer": "api",
    "ConsumerSettings": "settings",
    "Pending": "outcome",
    "ReceivedResult": "outcome",
    "Result": "outcome",
    "Sensor": "api",
    "SensorSettings": "settings",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and nothing before: the command line starts without the SDK."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"sealedge.client.{_HOMES[name]}"), name)
