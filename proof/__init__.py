"""The protocol as clauses, and the theorem prover that looks for attacks in them (README.md beside this file)."""
