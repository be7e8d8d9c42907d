"""From settings to parties, ready for a link: one file a party, so that a process imports its own room alone.

Each builder takes settings, an `ExitStack` that closes what the party holds, and the time of its start, and raises
`ConfigurationError` or `StoreError` in one line for whatever is wrong before anything is said on the network.
Sensors and consumers have theirs in `sealedge.client.parties`.
"""
