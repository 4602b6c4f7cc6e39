"""ix-lower-to-nvvm: gpu modules → the NVVM and LLVM dialects.

    gpu.func @kernel kernel {…}  →  llvm.func @kernel attributes {nvvm.kernel} {…}

What stands around the gpu modules stays: @main launches kernels by the same names.
"""

from __future__ import annotations

from typing import Any

from ix.passes.framework import module_pass
from ix.passes.nvvm.gpu_to_nvvm import lower_gpu_modules

__all__ = ["lower_to_nvvm"]


@module_pass("ix-lower-to-nvvm")
def lower_to_nvvm(module: Any) -> None:
    """gpu modules → the NVVM and LLVM dialects."""
    lower_gpu_modules(module)
