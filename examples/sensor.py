"""Send one reading and print its result: `python examples/sensor.py FOLDER`, where FOLDER holds a sensor.toml."""

import sys

import numpy as np

from sealedge import Sensor

with Sensor(sys.argv[1]) as sensor:
    manifest = sensor.wait_for_manifest()
    shape = manifest.inputs[0].shape if manifest else ()
    result = sensor.infer(np.zeros(shape, dtype="float32"))
    print(result.output, result.labels, f"by {result.agent}, {result.model} version {result.version}")
