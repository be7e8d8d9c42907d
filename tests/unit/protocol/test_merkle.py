"""Trees of RFC 9162 §2.1: against its definition and known roots; and whatever a proof claims, what it can prove."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import MalformedError, ProtocolMisuseError
from protocol.merkle import (
    MAX_LEAVES,
    MAX_PATH,
    InclusionProof,
    inclusion_proof_untrusted,
    root_untrusted,
    tree,
)
from tests.support.examples import examples

ENTRIES = [f"entry {number}".encode() for number in range(MAX_LEAVES)]

KNOWN_ENTRIES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
KNOWN_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Of the tests of Certificate Transparency's reference implementation: the trees over the first 1 to 8 entries."""


def defined(entries: list[bytes]) -> bytes:
    """MTH of RFC 9162 §2.1.1, word by word."""
    if len(entries) == 1:
        return sha256(b"\0" + entries[0]).digest()
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return sha256(b"\1" + defined(entries[:split]) + defined(entries[split:])).digest()


def leads(entry: bytes, proof: InclusionProof) -> bytes | None:
    try:
        return root_untrusted(entry, proof)
    except MalformedError:
        return None


@pytest.mark.parametrize("size", range(1, 9))
def test_known_roots_come_out(size: int) -> None:
    assert tree([bytes.fromhex(each) for each in KNOWN_ENTRIES[:size]])[0].hex() == KNOWN_ROOTS[size - 1]


@pytest.mark.parametrize("size", range(1, MAX_LEAVES + 1))
def test_each_entry_leads_to_the_root_by_its_own_proof(size: int) -> None:
    root, proofs = tree(ENTRIES[:size])
    assert root == defined(ENTRIES[:size])
    assert [(proof.size, proof.index) for proof in proofs] == [(size, index) for index in range(size)]
    for entry, proof in zip(ENTRIES, proofs, strict=False):
        assert root_untrusted(entry, proof) == root
        assert inclusion_proof_untrusted([proof.size, proof.index, list(proof.path)]) == proof


@pytest.mark.parametrize("size", [0, MAX_LEAVES + 1])
def test_a_tree_has_one_to_sixty_four_leaves(size: int) -> None:
    with pytest.raises(ProtocolMisuseError):
        tree([b"entry"] * size)


def test_no_entry_leads_to_a_root_of_others() -> None:
    root, proofs = tree(ENTRIES[:7])
    for proof in proofs:
        assert leads(b"another", proof) != root
        for index, entry in enumerate(ENTRIES[:7]):
            assert (leads(entry, proof) == root) is (index == proof.index)


def test_a_path_of_another_tree_leads_elsewhere() -> None:
    ours, proofs = tree(ENTRIES[:6])
    _, others = tree([*ENTRIES[:5], b"another"])
    for entry, right, wrong in zip(ENTRIES[:6], proofs, others, strict=True):
        assert (leads(entry, wrong) == ours) is (wrong == right)


def test_a_node_is_no_leaf_and_a_leaf_no_node() -> None:
    """With one hash for both, the two children of a node would be an entry under the same root."""
    root, proofs = tree(ENTRIES[:4])
    left, right = (sha256(b"\0" + each).digest() for each in ENTRIES[:2])
    for entry in (left + right, b"\1" + left + right):
        assert leads(entry, InclusionProof(2, 0, proofs[0].path[1:])) != root
    whole = proofs[2].path[1] + proofs[0].path[1]
    assert leads(whole, InclusionProof(1, 0, ())) != root


def test_entries_that_are_the_same_twice_have_a_tree_of_their_own() -> None:
    """Unlike Bitcoin's (CVE-2012-2459), where the last of an odd number is hashed with itself."""
    assert tree(ENTRIES[:3])[0] != tree([*ENTRIES[:3], ENTRIES[2]])[0]
    root, proofs = tree([b"same"] * 5)
    assert all(root_untrusted(b"same", proof) == root for proof in proofs)
    assert leads(b"same", InclusionProof(6, 5, proofs[4].path)) != root


def test_a_lie_about_size_and_index_proves_nothing_else() -> None:
    """Sides follow from both: either it is refused, or leads elsewhere, or means the same sides and the same entry."""
    root, proofs = tree(ENTRIES[:11])
    for entry, proof in zip(ENTRIES[:11], proofs, strict=True):
        for size in range(1, MAX_LEAVES + 1):
            for index in range(size):
                lie = InclusionProof(size, index, proof.path)
                if leads(entry, lie) == root:
                    assert all(leads(other, lie) != root for other in ENTRIES[:11] if other != entry)


@pytest.mark.parametrize("size", [1, 2, 3, 8, 33, 64])
def test_a_path_is_exactly_as_long_as_the_way(size: int) -> None:
    _, proofs = tree(ENTRIES[:size])
    for entry, proof in zip(ENTRIES, proofs, strict=False):
        for path in ((*proof.path, bytes(32)), proof.path[:-1]):
            if path != proof.path:
                with pytest.raises(MalformedError):
                    root_untrusted(entry, InclusionProof(proof.size, proof.index, path))


@pytest.mark.parametrize(
    "found",
    [
        None,
        b"",
        [],
        [1, 0],
        [1, 0, [], []],
        {0: 1},
        [True, 0, []],
        [1, False, []],
        [1.0, 0, []],
        [1, 0, b""],
        [0, 0, []],
        [1, 1, []],
        [2, 2, [bytes(32)]],
        [2, -1, [bytes(32)]],
        [-1, -2, []],
        [MAX_LEAVES + 1, 0, [bytes(32)] * 7],
        [2**63, 2**62, []],
        [2, 0, [bytes(31)]],
        [2, 0, [bytes(33)]],
        [2, 0, ["0" * 32]],
        [2, 0, [[bytes(32)]]],
        [2, 0, [None]],
        [MAX_LEAVES, 0, [bytes(32)] * (MAX_PATH + 1)],
    ],
)
def test_what_no_tree_has_is_malformed(found: object) -> None:
    with pytest.raises(MalformedError):
        inclusion_proof_untrusted(found)


@given(
    st.lists(st.binary(max_size=8), min_size=1, max_size=12),
    st.integers(1, MAX_LEAVES),
    st.integers(0, MAX_LEAVES - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=MAX_PATH),
    st.binary(max_size=8),
)
@settings(max_examples=examples(500), deadline=None)
def test_a_forged_proof_proves_nothing(
    entries: list[bytes], size: int, index: int, path: list[bytes], entry: bytes
) -> None:
    root, _ = tree(entries)
    try:
        proof = inclusion_proof_untrusted([size, index, path])
    except MalformedError:
        return
    if leads(entry, proof) == root:
        assert entry in entries
