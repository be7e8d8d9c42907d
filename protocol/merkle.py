"""The Merkle tree of RFC 9162 §2.1 over SHA-256, which COSE Receipts name RFC9162_SHA256 (RFC 9942 §5.1).

    leaf  SHA-256(00 || entry)          node  SHA-256(01 || left || right)

The first byte keeps the two apart: no node is an entry's hash. A path proves that an entry is under a root, and shows
hashes of its neighbours: they hide what they are of as well as it can't be guessed, so an entry that could be needs
something in it that can't. Whoever signs a root says by the signature's `typ` what its entries are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from protocol.errors import MalformedError, ProtocolMisuseError

HASH_BYTES: Final = 32
MAX_LEAVES: Final = 64
MAX_PATH: Final = 6
"""Nodes beside the way from a leaf to the root: of `MAX_LEAVES`, no path is longer."""


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """Where an entry stands in a tree of `size` entries, and the nodes beside its way to the root, from the leaf up.

    Size and index say on which side each node stands. That is all that a root bears out of them.
    """

    size: int
    index: int
    path: tuple[bytes, ...]


def tree(entries: Sequence[bytes]) -> tuple[bytes, list[InclusionProof]]:
    """The root over `entries`, and the proof of each (RFC 9162 §2.1.1, §2.1.3.1).

    Raises `ProtocolMisuseError` for none, and for more than `MAX_LEAVES`.
    """
    if not 1 <= len(entries) <= MAX_LEAVES:
        raise ProtocolMisuseError(f"a tree has 1 to {MAX_LEAVES} leaves")
    level = [_leaf(each) for each in entries]
    paths: list[list[bytes]] = [[] for _ in entries]
    height = 0
    while len(level) > 1:
        for index, path in enumerate(paths):
            beside = index >> height ^ 1
            if beside < len(level):
                path.append(level[beside])
        # The last of an odd number has nothing beside it, and goes up as it is.
        lone = level[-1:] if len(level) % 2 else []
        level = [*map(_node, level[::2], level[1::2]), *lone]
        height += 1
    return level[0], [InclusionProof(len(entries), index, tuple(path)) for index, path in enumerate(paths)]


def inclusion_proof_untrusted(found: Any) -> InclusionProof:
    """A proof from its decoded CBOR (RFC 9942 §5.2). Raises `MalformedError` for what no tree here can have.

    A tree of one entry has an empty path.
    """
    if type(found) is not list or [type(each) for each in found] != [int, int, list]:
        raise MalformedError("an inclusion proof is a size, an index and a path")
    size, index, path = found
    if not 0 <= index < size <= MAX_LEAVES:
        raise MalformedError(f"an inclusion proof is of one of 1 to {MAX_LEAVES} leaves")
    if len(path) > MAX_PATH or any(type(each) is not bytes or len(each) != HASH_BYTES for each in path):
        raise MalformedError(f"an inclusion path has at most {MAX_PATH} hashes of {HASH_BYTES} bytes")
    return InclusionProof(size, index, tuple(path))


def root_untrusted(entry: bytes, proof: InclusionProof) -> bytes:
    """The root that `entry` and its path lead to (RFC 9162 §2.1.3.2). It says nothing until who signed it is known.

    Raises `MalformedError` where the path is not as long as the way to the root.
    """
    index, last, found = proof.index, proof.size - 1, _leaf(entry)
    for beside in proof.path:
        if last == 0:
            raise MalformedError("an inclusion path goes on above the root")
        if index % 2 or index == last:
            found = _node(beside, found)
            while index and not index % 2:
                index, last = index >> 1, last >> 1
        else:
            found = _node(found, beside)
        index, last = index >> 1, last >> 1
    if last:
        raise MalformedError("an inclusion path ends below the root")
    return found


def _leaf(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()
