"""The SDK, blocking: a sensor that computes on sealed readings, and a consumer of results.

with Sensor("sensor.toml") as sensor:
    result = sensor.infer(reading)
    print(result.output, result.labels)
"""

from sealedge.client.consuming import Consumer
from sealedge.client.running import Watcher
from sealedge.client.sensing import Sensor

__all__ = ["Consumer", "Sensor", "Watcher"]
