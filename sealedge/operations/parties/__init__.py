"""From settings to parties, ready for a link: one file a party, so that a process imports its own room alone.

    build_verifier   build_publisher   build_agent   build_sensor   build_consumer

Each takes settings, an `ExitStack` that closes what the party holds, and the time at its start. Each raises
`ConfigurationError` or `StoreError`, in one line, for whatever is wrong before anything is said on the network.
"""
