"""Print results as they come: `python examples/consumer.py FOLDER [COUNT]`, where FOLDER holds a consumer.toml."""

import sys

from sealedge import Consumer

count = int(sys.argv[2]) if len(sys.argv) > 2 else None

with Consumer(sys.argv[1]) as consumer:
    for number, result in enumerate(consumer, start=1):
        print(result.sender, result.values(), result.labels)
        if number == count:
            break
