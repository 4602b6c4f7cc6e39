"""gpu modules → the NVVM and LLVM dialects.

What the upstream conversions leave out is put right here: shared memory that is not
initialised, and the parameters of a kernel.
"""

from __future__ import annotations

from typing import Any

from ix.mlir import PassManager, ir

__all__ = ["gpu_module_of", "lower_gpu_module", "pipeline"]


def pipeline(index_bits: int) -> str:
    """The passes inside a gpu.module; an index has so many bits."""
    bits = f"index-bitwidth={index_bits}"
    return (
        "canonicalize,cse,loop-invariant-code-motion,"
        "arith-expand{include-bf16=true},"
        "convert-scf-to-cf,expand-strided-metadata,lower-affine,"
        # Before the conversion to NVVM, which would call libdevice.
        "convert-math-to-llvm,"
        f"convert-gpu-to-nvvm{{use-bare-ptr-memref-call-conv=1 {bits}}},"
        "convert-vector-to-llvm,convert-nvvm-to-llvm,"
        "canonicalize,cse,reconcile-unrealized-casts"
    )


def gpu_module_of(module: Any) -> Any:
    """The one gpu.module of a kernel's module."""
    (holder,) = [
        op
        for op in module.operation.regions[0].blocks[0].operations
        if op.operation.name == "gpu.module"
    ]
    return holder


def lower_gpu_module(module: Any) -> None:
    """Lowers a kernel's module in place."""
    holder = gpu_module_of(module)
    bits = ir.IntegerAttr(holder.operation.attributes["ix.index_bits"]).value
    passes = f"builtin.module(gpu.module({pipeline(bits)}))"
    PassManager.parse(passes, module.context).run(module.operation)
