"""The class of every row: `python examples/classify.py FOLDER READINGS.npy`, for a model built with `--labels`."""

import sys

import numpy as np

from sealedge import Sensor

with Sensor(sys.argv[1]) as sensor:
    manifest = sensor.wait_for_manifest()
    if manifest is None:
        sys.exit("no manifest has come: is the model published?")
    wanted = manifest.inputs[0]
    for reading in np.load(sys.argv[2]).astype(wanted.dtype):
        print(*sensor.infer(reading.reshape(wanted.shape)).labels)
