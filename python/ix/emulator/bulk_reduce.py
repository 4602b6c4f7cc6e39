"""The arithmetic of bulk reductions: memory and operand, element by element.

Source: PTX ISA, "cp.reduce.async.bulk".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ix.emulator.element_types import Array, decode

__all__ = ["TYPES", "reduce_bytes"]

# Type as in PTX or in a tensor map → NumPy dtype; bf16 apart.
TYPES: Final = {
    "u8": "u1", "u16": "u2", "u32": "u4", "b32": "u4", "s32": "i4", "u64": "u8",
    "b64": "u8", "s64": "i8", "f16": "f2", "bf16": "u2", "f32": "f4", "f64": "f8",
    "f32.ftz": "f4", "tf32": "f4", "tf32.ftz": "f4",
}  # fmt: skip


def _increase(old: Array, new: Array) -> Array:
    zero, one = old.dtype.type(0), old.dtype.type(1)
    increased: Array = np.where(old >= new, zero, old + one)
    return increased


def _decrease(old: Array, new: Array) -> Array:
    wraps = (old == 0) | (old > new)
    return np.where(wraps, new, old - old.dtype.type(1))


_OPERATIONS: Final[dict[str, Callable[[Array, Array], Array]]] = {
    "add": np.add,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "inc": _increase,
    "dec": _decrease,
}


def _to_bf16(values: Array) -> Array:
    """The bits of float32 values, rounded to nearest even; every NaN is 0x7FFF."""
    bits = values.view(np.uint32)
    half = np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    rounded = (bits + half) >> np.uint32(16)
    return np.where(np.isnan(values), np.uint32(0x7FFF), rounded).astype(np.uint16)


def reduce_bytes(old: Array, new: Array, operation: str, type_name: str) -> Array:
    """old op new, on bytes.

    Args:
        old, new: uint8 of equal shape, rows of whole elements.
        operation: `add`, `min`, `max`, `and`, `or`, `xor`, `inc` or `dec`.
        type_name: A key of `TYPES`.

    Returns:
        uint8 of the same shape.
    """
    kind = np.dtype(TYPES[type_name])
    left, right = (np.ascontiguousarray(x).view(kind) for x in (old, new))
    compute = _OPERATIONS[operation]
    with np.errstate(all="ignore"):
        if type_name == "bf16":
            total = compute(decode(left, "bf16"), decode(right, "bf16"))
            result = _to_bf16(total)
        else:
            result = compute(left, right).astype(kind)
    return result.view(np.uint8)
