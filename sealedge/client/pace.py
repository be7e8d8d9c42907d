"""How fast and how patiently a sensor sends."""

from dataclasses import dataclass

from protocol.errors import ProtocolMisuseError
from protocol.padding import MAX_MULTIPLE


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast and how patiently. Times in seconds; `pad_to` in bytes, 0 for no padding.

    Raises:
        ProtocolMisuseError: a number that makes no sense.
    """

    in_flight: int = 32
    retry_seconds: float = 5.0
    pad_to: int = 0
    one_shot: bool = False

    def __post_init__(self) -> None:
        if self.in_flight < 1 or not self.retry_seconds > 0:
            raise ProtocolMisuseError("at least one request in flight, and some time before it is sent again")
        if not 0 <= self.pad_to <= MAX_MULTIPLE:
            raise ProtocolMisuseError(f"requests are padded to a multiple of at most {MAX_MULTIPLE} bytes")
