"""A link as the whole of a process."""

import logging
import signal
from types import FrameType

from broker.link import Link
from protocol.errors import SealedgeError

logger = logging.getLogger("sealedge.broker")

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(link: Link) -> int:
    """Serve until SIGTERM or SIGINT, leave in order, and return the exit status; a second signal leaves at once.

    Must be called in the main thread. Status 0: stopped by a signal; 1: the link ended with an error, logged in one
    line.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        link.stop()

    previous = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        link.run()
    except SealedgeError as error:
        logger.error(error.diagnostics)  # noqa: TRY400 - one line for a person, no traceback
        return 1
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return 0
