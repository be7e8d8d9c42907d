"""Targets by name, the planted ones among them, and by the folder that an input lies in."""

from tests.fuzz.corpus import slug
from tests.fuzz.planted import planted
from tests.fuzz.targets import Target, names
from tests.fuzz.targets import target as honest


def target(name: str) -> Target:
    """Raises `KeyError` where there is none of this name."""
    return planted()[name].target if name.startswith("planted:") else honest(name)


def target_of(folder: str) -> Target:
    """The target whose inputs lie in a folder of this name. Raises `KeyError` where there is none."""
    return target({slug(name): name for name in (*names(), *planted())}[folder])
