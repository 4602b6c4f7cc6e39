"""Random indices, read and written, select what they select in NumPy."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from ix.dialects.ix.reference import evaluate
from ix.dim import Dim
from ix.importer.trace import trace

SHAPE = (4, 5, 3, 2)


def draw_slice(source: random.Random, size: int) -> slice:
    bounds = [None, None, *range(-size - 2, size + 3)]
    steps = [None, 1, 1, 2, 3, -1, -2, -3]
    return slice(source.choice(bounds), source.choice(bounds), source.choice(steps))


def draw_entry(source: random.Random, size: int, array_shape: tuple[int, ...]) -> Any:
    kind = source.random()
    if kind < 0.45:
        return draw_slice(source, size)
    if kind < 0.65:
        return source.randrange(-size, size)
    if kind > 0.9:
        return slice(None)
    shape = source.choice([array_shape, array_shape[-1:], (1,)]) if array_shape else ()
    count = int(np.prod(shape))
    array = np.array([source.randrange(-size, size) for _ in range(count)])
    array = array.reshape(shape)
    return array.tolist() if shape and source.random() < 0.3 else array


def draw_index(source: random.Random) -> Any:
    """A tuple of slices, ints, arrays, None and Ellipsis that NumPy accepts."""
    array_shape = source.choice([(2,), (3,), (2, 3), ()])
    while True:
        entries: list[Any] = []
        for axis in range(source.randint(0, len(SHAPE))):
            if source.random() < 0.15:
                entries.append(None)
            entries.append(draw_entry(source, SHAPE[axis], array_shape))
        if source.random() < 0.3:
            entries.insert(source.randint(0, len(entries)), Ellipsis)
        try:
            np.empty(SHAPE)[tuple(entries)]
        except IndexError:
            continue
        return tuple(entries)


def run(program: Any, array: Any) -> list[Any]:
    weights = {name: program.weights.array(name) for name in program.weights}
    return evaluate(program.module, [array], weights)


@pytest.mark.parametrize("seed", range(4))
def test_items_are_those_of_numpy(seed: int) -> None:
    source = random.Random(seed)
    indices = [draw_index(source) for _ in range(50)]

    def function(x: Any) -> Any:
        return [x[index] for index in indices]

    x = np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)
    for index, got, want in zip(
        indices, run(trace(function, (x,)), x), function(x), strict=True
    ):
        np.testing.assert_array_equal(got, want, str(index), strict=True)


@pytest.mark.parametrize("seed", range(4))
def test_assigned_items_are_those_of_numpy(seed: int) -> None:
    source = random.Random(seed)
    indices = [draw_index(source) for _ in range(30)]

    def function(x: Any) -> Any:
        results = []
        for index in indices:
            y = x * 1
            y[index] = y[index] * 2 + 1
            y[index] -= 0.25
            results.append(y)
        return results

    x = np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)
    for index, got, want in zip(
        indices, run(trace(function, (x,)), x), function(x), strict=True
    ):
        np.testing.assert_array_equal(got, want, str(index), strict=True)


def test_slices_of_dynamic_axes_are_those_of_numpy() -> None:
    source = random.Random(0)
    indices = [
        tuple(draw_slice(source, source.choice([2, 5, 9])) for _ in range(2))
        for _ in range(40)
    ]

    def function(x: Any) -> Any:
        return [x[index] for index in indices]

    dims = {"x": [Dim("n", 1, 12), Dim("m", 1, 12)]}
    program = trace(function, (np.zeros((3, 4), np.float32),), dims=dims)
    for shape in ((1, 1), (1, 12), (3, 4), (7, 2), (12, 5)):
        x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
        for index, got, want in zip(indices, run(program, x), function(x), strict=True):
            np.testing.assert_array_equal(got, want, f"{index} of {shape}", strict=True)
