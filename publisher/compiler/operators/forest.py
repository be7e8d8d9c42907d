"""Decision trees as tables: read from both of ONNX's forms, every path followed to its leaves while building."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from publisher.compiler.graph import Node
from publisher.compiler.operators.parameters import check

MODES: Final = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
"""In the order of kernels/trees.h, and of the numbers in TreeEnsemble."""

EQUAL: Final = MODES.index("BRANCH_EQ")
MEMBER: Final = len(MODES)
MISSING: Final = 8
"""Added to a mode where a missing feature counts as yes."""

Leaf = tuple[tuple[int, float], ...]
"""Targets and weights."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A node: `yes` and `no` name other branches, or leaves as complements (~leaf)."""

    feature: int
    mode: int
    threshold: float
    yes: int
    no: int


@dataclass(frozen=True, slots=True)
class Forest:
    """Tables by branch and by leaf, as kernels/trees.h reads them; `roots` may be leaves themselves."""

    branches: tuple[Branch, ...]
    leaves: tuple[Leaf, ...]
    roots: tuple[int, ...]

    def tables(self) -> Mapping[str, NDArray[Any]]:
        """The arrays of the C structure, and `thresholds` and `weights` as float64."""
        whole = {
            name: np.array([getattr(each, name) for each in self.branches], np.int32)
            for name in ("feature", "yes", "no")
        }
        counts = [len(each) for each in self.leaves]
        return {
            **whole,
            "modes": np.array([each.mode for each in self.branches], np.uint8),
            "thresholds": np.array([each.threshold for each in self.branches], np.float64),
            "starts": np.cumsum([0, *counts], dtype=np.int32),
            "targets": np.array([target for each in self.leaves for target, _ in each], np.int32),
            "weights": np.array([weight for each in self.leaves for _, weight in each], np.float64),
            "roots": np.array(self.roots, np.int32),
        }

    def check(self, node: Node, features: int, targets: int) -> None:
        """Raise `ConfigurationError` where a feature, target, child or path is impossible."""
        check(all(0 <= each.feature < features for each in self.branches), node, "asks for a feature that is not there")
        spoken = (target for leaf in self.leaves for target, _ in leaf)
        check(all(0 <= each < targets for each in spoken), node, "speaks of a target that is not there")
        children = (child for each in self.branches for child in (each.yes, each.no))
        known = all(-len(self.leaves) <= each < len(self.branches) for each in (*children, *self.roots))
        check(known, node, "has a child that is not there")
        check(not _comes_back(self.branches, self.roots), node, "has a path that comes back to where it was")


def _comes_back(branches: Sequence[Branch], roots: Sequence[int]) -> bool:
    """Whether any path from a root meets a branch twice."""
    done: set[int] = set()
    for root in roots:
        open_path: set[int] = set()
        stack = [root]
        while stack:
            here = stack[-1]
            if here < 0 or here in done:
                stack.pop()
            elif here in open_path:
                stack.pop()
                open_path.discard(here)
                done.add(here)
            else:
                open_path.add(here)
                ahead = (branches[here].yes, branches[here].no)
                if any(each in open_path for each in ahead):
                    return True
                stack += ahead
    return False


def by_identifiers(node: Node, prefix: str) -> Forest:
    """The forest of TreeEnsembleClassifier ("class") and -Regressor ("target"): nodes named by tree and number."""
    keys = _pairs(node, "nodes_treeids", "nodes_nodeids")
    modes = node.texts("nodes_modes")
    check(len(set(keys)) == len(keys) == len(modes) > 0, node, "does not name each of its nodes once")
    known = {*MODES, "LEAF"}
    check(known.issuperset(modes), node, "has nodes of an unknown mode")
    inner = {key: number for number, key in enumerate(k for k, m in zip(keys, modes, strict=True) if m != "LEAF")}
    outer = {key: number for number, key in enumerate(k for k, m in zip(keys, modes, strict=True) if m == "LEAF")}
    place = {**inner, **{key: ~number for key, number in outer.items()}}
    branches, children = _branches(node, keys, modes, place)
    leaves = _leaves(node, prefix, outer)
    roots = tuple(place[key] for key in keys if place[key] not in children)
    check(len(roots) == len({tree for tree, _ in keys}), node, "has a tree without one root")
    return Forest(branches, leaves, roots)


def _branches(
    node: Node, keys: Sequence[tuple[int, int]], modes: Sequence[str], place: Mapping[tuple[int, int], int]
) -> tuple[tuple[Branch, ...], set[int]]:
    features, yes, no = (_list(node, f"nodes_{name}", len(keys)) for name in _COLUMNS)
    thresholds = reals(node, "nodes_values", len(keys))
    missing = node.integers("nodes_missing_value_tracks_true") or (0,) * len(keys)
    check(len(missing) == len(keys), node, "says of some nodes alone where missing values go")
    branches: list[Branch] = []
    children: set[int] = set()
    for number, ((tree, _), mode) in enumerate(zip(keys, modes, strict=True)):
        if mode == "LEAF":
            continue
        ahead = [place.get((tree, each[number])) for each in (yes, no)]
        check(None not in ahead, node, "has a child that is not there")
        one, other = (each if each is not None else 0 for each in ahead)
        children |= {one, other}
        how = MODES.index(mode) + (MISSING if missing[number] else 0)
        branches.append(Branch(features[number], how, thresholds[number], one, other))
    return tuple(branches), children


