"""A hostile world from one seed: real parties and cryptography, a broker, disks, clocks and peers that misbehave.

plan (drawn from a seed) ─> world (fleet, in-memory broker, virtual clock) ─> ledger ─> invariants ─> violations

Nothing of the product imports this room. What is simulated: the broker, the time, the disks, the TEE (tier
`simulated`) and the module, which is a Python function. Everything else is the code that runs in production.
"""
