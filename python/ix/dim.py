"""Declared dynamic dimensions, and specifications of arguments without data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ix.errors import InputError

__all__ = ["UNBOUNDED", "Dim", "ShapeDtype"]

UNBOUNDED = 2**31 - 1
"""The maximum of a dimension that declares none."""


@dataclass(frozen=True)
class Dim:
    """A dimension whose size is known when the program runs.

    Every argument axis with the same name has the same size.

    Args:
        name: An identifier, unique in the program.
        minimum: The smallest size, inclusive; at least 0.
        maximum: The largest size, inclusive. Tighter bounds make better code.

    Raises:
        InputError: The name is no identifier or the bounds are out of order.
    """

    name: str
    minimum: int = 1
    maximum: int = UNBOUNDED

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise InputError(f"ix.Dim needs an identifier, but got {self.name!r}")
        if not 0 <= self.minimum <= self.maximum <= UNBOUNDED:
            raise InputError(
                f"ix.Dim '{self.name}' needs 0 ≤ minimum ≤ maximum < 2**31, but got "
                f"{self.minimum} and {self.maximum}"
            )


@dataclass(frozen=True, init=False)
class ShapeDtype:
    """An argument that has a shape and a dtype, and no data.

    Args:
        shape: Sizes: ints, or `Dim` for a dynamic one.
        dtype: Anything that `numpy.dtype` takes; those of ml_dtypes too.
    """

    shape: tuple[int | Dim, ...]
    dtype: np.dtype[Any]

    def __init__(self, shape: Any, dtype: Any = np.float32) -> None:
        object.__setattr__(self, "shape", tuple(shape))
        object.__setattr__(self, "dtype", np.dtype(dtype))