_COLUMNS: Final = ("featureids", "truenodeids", "falsenodeids")


def _leaves(node: Node, prefix: str, outer: Mapping[tuple[int, int], int]) -> tuple[Leaf, ...]:
    keys = _pairs(node, f"{prefix}_treeids", f"{prefix}_nodeids")
    targets = _list(node, f"{prefix}_ids", len(keys))
    weights = reals(node, f"{prefix}_weights", len(keys))
    found: list[list[tuple[int, float]]] = [[] for _ in outer]
    for key, target, weight in zip(keys, targets, weights, strict=True):
        # Weights of nodes that are no leaves are never reached.
        if key in outer:
            found[outer[key]].append((target, weight))
    return tuple(tuple(each) for each in found)


def by_numbers(node: Node) -> Forest:
    """The forest of TreeEnsemble (ai.onnx.ml 5): nodes and leaves in arrays, children by their places there."""
    features = node.integers("nodes_featureids")
    count = len(features)
    modes, splits = (_array(node, name, count) for name in ("nodes_modes", "nodes_splits"))
    missing = node.integers("nodes_missing_value_tracks_true") or (0,) * count
    check(len(missing) == count, node, "says of some nodes alone where missing values go")
    yes, no = (_children(node, side, count) for side in ("true", "false"))
    check(all(0 <= int(each) <= MEMBER for each in modes), node, "has nodes of an unknown mode")
    branches = [
        Branch(features[i], int(modes[i]) + (MISSING if missing[i] else 0), float(splits[i]), yes[i], no[i])
        for i in range(count)
    ]
    targets = node.integers("leaf_targetids")
    weights = _array(node, "leaf_weights", len(targets))
    leaves = tuple(((target, float(weight)),) for target, weight in zip(targets, weights, strict=True))
    return Forest(_memberships(node, branches), leaves, node.integers("tree_roots"))


def _memberships(node: Node, branches: list[Branch]) -> tuple[Branch, ...]:
    """A question whether a feature is among some values becomes one for each of them, one after the other."""
    values = node.attributes.get("membership_values")
    members = [float(each) for each in values.reshape(-1)] if isinstance(values, np.ndarray) else []
    groups = _groups(members)
    for number, branch in enumerate(tuple(branches)):
        if branch.mode & ~MISSING != MEMBER:
            continue
        check(bool(groups), node, "has fewer lists of members than nodes that ask for them")
        group, how = groups.pop(0), EQUAL + (branch.mode & MISSING)
        # No value at all: nothing is equal to NaN.
        group = group or [float("nan")]
        at = number
        for value in group[:-1]:
            branches.append(Branch(branch.feature, how, 0.0, branch.yes, branch.no))
            branches[at] = Branch(branch.feature, how, value, branch.yes, len(branches) - 1)
            at = len(branches) - 1
        branches[at] = Branch(branch.feature, how, group[-1], branch.yes, branch.no)
    return tuple(branches)


def _groups(members: Sequence[float]) -> list[list[float]]:
    """Lists that each end with NaN."""
    groups: list[list[float]] = [[]]
    for value in members:
        if value != value:  # noqa: PLR0124 - the one number that is not itself
            groups.append([])
        else:
            groups[-1].append(value)
    return groups if groups[-1] else groups[:-1]


def _children(node: Node, side: str, count: int) -> list[int]:
    places, leaves = _list(node, f"nodes_{side}nodeids", count), _list(node, f"nodes_{side}leafs", count)
    return [~place if leaf else place for place, leaf in zip(places, leaves, strict=True)]


def _pairs(node: Node, first: str, second: str) -> list[tuple[int, int]]:
    one, other = node.integers(first), node.integers(second)
    check(len(one) == len(other), node, f"has {len(one)} {first} and {len(other)} {second}")
    return list(zip(one, other, strict=True))


def _list(node: Node, name: str, count: int) -> tuple[int, ...]:
    found = node.integers(name)
    check(len(found) == count, node, f"has {len(found)} {name}, and {count} are wanted")
    return found


def reals(node: Node, name: str, count: int) -> tuple[float, ...]:
    """Numbers from an attribute, or from its form as a tensor, where double precision is kept."""
    tensor = node.attributes.get(f"{name}_as_tensor")
    whole = tuple(float(each) for each in tensor.reshape(-1)) if isinstance(tensor, np.ndarray) else ()
    found = whole or node.numbers(name)
    check(len(found) == count, node, f"has {len(found)} {name}, and {count} are wanted")
    return found


def _array(node: Node, name: str, count: int) -> NDArray[Any]:
    found = node.attributes.get(name)
    check(isinstance(found, np.ndarray) and found.size == count, node, f"does not have {count} {name}")
    return found.reshape(-1) if isinstance(found, np.ndarray) else np.zeros(0)
