"""What a hostile or unlucky broker does to single deliveries, drawn from one seed."""

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities from 0 to 1, each drawn once for every delivery to every recipient.

    `drop`       the delivery never arrives, whatever its QoS.
    `duplicate`  it arrives twice (QoS 1 allows it: MQTT 5 §4.3.2).
    `reorder`    it takes a random place among those that wait for the same recipient.
    `delay`      it is held back for up to `delay_seconds`, and others overtake it.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    delay_seconds: float = 5.0

    def copies(self, random: Random) -> int:
        """How many times a delivery arrives: 0, 1 or 2."""
        if random.random() < self.drop:
            return 0
        return 2 if random.random() < self.duplicate else 1

    def holding(self, random: Random) -> float:
        """For how many seconds a delivery is held back; 0.0 when it is not."""
        return random.uniform(0.0, self.delay_seconds) if random.random() < self.delay else 0.0

    def place(self, random: Random, waiting: int) -> int:
        """The place of a delivery in a queue where `waiting` wait already."""
        return random.randint(0, waiting) if random.random() < self.reorder else waiting


FAULTLESS = Faults()
