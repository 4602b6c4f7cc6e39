"""PTX types: the NumPy dtype of a value, and the dtype that a register stores.

A register is a NumPy array over the threads of a batch, stored by width alone (bool or
unsigned integers) and viewed as the type of the operand that reads it.
Packed types (f16x2, e4m3x2, ...) and bf16 are the bits that hold them.
"""

from __future__ import annotations

import numpy as np

__all__ = ["DTYPES", "STORAGE", "bytes_of", "dtype_of", "is_type", "storage_of"]

# Unsigned storage by width in bytes.
STORAGE: dict[int, np.dtype[np.generic]] = {
    1: np.dtype(np.uint8),
    2: np.dtype(np.uint16),
    4: np.dtype(np.uint32),
    8: np.dtype(np.uint64),
    16: np.dtype(np.complex128),  # NumPy has no 128-bit integer; only the bits count
}

_BITS = {
    "e4m3": 1,
    "e5m2": 1,
    "e2m1x2": 1,
    "e3m2": 1,
    "e2m3": 1,
    "ue8m0": 1,
    "bf16": 2,
    "e4m3x2": 2,
    "e5m2x2": 2,
    "ue8m0x2": 2,
    "e2m1x4": 2,
    "tf32": 4,
    "f16x2": 4,
    "bf16x2": 4,
    "u16x2": 4,
    "s16x2": 4,
    "e4m3x4": 4,
    "e5m2x4": 4,
    "f32x2": 8,
}

DTYPES: dict[str, np.dtype[np.generic]] = {
    "pred": np.dtype(np.bool_),
    "f16": np.dtype(np.float16),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    **{f"b{8 * n}": dtype for n, dtype in STORAGE.items()},
    **{f"u{8 * n}": STORAGE[n] for n in (1, 2, 4, 8)},
    **{f"s{8 * n}": np.dtype(f"i{n}") for n in (1, 2, 4, 8)},
    **{name: STORAGE[n] for name, n in _BITS.items()},
}


def is_type(name: str) -> bool:
    """Whether a modifier names a type."""
    return name in DTYPES


def dtype_of(name: str) -> np.dtype[np.generic]:
    """The NumPy dtype of the values of a PTX type; KeyError if it is none."""
    return DTYPES[name]


def bytes_of(name: str) -> int:
    """Size of a PTX type in memory, in bytes."""
    return DTYPES[name].itemsize


def storage_of(name: str) -> np.dtype[np.generic]:
    """The dtype in which a register of a PTX type is stored."""
    dtype = DTYPES[name]
    return dtype if name == "pred" else STORAGE[dtype.itemsize]
