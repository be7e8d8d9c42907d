"""What a sensor and a consumer of the SDK share."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from protocol.party import Event

Watcher = Callable[[Event], None]
"""Is shown every event, in the link's thread: return soon."""


class Running(ABC):
    """What runs from `start` to `close`, or for a `with` block."""

    @abstractmethod
    def start(self) -> Self:
        """Connect."""

    @abstractmethod
    def close(self) -> None:
        """Leave in order."""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_about_the_block: object) -> None:
        self.close()
