"""What the demo keeps between its runs."""

import os
from pathlib import Path


def demo_folder() -> Path:
    """Where the trained model is kept, and what a TPM that was given must be known to hold."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "sealedge" / "demo"
