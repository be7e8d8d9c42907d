"""Measuring in a thread of its own, from the first moment of a start on: hashing leaves Python's lock to others."""

import threading

from edge_agent.measurement import measure


class Measuring:
    """Begins at once; `digest` waits for the end."""

    def __init__(self) -> None:
        self._digest = b""
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="measuring", daemon=True)
        self._thread.start()

    def digest(self) -> bytes:
        """The measurement, 32 bytes. Raises what `measure` raises."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._digest

    def _run(self) -> None:
        try:
            self._digest = measure().digest
        except BaseException as failure:
            # Kept for whoever waits: a thread has nobody to raise it to.
            self._failure = failure
