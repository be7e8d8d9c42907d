"""The floor: paho's own client echoing over the same broker, with nothing of ours."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from broker.settings import BrokerAddress

REQUEST, REPLY = "echo/request", "echo/reply"


def connected(url: str, name: str, on_message: Callable[[mqtt.Client, Any, mqtt.MQTTMessage], None]) -> mqtt.Client:
    """A client with TCP_NODELAY, like ours."""
    import socket  # noqa: PLC0415 - only this process needs it

    address = BrokerAddress.parse(url)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
    client.on_socket_open = lambda _c, _u, sock: sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.on_message = on_message
    client.connect(address.host, address.port)
    return client


def serve(url: str) -> int:
    """The echo's process."""

    def echo(client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = message.properties.CorrelationData
        client.publish(REPLY, message.payload, qos=1, properties=properties)

    client = connected(url, "echo-server", echo)
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.subscribe(REQUEST, qos=1)
    client.loop_forever()
    return 0


class EchoSensor:
    """Closed-loop requester on paho's own thread."""

    def __init__(self, url: str, payload: bytes) -> None:
        self._sent: dict[bytes, float] = {}
        self._count = 0
        self._latencies: list[float] = []
        self._left = 0
        self._payload = payload
        self._done = threading.Event()
        self._client = connected(url, "echo-sensor", self._receive)
        self._client.subscribe(REPLY, qos=1)
        self._client.loop_start()
        time.sleep(0.2)

    def measure(self, requests: int, in_flight: int) -> tuple[list[float], float]:
        """Latencies in seconds, and seconds in all."""
        self._latencies, self._left = [], requests
        self._done.clear()
        start = time.perf_counter()
        for _ in range(min(in_flight, requests)):
            self._send()
        self._done.wait(120)
        return self._latencies, time.perf_counter() - start

    def _send(self) -> None:
        self._left -= 1
        self._count += 1
        name = self._count.to_bytes(16, "big")
        self._sent[name] = time.perf_counter()
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = name
        self._client.publish(REQUEST, self._payload, qos=1, properties=properties)

    def _receive(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self._latencies.append(time.perf_counter() - self._sent.pop(message.properties.CorrelationData))
        if self._left > 0:
            self._send()
        elif not self._sent:
            self._done.set()


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1]))
