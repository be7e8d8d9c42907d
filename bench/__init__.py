"""Benchmarks: ratios measured in one run, never a test. `python -m bench` prints a table and writes results.json."""
