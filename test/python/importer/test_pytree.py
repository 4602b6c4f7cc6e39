"""Nests flatten in a fixed order and come back as they were."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from ix.dim import ShapeDtype
from ix.importer.trace.pytree import LEAF, Tree, flatten, signature, unflatten

Point = namedtuple("Point", "x y")


@dataclass
class Layer:
    weight: Any
    bias: Any = None
    cached: Any = field(default=7, init=False)


NESTS = [
    1,
    None,
    (),
    [1, (2, [3]), ()],
    {"b": 1, "a": {"c": 2}, 3: None},
    OrderedDict([("z", 1), ("y", [2])]),
    Point(1, (2, None)),
    Layer(1, [2, 3]),
    [Layer(Point(1, 2), {"k": (3,)})],
]


@pytest.mark.parametrize("nest", NESTS, ids=str)
def test_nests_come_back_as_they_were(nest: Any) -> None:
    leaves, tree = flatten(nest)
    assert unflatten(tree, leaves) == nest
    assert type(unflatten(tree, leaves)) is type(nest)
    other = unflatten(tree, [leaf * 10 for leaf in leaves])
    assert flatten(other) == ([leaf * 10 for leaf in leaves], tree)
    assert len(list(tree.paths("x"))) == len(leaves)
    assert hash(tree) == hash(flatten(nest)[1])


def test_dict_entries_keep_their_order() -> None:
    assert flatten({"b": 1, "a": 2})[0] == [1, 2]


def test_trees_tell_nests_apart() -> None:
    trees = [
        flatten(nest)[1] for nest in ([1, 2], (1, 2), {"x": 1, "y": 2}, Point(1, 2))
    ]
    trees += [flatten([1, None])[1], flatten([None, 1])[1], LEAF]
    assert len(set(trees)) == len(trees)


def test_paths_read_like_python() -> None:
    nest = {"params": [Layer(1, 2)], "a b": (3,), 4: Point(5, 6)}
    assert list(flatten(nest)[1].paths("x")) == [
        "x.params[0].weight",
        "x.params[0].bias",
        "x['a b'][0]",
        "x[4].x",
        "x[4].y",
    ]


def test_arrays_and_specs_are_leaves() -> None:
    leaves = [np.zeros(3), ShapeDtype((3,)), np.float32(1), "text"]
    assert flatten(leaves) == (leaves, Tree(list, (), (LEAF,) * 4))


@pytest.mark.parametrize("nest", NESTS, ids=str)
def test_signatures_list_the_leaves_in_the_same_order(nest: Any) -> None:
    leaves: list[Any] = []
    key = signature(nest, leaves)
    assert leaves == flatten(nest)[0]
    assert hash(key) == hash(signature(nest, []))


def test_signatures_tell_arguments_apart() -> None:
    x = np.zeros((2, 3), np.float32)
    nests = [x, [x], (x,), [x, None], x[0], x.astype(np.float64), 1, 1.0, True, None]
    nests += [
        "a",
        "b",
        np.float32(1),
        {"a": x},
        {"b": x},
        {"a": x, "b": x},
        Point(x, x),
    ]
    nests += [Layer(x), Layer(x, x), [x, x], [[x], x], {"a": 1}, {"a": 2.0}]
    assert len({signature(nest, []) for nest in nests}) == len(nests)
    assert signature({"a": 1}, []) == signature({"a": 2}, [])
