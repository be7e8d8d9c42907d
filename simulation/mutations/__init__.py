"""Bugs planted into the real code, in the memory of one process, to show that the invariants would notice them.

Each is a few words of source replaced (`rewriting`); no product code knows of it. `hunting` runs seeds until an
invariant breaks. A bug that is not caught is a hole in the harness.
"""
