"""Where the vendors' chains must end: SHA-256 fingerprints of their root certificates (DER).

A root certificate that travels with evidence, or lies in the endorsement folder, is believed only if it is one of
these. A policy may name further ones under [roots], a laboratory's for example; nothing else can.
"""

from collections.abc import Mapping
from typing import Final

Roots = Mapping[str, frozenset[bytes]]
"""Vendor to the fingerprints, 32 bytes each, of its roots."""

AMD, INTEL, AWS = "amd", "intel", "aws"

PINNED_ROOTS: Final[Roots] = {
    AMD: frozenset(
        bytes.fromhex(each)
        for each in (
            "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd",  # ARK-Milan
            "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1",  # ARK-Genoa
            "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a",  # ARK-Turin
        )
    ),
    # Intel SGX Root CA
    INTEL: frozenset({bytes.fromhex("44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3")}),
    # AWS Nitro Enclaves Root G1
    AWS: frozenset({bytes.fromhex("641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b")}),
}
