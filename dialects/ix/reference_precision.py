"""Precision of the reference semantics: compute in float64, round once.

The kernels accumulate f16, bf16 and f8 in f32. A reference that is more exact than
every kernel needs no tolerance of its own, so floats of every width use float64.
"""

from typing import Any

import ml_dtypes
import numpy as np

__all__ = ["Array", "is_float", "rounded", "widened"]

Array = np.ndarray[Any, Any]

_NARROW_INTEGERS = (np.dtype(ml_dtypes.int4), np.dtype(ml_dtypes.uint4))


def is_float(dtype: Any) -> bool:
    """Whether a NumPy dtype is a float, those of ml_dtypes included."""
    dtype = np.dtype(dtype)
    return dtype.kind == "f" or (dtype.kind == "V" and dtype not in _NARROW_INTEGERS)


def widened(array: Array) -> Array:
    """The array in the type that references compute in: float64, int64 or its own."""
    if is_float(array.dtype):
        return array.astype(np.float64)
    if array.dtype in _NARROW_INTEGERS:
        return array.astype(np.int64)
    return array


def rounded(array: Any, dtype: Any) -> Array:
    """The array in `dtype`; out of range becomes infinite or NaN without a warning."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(array).astype(dtype)
