"""Layouts of constant inputs: steps of NumPy, named by their own text.

A cached program keeps the text and so finds the layout again. A step is one of

    ["reshape", sizes]   ["transpose", axes]   ["pad", sizes]    zeros, to `sizes`
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ix.passes.schedule.kernel import Packing

__all__ = ["packing", "packing_from", "panels"]

Step = tuple[str, Sequence[int]]


def packing(steps: Sequence[Step]) -> Packing:
    """The layout that these steps make."""
    return packing_from(json.dumps(steps, separators=(",", ":")))


def packing_from(key: str) -> Packing:
    """The layout with this text."""
    return Packing(key, partial(_apply, json.loads(key)))


def panels(k: int, n: int, columns: int, *, transposed: bool) -> Packing:
    """B[k, n] as panels [n / columns, k, columns]; transposed: from B[n, k]."""
    count = -(-n // columns)
    steps: list[Step] = [("reshape", [n, k]), ("transpose", [1, 0])]
    if not transposed:
        steps = [("reshape", [k, n])]
    steps += [
        ("pad", [k, count * columns]),
        ("reshape", [k, count, columns]),
        ("transpose", [1, 0, 2]),
    ]
    return packing(steps)


def _apply(steps: Sequence[Any], array: np.ndarray) -> np.ndarray:
    for name, values in steps:
        if name == "reshape":
            array = array.reshape(values)
        elif name == "transpose":
            array = array.transpose(values)
        elif tuple(values) != array.shape:
            wide = np.zeros(values, array.dtype)
            wide[tuple(slice(size) for size in array.shape)] = array
            array = wide
    return np.ascontiguousarray(array)
