"""Layouts of constant inputs, named by a text so that a cached program finds them again."""

from __future__ import annotations

from functools import partial

from ix.passes.schedule.kernel import Packing
from ix.passes.schedule.microkernel.matmul import pack_b

__all__ = ["packing_from"]


def packing_from(key: str) -> Packing:
    """The layout with this name.

    panels:<nr>:<t>    B[k, n] in panels of nr columns; t is 1 where the array is B[n, k]
    """
    kind, *numbers = key.split(":")
    values = [int(number) for number in numbers]
    if kind == "panels":
        return Packing(key, partial(_panels, *values))
    raise ValueError(f"no layout of a constant is named '{key}'")


def _panels(nr, transposed, array):  # type: ignore[no-untyped-def]
    matrix = array.T if transposed else array
    return pack_b(matrix, nr)
