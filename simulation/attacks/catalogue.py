"""Every attack by name."""

from collections.abc import Mapping
from typing import Final

from simulation.acts import Doing
from simulation.attacks import bending, consuming, impostor, machines, outsider, sensing

ATTACKS: Final[Mapping[str, Doing]] = {
    **outsider.ATTACKS,
    **sensing.ATTACKS,
    **bending.ATTACKS,
    **consuming.ATTACKS,
    **machines.ATTACKS,
    **impostor.ATTACKS,
}
