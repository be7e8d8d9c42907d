"""The attacker: owns the broker, has recorded everything, and has friends with good credentials.

outsider   what a broker can do without any key: repeat, move, bend, hold back
sensing    an authentic sensor that asks for what it may not have
bending    the same, in openings that are wrong in one point
consuming  an authentic recipient that forges results for the others
machines   machines that want a passport, and enclaves whose keys have leaked
impostor   an authority of the same name, with its own verifier, publisher, sensor and lists
"""
