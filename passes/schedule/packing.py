"""Layouts of constant inputs: steps of NumPy, named by their own text.

A cached program keeps the text and so finds the layout again. A step is one of

    ["reshape", sizes]   ["transpose", axes]   ["pad", sizes]    zeros, to `sizes`
    ["parts", [axis, count]]    floats as sums of bfloat16, in a new axis, as int16
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ix.passes.schedule.kernel import Packing

__all__ = ["packing", "packing_from", "panels", "tile_panels", "tile_steps"]

Step = tuple[str, Sequence[int]]

BLOCK_ELEMENTS = 1 << 15
"""Elements that are cut into parts at a time, so that they stay in a cache."""


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


def tile_panels(k: int, n: int, parts: int, *, transposed: bool) -> Packing:
    """B[k, n] for matrix tiles; transposed: from B[n, k].

    [panel of 32 columns, tile of 32 rows, part, half of the panel, pair of rows,
    2 · column + row of the pair]
    """
    depth, count = -(-k // 32), -(-n // 32)
    if transposed:
        steps: list[Step] = [
            ("reshape", [n, k]),
            ("pad", [count * 32, depth * 32]),
            ("reshape", [count, 2, 16, depth, 16, 2]),
            ("transpose", [0, 3, 1, 4, 2, 5]),
        ]
    else:
        steps = [
            ("reshape", [k, n]),
            ("pad", [depth * 32, count * 32]),
            *tile_steps(depth, count, parts),
        ]
        return packing(steps)
    steps += [("reshape", [count, depth, 2, 16, 32]), ("parts", [2, parts])]
    return packing(steps)


def tile_steps(depth: int, panels: int, parts: int) -> list[Step]:
    """From [32 · depth, 32 · panels] to what matrix tiles read, see `tile_panels`."""
    return [
        ("reshape", [depth, 16, 2, panels, 2, 16]),
        ("transpose", [3, 0, 4, 1, 5, 2]),
        ("reshape", [panels, depth, 2, 16, 32]),
        ("parts", [2, parts]),
    ]


def _apply(steps: Sequence[Any], array: np.ndarray) -> np.ndarray:
    for name, values in steps:
        if name == "parts":
            array = _parts(array, *values)
        elif name == "reshape":
            array = array.reshape(values)
        elif name == "transpose":
            array = array.transpose(values)
        elif tuple(values) != array.shape:
            wide = np.zeros(values, array.dtype)
            wide[tuple(slice(size) for size in array.shape)] = array
            array = wide
    return np.ascontiguousarray(array)


def _parts(array: np.ndarray, axis: int, count: int) -> np.ndarray:
    """Cuts each element into bfloat16 whose sum it is, rounding to nearest even.

    Values beyond bfloat16's largest begin with that; infinities and NaN are their own
    first part, the others are 0. Bits below 2⁻¹³³ are lost.
    """
    import ml_dtypes  # only compiling needs it

    bfloat16 = ml_dtypes.bfloat16
    if count == 1:
        return np.expand_dims(array, axis).view(np.int16)
    largest = float(ml_dtypes.finfo(bfloat16).max)
    shape = (*array.shape[:axis], count, *array.shape[axis:])
    result = np.empty(shape, np.int16)
    inner = int(np.prod(array.shape[axis:]))
    flat = np.ascontiguousarray(array).reshape(-1, inner)
    into = result.reshape(-1, count, inner)
    step = max(1, BLOCK_ELEMENTS // max(inner, 1))
    for first in range(0, len(flat), step):
        rest = flat[first : first + step].astype(np.float32)
        special = ~np.isfinite(rest)
        for part in range(count):
            bounded = np.clip(rest, -largest, largest)
            if special.any():
                bounded[special] = rest[special]
                rest[special] = 0
            rounded = bounded.astype(bfloat16)
            into[first : first + step, part] = rounded.view(np.int16)
            rest = rest - np.where(special, 0, rounded.astype(np.float32))
    return result
