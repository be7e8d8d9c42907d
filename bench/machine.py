"""What was measured on: nothing that names the machine or a place on it."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

PACKAGES: Final = ("wasmtime", "cryptography", "cbor2", "pydantic", "paho-mqtt", "iotcore", "ziglang", "tenseal")


def machine(broker: str, load: float) -> dict[str, str]:
    """As `machine_of`, with the broker that was used."""
    return {**machine_of(load, PACKAGES), "broker": broker}


def machine_of(load: float, packages: Sequence[str]) -> dict[str, str]:
    """Hardware, kernel and versions by name, and what the machine did before."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "load average before": f"{load:.2f}",
        **{each: importlib.metadata.version(each) for each in packages},
    }


def broker_version(kind: str) -> str:
    """The broker by name and version."""
    if kind != "mosquitto":
        return f"{kind} {importlib.metadata.version(kind)}"
    said = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, check=False).stdout
    return said.partition("\n")[0].strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())
