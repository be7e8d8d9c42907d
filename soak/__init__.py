"""A soak: real processes over a real mosquitto, under load, killed in turn, and every request accounted for."""
