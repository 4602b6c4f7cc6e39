"""The arithmetic of bulk reductions: memory and operand, element by element.

Source: PTX ISA, "cp.reduce.async.bulk".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from ix.emulator.alu_rounding import round_nearest_bf16
from ix.emulator.atomics import ACCUMULATE, decrement, increment
from ix.emulator.element_types import Array, decode

__all__ = ["TYPES", "reduce_bytes"]

# Type as in PTX or in a tensor map → NumPy dtype; bf16 apart.
TYPES: Final = {
    "u8": "u1", "u16": "u2", "u32": "u4", "b32": "u4", "s32": "i4", "u64": "u8",
    "b64": "u8", "s64": "i8", "f16": "f2", "bf16": "u2", "f32": "f4", "f64": "f8",
    "f32.ftz": "f4", "tf32": "f4", "tf32.ftz": "f4",
}  # fmt: skip


_OPERATIONS: Final[dict[str, Callable[[Array, Array], Array]]] = {
    **ACCUMULATE,
    "inc": increment,
    "dec": decrement,
}


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
            result = round_nearest_bf16(total)
        else:
            result = compute(left, right).astype(kind)
    return result.view(np.uint8)
