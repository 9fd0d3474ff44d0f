"""Changes of a search space's tree, as one source of hyperparameters overrules another. Nothing is changed in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from hposweep.search_space.dimensions import ConditionalChoice, Node, bare
from hposweep.search_space.priors import Choice, Constant, Hyperparameter

Tree = Mapping[str, Node]


def keys(tree: Tree) -> Iterator[str]:
    """The keys of all branches, without what an override has before them, as often as they stand there."""
    for key, node in tree.items():
        yield bare(key)
        for branch in _branches(node):
            yield from keys(branch)


def priors(tree: Tree) -> Iterator[tuple[str, Hyperparameter]]:
    """The priors of all branches, with their keys."""
    for key, node in tree.items():
        yield key, node.choice if isinstance(node, ConditionalChoice) else node
        for branch in _branches(node):
            yield from priors(branch)


def without(tree: Tree, key: str) -> dict[str, Node]:
    """The tree without this key, wherever it stands."""
    return _mapped(tree, key, lambda name, node: {})


def with_node(tree: Tree, key: str, node: Node) -> dict[str, Node]:
    """The tree with this node at its key: in the branches that have the key, else for all configurations.

    A choice of options that bring branches there keeps the branches of those that are left.
    """
    if any(bare(name) == bare(key) for name in tree):
        return {**without(tree, key), key: _with_branches(node, tree, key)}
    if bare(key) not in keys(tree):
        return {**tree, key: node}
    return _mapped(tree, key, lambda name, old: {key: _with_branches(node, {name: old}, key)})


def fixed(tree: Tree, key: str, value: Constant) -> tuple[dict[str, Node], bool]:
    """The tree when the key has this value in all trials, and whether the value has to be given apart from it.

    What stands under the option that a choice is fixed to is part of every configuration. A key of branches has the
    value where the branch is active.
    """
    at_root = next((node for name, node in tree.items() if bare(name) == bare(key)), None)
    if at_root is None and bare(key) in keys(tree):
        return _mapped(tree, key, lambda name, node: {name: value}), False
    brought = at_root.branch(value.value) if isinstance(at_root, ConditionalChoice) else {}
    return {**without(tree, key), **brought}, True


def _with_branches(node: Node, old: Tree, key: str) -> Node:
    before = next(each for name, each in old.items() if bare(name) == bare(key))
    if not isinstance(node, Choice) or not isinstance(before, ConditionalChoice):
        return node
    branches = tuple(before.branch(option) for option in node.options)
    return ConditionalChoice(node, branches) if any(branches) else node


def _mapped(tree: Tree, key: str, of: Callable[[str, Node], dict[str, Node]]) -> dict[str, Node]:
    """The tree with `of(name, node)` in place of each node with this key."""
    found: dict[str, Node] = {}
    for name, node in tree.items():
        if bare(name) == bare(key):
            found |= of(name, node)
        elif isinstance(node, ConditionalChoice):
            branches = tuple(_mapped(branch, key, of) for branch in node.branches)
            found[name] = ConditionalChoice(node.choice, branches) if any(branches) else node.choice
        else:
            found[name] = node
    return found


def _branches(node: Node) -> tuple[Tree, ...]:
    return node.branches if isinstance(node, ConditionalChoice) else ()
