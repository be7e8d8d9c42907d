"""How many examples of a property are tried: all in the full run, a few in the default run."""

from hypothesis import settings

QUICK = "quick"
QUICK_EXAMPLES = 10


def examples(wanted: int) -> int:
    """For `settings(max_examples=...)`. The profile is chosen before test modules are imported (tests/conftest.py)."""
    return min(wanted, QUICK_EXAMPLES) if is_quick() else wanted


def is_quick() -> bool:
    """Whether this is the default run."""
    return settings.get_current_profile_name() == QUICK
