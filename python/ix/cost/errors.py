"""What can go wrong while costs are found.

CostError                 (an ix.errors.IxError)
├── ToolNotFound          ptxas or nvdisasm is not installed
├── AssemblyError         ptxas refuses the PTX, or repairs what it must not repair
├── DisassemblyError      nvdisasm refuses the cubin
├── UnknownDevice         an architecture or a device that ix has no figures of
└── BudgetError           a budget that is missing, malformed, or exceeded
"""

from __future__ import annotations

from ix.errors import IxError

__all__ = [
    "AssemblyError",
    "BudgetError",
    "CostError",
    "DisassemblyError",
    "ToolNotFound",
    "UnknownDevice",
]


class CostError(IxError):
    """The base of every error of ix.cost."""


class ToolNotFound(CostError):
    """A program of the CUDA toolkit is not installed."""


class AssemblyError(CostError):
    """ptxas refuses the PTX, or repairs what it must not repair."""


class DisassemblyError(CostError):
    """nvdisasm refuses the cubin."""


class UnknownDevice(CostError):
    """An architecture or a device that ix has no figures of."""


class BudgetError(CostError):
    """A budget that is missing, malformed, or exceeded."""
