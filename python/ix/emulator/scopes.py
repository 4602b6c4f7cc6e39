"""Scopes: towards which threads an operation orders memory.

Two strong operations synchronise, or do not race, only if each has the other's thread
in its scope. `.sys` counts as `.gpu`: there is one device.

Source: PTX ISA, "Memory Consistency Model": scope, morally strong operations.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ix.emulator.batch import Array
from ix.emulator.syntax import Instruction

__all__ = ["CLUSTER", "CTA", "GPU", "WEAK", "needed_scope", "scope_of", "strong_scope"]

WEAK: Final = 0  # no synchronisation at all
CTA: Final = 1
CLUSTER: Final = 2
GPU: Final = 3

_SCOPES = {"cta": CTA, "cluster": CLUSTER, "gpu": GPU, "gl": GPU, "sys": GPU}
_STRONG = ("volatile", "relaxed", "acquire", "release", "mmio")


def scope_of(instruction: Instruction, default: int = GPU) -> int:
    """The scope that an instruction names."""
    named = (_SCOPES[m] for m in instruction.modifiers if m in _SCOPES)
    return next(named, default)


def strong_scope(instruction: Instruction) -> int:
    """The scope of a load or store; WEAK unless it is ordered by itself.

    `.volatile` is `.relaxed.sys`.
    """
    return scope_of(instruction) if instruction.has(*_STRONG) else WEAK


def needed_scope(
    warps: Array, others: Array, cta_warps: int, cluster_warps: int
) -> Array:
    """The scope that has warps and others in it, both numbered through clusters."""
    same_cta = warps // cta_warps == others // cta_warps
    same_cluster = warps // cluster_warps == others // cluster_warps
    return np.where(same_cta, CTA, np.where(same_cluster, CLUSTER, GPU))
