"""Runs the iotcore broker until standard input ends: run as a script, never imported.

    python -I iotcore_child.py CONFIGURATION

The parent holds the other end of standard input, so that the broker ends with it.
"""

import logging
import os
import sys
from threading import Thread

from iotcore import IotCoreBroker


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    # The broker runs native threads that know no shutdown.
    os._exit(0)


def main() -> None:
    """Serve for ever.

    Raises:
        OSError: the port is taken.
    """
    # rumqttd reports every packet as an error record.
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)
    broker = IotCoreBroker(config_path=sys.argv[1])
    broker.check_ports()
    Thread(target=_end_with_parent, daemon=True).start()
    broker.run_forever()


if __name__ == "__main__":
    main()
