"""Layouts of constant inputs, named by a text so that a cached program finds them again."""

from __future__ import annotations

from functools import partial

import numpy as np

from ix.passes.schedule.kernel import Packing
from ix.passes.schedule.microkernel.matmul import pack_b

__all__ = ["packing_from"]


def packing_from(key: str) -> Packing:
    """The layout with this name.

    panels:<nr>:<t>:<k>:<n>    B of k · n elements in panels of nr columns; t is 1
                               where the array holds B[n, k]
    """
    kind, *numbers = key.split(":")
    if kind == "panels":
        nr, transposed, k, n = (int(number) for number in numbers)
        return Packing(key, partial(_panels, nr, bool(transposed), k, n))
    raise ValueError(f"no layout of a constant is named '{key}'")


def _panels(nr: int, transposed: bool, k: int, n: int, array: np.ndarray) -> np.ndarray:
    matrix = array.reshape(n, k).T if transposed else array.reshape(k, n)
    return pack_b(matrix, nr)
