"""Nested containers of leaves: tuples, lists, dicts, named tuples, dataclasses, None.

Order is deterministic: positions, dict insertion order, declared fields.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ix.errors import InputError

__all__ = ["LEAF", "Tree", "flatten", "signature", "unflatten"]


@dataclasses.dataclass(frozen=True)
class Tree:
    """The shape of a nest, without its leaves; hashable.

    Args:
        kind: None for a leaf, else the container's type (NoneType for None).
        keys: Dict keys or field names; empty for sequences.
        children: One tree for each entry.
    """

    kind: type | None
    keys: tuple[Any, ...] = ()
    children: tuple[Tree, ...] = ()

    def paths(self, prefix: str = "") -> Iterator[str]:
        """A name for each leaf: `x`, `x[0]`, `x.weight`, `x['k']`, in leaf order."""
        if self.kind is None:
            yield prefix
        for step, child in zip(self._steps(), self.children, strict=True):
            yield from child.paths(prefix + step)

    def _steps(self) -> list[str]:
        if self.kind in (dict, OrderedDict):
            return [
                f".{key}"
                if isinstance(key, str) and key.isidentifier()
                else f"[{key!r}]"
                for key in self.keys
            ]
        if self.keys:
            return [f".{key}" for key in self.keys]
        return [f"[{index}]" for index in range(len(self.children))]


LEAF = Tree(None)

DEEPEST = 64
"""Containers in one another; a container that holds itself has more."""


def flatten(nest: Any, name: str = "a nest") -> tuple[list[Any], Tree]:
    """The leaves of a nest, in order, and its tree. What is no container is a leaf.

    Args:
        nest: Arrays in containers.
        name: What errors call it.

    Raises:
        InputError: Containers stand more than `DEEPEST` deep in one another.
    """
    leaves: list[Any] = []
    return leaves, _flatten(nest, leaves, name, 0)


def _flatten(nest: Any, leaves: list[Any], name: str, depth: int) -> Tree:
    kind = type(nest)
    if nest is None:
        return Tree(kind)
    if kind in (dict, OrderedDict):
        keys, entries = tuple(nest), list(nest.values())
    elif kind in (tuple, list):
        keys, entries = (), list(nest)
    elif isinstance(nest, tuple) and hasattr(kind, "_fields"):
        keys, entries = tuple(kind._fields), list(nest)
    elif is_container(nest):
        keys = tuple(field.name for field in dataclasses.fields(nest) if field.init)
        entries = [getattr(nest, key) for key in keys]
    else:
        leaves.append(nest)
        return LEAF
    if depth == DEEPEST:
        raise InputError(
            f"{name} needs containers at most {DEEPEST} deep, but a {kind.__name__} "
            "stands deeper, or holds itself; pass its arrays"
        )
    children = tuple(_flatten(each, leaves, name, depth + 1) for each in entries)
    return Tree(kind, keys, children)


def signature(nest: Any, leaves: list[Any]) -> Any:
    """A hashable description of a nest, at the cost of a call: what `flatten` tells,
    and of each leaf the dtype and shape, the type of a number, or the value itself.

    Args:
        nest: An argument.
        leaves: Gets the arrays and numbers, in the order of `flatten`.
    """
    kind = type(nest)
    if kind is np.ndarray:
        leaves.append(nest)
        return (nest.dtype, nest.shape)
    if kind is dict or kind is OrderedDict:
        return (kind, *nest, *[signature(each, leaves) for each in nest.values()])
    if kind is tuple or kind is list:
        return (kind, *[signature(each, leaves) for each in nest])
    if kind is float or kind is int or kind is bool:
        leaves.append(nest)
        return kind
    if nest is None:
        return None
    return _other_signature(nest, kind, leaves)


def _other_signature(nest: Any, kind: type, leaves: list[Any]) -> Any:
    if isinstance(nest, tuple) and hasattr(kind, "_fields"):
        return (kind, *[signature(each, leaves) for each in nest])
    if is_container(nest):
        fields = [field.name for field in dataclasses.fields(nest) if field.init]
        return (kind, *[signature(getattr(nest, name), leaves) for name in fields])
    if hasattr(nest, "dtype") and hasattr(nest, "shape"):
        leaves.append(nest)
        return (kind, nest.dtype, nest.shape)
    return (kind, nest)


def is_container(value: Any) -> bool:
    """Whether `value` is a dataclass whose leaves are taken one by one.

    A dataclass that is itself array-like, or a description of an array, is a leaf.
    """
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return False
    return not hasattr(value, "dtype")


def unflatten(tree: Tree, leaves: Sequence[Any]) -> Any:
    """Puts leaves back into the nest that `tree` describes."""
    return rebuilder(tree)(iter(leaves))


def rebuilder(tree: Tree) -> Callable[[Iterator[Any]], Any]:
    """A function from an iterator over leaves to the nest; made once for a tree."""
    kind, keys = tree.kind, tree.keys
    if kind is None:
        return next
    if kind is type(None):
        return lambda leaves: None
    parts = [rebuilder(child) for child in tree.children]
    if kind in (tuple, list):
        return lambda leaves: kind([part(leaves) for part in parts])
    if kind in (dict, OrderedDict):
        return lambda leaves: kind(
            [(key, part(leaves)) for key, part in zip(keys, parts, strict=True)]
        )
    return lambda leaves: kind(
        **{key: part(leaves) for key, part in zip(keys, parts, strict=True)}
    )
