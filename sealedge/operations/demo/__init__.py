"""The demo: the main job, on real patients' data, with all parties as processes on this machine.

run ─> stage (fleet, broker, processes) ─> acts (what happens, in order) ─> report (what is claimed, and holds)
                                                  eavesdropper ──────────────┘
"""
