"""Weights from a tree of groups, for instruments and rules alike (`auto_weight_from_grouping`).

Leaves of a node share it in proportion to their numbers, sibling groups in proportion to their `weight`. With `use_approx_DM`
a node of n children at depth L counts n^(0.5/L)-fold, since many children diversify.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tradeflow_core.errors import ConfigError

KEY = "auto_weight_from_grouping"
Tree = dict[str, Any]


def check_weights(weights: Tree) -> None:
    """Raises ValueError naming weights, of rules or instruments and however they are grouped, that are not numbers of at least 0."""
    wrong = list(_not_weights(weights))
    if wrong:
        raise ValueError(f"not a number of at least 0 for {', '.join(wrong)}")


def _not_weights(tree: Tree) -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _not_weights({key: child for key, child in value.items() if name != KEY or key != "parameters"})
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            yield str(name)


def is_grouped(weights: Tree) -> bool:
    """True where the weights are given as a tree of groups."""
    return KEY in weights


def leaves(weights: Tree) -> list[str]:
    """Names in the tree, in its order."""
    return [name for name, _ in _walk(_groups(weights), 1.0, 1, approximate=False)]


def grouped_weights(weights: Tree, excluded: frozenset[str] = frozenset()) -> dict[str, float]:
    """Weight of each name of the tree; names in `excluded` are dropped first, their siblings share.

    Raises ConfigError for a node that mixes groups and names, or weights that are not numbers.
    """
    approximate = bool((weights[KEY].get("parameters") or {}).get("use_approx_DM", False))
    tree = _pruned(_groups(weights), excluded)
    return dict(_walk(tree, 1.0, 1, approximate=approximate))


def _groups(weights: Tree) -> Tree:
    grouping = weights[KEY]
    groups = grouping.get("groups") if isinstance(grouping, dict) else None
    if not isinstance(groups, dict) or set(weights) != {KEY} or not all(isinstance(node, dict) for node in groups.values()):
        raise ConfigError(f"{KEY}: needs `groups`, a mapping of group names to groups, and nothing beside it")
    return groups


def _children(node: Tree) -> tuple[Tree, bool]:
    children = {name: child for name, child in node.items() if name != "weight"}
    inner = [isinstance(child, dict) for child in children.values()]
    if any(inner) and not all(inner):
        raise ConfigError(f"{KEY}: a group holds either groups or names, not both: {', '.join(map(str, children))}")
    if not all(inner) and not all(isinstance(child, int | float) for child in children.values()):
        raise ConfigError(f"{KEY}: weights must be numbers in the group of {', '.join(map(str, children))}")
    return children, bool(inner) and all(inner)


def _pruned(node: Tree, excluded: frozenset[str]) -> Tree:
    result: Tree = {}
    for name, child in node.items():
        if isinstance(child, dict):
            kept = _pruned(child, excluded)
            if set(kept) - {"weight"}:
                result[name] = kept
        elif name == "weight" or name not in excluded:
            result[name] = child
    return result


def _walk(node: Tree, share: float, level: int, *, approximate: bool) -> Iterator[tuple[str, float]]:
    children, inner = _children(node)
    multiplier = share * (len(children) ** (0.5 / level) if approximate else 1.0)
    sizes = {name: float(child.get("weight", 1.0) if inner else child) for name, child in children.items()}
    total = sum(sizes.values())
    for name, size in sizes.items():
        fraction = size / total if total else 0.0
        if inner:
            yield from _walk(children[name], multiplier * fraction, level + 1, approximate=approximate)
        else:
            yield name, multiplier * fraction
