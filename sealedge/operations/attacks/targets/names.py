"""What the fleet under attack and its parties are called."""

from typing import Final

MODEL: Final = "scan"
AGENT, SENSOR, CONSUMER = "bedside-1", "ward-7", "oncology"
MALLORY, TRUDY, ROGUE, PADDED = "mallory", "trudy", "rogue", "ward-9"
"""A sensor, a consumer and a publisher with good credentials and bad intentions; and a sensor that pads."""

SPARE: Final = tuple(f"spare-{number}" for number in range(12))
"""Agents that are enrolled and do not run: each is attacked once."""
