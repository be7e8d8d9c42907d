"""Who has good keys and bad intentions.

session      a sensor or consumer of the fleet, which says each message with any field bent
machines     a machine that speaks as an agent's enclave, with genuine evidence
memory_spy   another program of the user that a process runs as
"""
