"""`sealedge attack`: each known attack, run for real against the usual way and against sealedge.

run ─> stage (a broker, both targets) ─> catalogue of scenarios ─> verdicts ─> display, page

families/   the attacks, one file a family
targets/    what is attacked, and the broker in between
insiders/   who has good keys and bad intentions
"""
