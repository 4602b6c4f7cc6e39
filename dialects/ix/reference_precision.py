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
    array, dtype = np.asarray(array), np.dtype(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        is_narrow = dtype.itemsize < 4 and dtype != np.float16 and is_float(dtype)
        if array.dtype == np.float64 and is_narrow:
            # ml_dtypes takes float64 for float32, rounded to the nearest.
            array = _singles(array)
        return array.astype(dtype)


def _singles(array: Array) -> Array:
    """float64 → float32, rounded to odd: rounding again gives what one rounding would.

    Source: S. Boldo and G. Melquiond, "Emulation of a FMA and correctly rounded sums:
    proved algorithms using rounding to odd", IEEE Trans. Computers 57(4), 2008.
    """
    nearest = array.astype(np.float32)
    is_even = nearest.view(np.uint32) % 2 == 0
    is_inexact = (nearest != array) & ~np.isnan(array)
    toward = np.copysign(np.float32(np.inf), array - nearest).astype(np.float32)
    return np.where(is_even & is_inexact, np.nextafter(nearest, toward), nearest)
