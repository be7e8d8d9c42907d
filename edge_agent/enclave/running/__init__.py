"""Compiled modules that may be hostile, run one request at a time; nothing of one request is there for the next."""
