"""Every planted bug by name."""

from typing import Final

from simulation.mutations import authorities, clients, enclaves, envelopes
from simulation.mutations.rewriting import Mutation

MUTATIONS: Final[dict[str, Mutation]] = {
    each.name: each for room in (envelopes, authorities, enclaves, clients) for each in room.MUTATIONS
}
"""By name."""
