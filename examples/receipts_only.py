"""Send a reading whose result only its recipients read, and keep its receipt, without numpy.

`python examples/receipts_only.py FOLDER`: its sensor.toml names `recipients` and says `return_result = false`.
"""

import sys
from math import prod
from pathlib import Path

from sealedge import Sensor

with Sensor(sys.argv[1]) as sensor:
    manifest = sensor.wait_for_manifest()
    shape = manifest.inputs[0].shape if manifest else ()
    result = sensor.infer([0.0] * prod(shape))

path = Path(sys.argv[1]) / f"{result.request.hex()}.receipt"
path.write_bytes(result.receipt)
print(f"kept {path}: check it with `sealedge receipt verify`")
