"""`sealedge attack`: each known attack, run for real against the usual way and against sealedge.

run ─> stage (broker, both targets) ─> scenarios, one file a family ─> verdicts ─> display

owned_broker   the broker in the attacker's hands: it sees, bends, drops and invents
usual          before: TLS to the broker, the same module in the same wasmtime, and no more
sealed         now: the parties of a fleet, over the same broker
insiders       who has good keys and bad intentions: a sensor, a consumer, a publisher, a machine
"""
