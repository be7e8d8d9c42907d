"""What is attacked: the usual way and sealedge, each over a broker in the attacker's hands.

owned_broker   TLS ends here; what clients say is recorded, what they are told may be bent
usual          before: JSON, the module in a retained message, wasmtime with its defaults (usual_agent, a process)
sealed         now: a fleet of sealedge, its parties (fleet_parties) as the commands run them
actors         a party or an attacker in a thread; modules   what is run, honest and hostile
"""
