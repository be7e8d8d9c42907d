"""The SDK for asyncio: the same sensor and consumer, awaited.

async with AsyncSensor("sensor.toml") as sensor:
    result = await sensor.infer(reading)
"""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

from sealedge.client.api import Consumer, Sensor, Watcher
from sealedge.client.outcome import ReceivedResult, Result
from sealedge.client.settings import ConsumerSettings, SensorSettings
from storage.files import StrPath

WAIT_SECONDS = 0.5
"""How long a worker thread waits for a result at a time: a cancelled task leaves it behind for that long."""


class AsyncSensor:
    """`Sensor`, awaited; its errors are the same. Events are shown to `watch` in the link's thread."""

    def __init__(self, source: SensorSettings | StrPath, *, watch: Watcher | None = None) -> None:
        self._sensor = Sensor(source, watch=watch)

    async def infer(self, value: Any, timeout: float | None = None) -> Result:
        """Send a reading and await its result. Cancelled, it goes on waiting for the request's end in the outbox."""
        pending = await self.send(value, timeout=timeout)
        return await asyncio.shield(pending)

    async def send(
        self,
        value: Any,
        *,
        timeout: float | None = None,
        request_id: bytes | None = None,
    ) -> asyncio.Future[Result]:
        """Accept a reading: it is in the outbox when this returns. The future ends as `Sensor.infer` does."""
        pending = await asyncio.to_thread(self._sensor.send, value, timeout=timeout, request_id=request_id)
        return asyncio.wrap_future(pending)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._sensor.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._sensor.close)


class AsyncConsumer:
    """`Consumer`, awaited: `async for result in consumer`."""

    def __init__(self, source: ConsumerSettings | StrPath, *, watch: Watcher | None = None, backlog: int = 256) -> None:
        self._consumer = Consumer(source, watch=watch, backlog=backlog)

    @property
    def missing(self) -> int:
        """As `Consumer.missing`."""
        return self._consumer.missing

    async def receive(self) -> ReceivedResult | None:
        """The next result; None when the consumer is closed and nothing is left."""
        # The thread only waits: a result that it took would be lost with a cancelled task.
        while not await asyncio.to_thread(self._consumer.wait, WAIT_SECONDS):
            pass
        return self._consumer.receive(0.0)

    async def __aiter__(self) -> AsyncIterator[ReceivedResult]:
        while (result := await self.receive()) is not None:
            yield result

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._consumer.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._consumer.close)
