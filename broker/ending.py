"""Child processes that were asked to end."""

import subprocess
from typing import Any


def await_end(process: "subprocess.Popen[Any]", seconds: float) -> bool:
    """Wait for it, and kill it where it does not end in time. Returns whether it had to be killed; it has ended."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False
