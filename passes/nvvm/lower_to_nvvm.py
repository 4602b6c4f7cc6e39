"""gpu modules → the NVVM and LLVM dialects.

The upstream conversion would call libdevice for elementary functions. Those that a GPU
has instructions for become calls of LLVM's intrinsics before; the others were written
out as polynomials when the kernel's code was made (`passes/cpu/vector_math`).
"""

from __future__ import annotations

from typing import Any

from ix.mlir import PassManager, ir, ops_in
from ix.passes.nvvm.exact_integers import keep_integers_exact
from ix.passes.nvvm.far_trigonometric import define_far_functions

__all__ = ["gpu_module_of", "lower_gpu_module", "pipeline"]

# What NVPTX selects one or a few instructions for, rounded as IEEE 754 says.
_INTRINSICS = {
    "arith.maxnumf": "llvm.maxnum",
    "arith.minnumf": "llvm.minnum",
    "math.absf": "llvm.fabs",
    "math.ceil": "llvm.ceil",
    "math.copysign": "llvm.copysign",
    "math.floor": "llvm.floor",
    "math.fma": "llvm.fma",
    "math.roundeven": "llvm.roundeven",
    "math.sqrt": "llvm.sqrt",
    "math.trunc": "llvm.trunc",
}


def pipeline(index_bits: int) -> str:
    """The passes inside a gpu.module; an index has so many bits."""
    bits = f"index-bitwidth={index_bits}"
    return (
        "canonicalize,cse,loop-invariant-code-motion,"
        "arith-expand{include-bf16=true},"
        "convert-scf-to-cf,expand-strided-metadata,lower-affine,"
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
    keep_integers_exact(holder, bits)
    define_far_functions(holder)
    _call_intrinsics(holder)
    passes = f"builtin.module(gpu.module({pipeline(bits)}))"
    PassManager.parse(passes, module.context).run(module.operation)


def _call_intrinsics(holder: Any) -> None:
    """math.sqrt %x → llvm.call_intrinsic "llvm.sqrt"(%x), and so on."""
    for op in ops_in(holder):
        name = _INTRINSICS.get(op.operation.name)
        if name is None:
            continue
        operands = list(op.operation.operands)
        with ir.InsertionPoint(op), op.operation.location:
            call = ir.Operation.create(
                "llvm.call_intrinsic",
                results=[op.operation.results[0].type],
                operands=operands,
                attributes={
                    "intrin": ir.StringAttr.get(name),
                    "op_bundle_sizes": ir.DenseI32ArrayAttr.get([]),
                    "operandSegmentSizes": ir.DenseI32ArrayAttr.get([len(operands), 0]),
                },
            )
        op.operation.results[0].replace_all_uses_with(call.results[0])
        op.operation.erase()
