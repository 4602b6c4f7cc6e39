"""torch dtypes as NumPy's, those of ml_dtypes included."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import torch

from ix.errors import InputError

__all__ = ["numpy_dtype", "torch_dtype"]

_NUMPY: dict[torch.dtype, np.dtype[Any]] = {
    torch.float64: np.dtype(np.float64),
    torch.float32: np.dtype(np.float32),
    torch.float16: np.dtype(np.float16),
    torch.bfloat16: np.dtype(ml_dtypes.bfloat16),
    torch.float8_e4m3fn: np.dtype(ml_dtypes.float8_e4m3fn),
    torch.float8_e5m2: np.dtype(ml_dtypes.float8_e5m2),
    torch.int64: np.dtype(np.int64),
    torch.int32: np.dtype(np.int32),
    torch.int16: np.dtype(np.int16),
    torch.int8: np.dtype(np.int8),
    torch.uint8: np.dtype(np.uint8),
    torch.bool: np.dtype(np.bool_),
}

_TORCH = {dtype: each for each, dtype in _NUMPY.items()}


def numpy_dtype(dtype: torch.dtype) -> np.dtype[Any]:
    """The NumPy dtype of a torch dtype.

    Raises:
        InputError: ix has no such element type (complex, quantised, …).
    """
    if dtype not in _NUMPY:
        names = ", ".join(str(each).removeprefix("torch.") for each in _NUMPY)
        raise InputError(f"a tensor needs one of the dtypes {names}, but has {dtype}")
    return _NUMPY[dtype]


def torch_dtype(dtype: Any) -> torch.dtype:
    """The torch dtype of a NumPy dtype that ix computes with."""
    return _TORCH[np.dtype(dtype)]
