"""Send many readings at once with asyncio: `python examples/many_readings.py FOLDER READINGS.npy`, one a row."""

import asyncio
import sys

import numpy as np

from sealedge import AsyncSensor


async def main(folder: str, file: str) -> None:
    """Infer every row of a file."""
    async with AsyncSensor(folder) as sensor:
        results = await asyncio.gather(*(sensor.infer(reading) for reading in np.load(file)))
    for result in results:
        print(result.values(), result.labels)


asyncio.run(main(sys.argv[1], sys.argv[2]))
