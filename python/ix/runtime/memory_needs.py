"""How much memory of a GPU a program needs, asked before it takes any."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.errors import OutOfMemory
from ix.runtime.arrays import dtype_of
from ix.runtime.cuda import CudaDevice, mebibytes
from ix.runtime.plan import Plan, Tensor
from ix.runtime.sizes import bounds

__all__ = ["check_memory", "most_bytes", "needed_bytes"]


def most_bytes(tensor: Tensor, plan: Plan) -> int:
    """Bytes of a tensor at the upper bounds of the dimensions."""
    ranges = [(dim.low, dim.high) for dim in plan.dims]
    sizes = [bounds(size, ranges)[1] for size in tensor.shape]
    return math.prod(sizes) * dtype_of(tensor.dtype).itemsize


def needed_bytes(
    plan: Plan, constants: Sequence[np.ndarray[Any, Any]]
) -> dict[str, int]:
    """Memory of a GPU that a program needs at the upper bounds, by kind."""
    return {
        "constants": sum(array.nbytes for array in constants),
        "arena": plan.arena_bytes,
        "scratch": plan.scratch_bytes,
        "inputs": sum(most_bytes(tensor, plan) for tensor in plan.inputs),
        "outputs": sum(most_bytes(tensor, plan) for tensor in plan.outputs),
    }


def check_memory(
    plan: Plan, constants: Sequence[np.ndarray[Any, Any]], device: CudaDevice
) -> None:
    """Refuses a program whose own memory is more than a GPU has left.

    Inputs and outputs are told, and not judged: they may lie there already.

    Raises:
        OutOfMemory: It needs more.
    """
    needed = needed_bytes(plan, constants)
    own = sum(needed[kind] for kind in ("constants", "arena", "scratch"))
    free = device.free_bytes()
    if own > free:
        parts = ", ".join(f"{kind} {mebibytes(n)}" for kind, n in needed.items())
        raise OutOfMemory(
            f"'{plan.name}' needs {mebibytes(sum(needed.values()))} on {device} "
            f"({parts}), but {mebibytes(free)} are free; declare smaller dimensions "
            "or free memory"
        )
