"""gpu modules → the NVVM and LLVM dialects: the passes, and what they lack.

The upstream conversion would call libdevice for elementary functions. Those that a GPU
has instructions for become calls of LLVM's intrinsics before; the others were written
out as polynomials when the kernel's code was made (`passes/cpu/vector_math`).

Locations become lines of a file "op": line n is op n of the kernel's function
(`passes/schedule/sources.py`), so that PTX says so with `.loc 1 n`.
"""

from __future__ import annotations

from typing import Any

from ix.errors import CompileError
from ix.mlir import PassManager, ir, ops_in
from ix.passes.nvvm.exact_integers import keep_integers_exact
from ix.passes.nvvm.far_trigonometric import define_far_functions
from ix.passes.schedule.sources import number_of

__all__ = ["gpu_modules_of", "lower_gpu_modules", "pipeline"]

# Directives alone: tables for debuggers would stand in every kernel.
_DEBUG_LINES = "ensure-debug-info-scope-on-llvm-func{emission-kind=DebugDirectivesOnly}"

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


def lower_gpu_modules(module: Any) -> None:
    """Lowers the gpu.modules directly in a module, in place.

    Raises:
        CompileError: An upstream pass refuses one.
    """
    for holder in gpu_modules_of(module):
        _name_lines(holder)
        keep_integers_exact(holder, _index_bits(holder))
        define_far_functions(holder)
        _call_intrinsics(holder)
        _run(f"gpu.module({pipeline(_index_bits(holder))})", holder)
        _declare_dynamic_arrays(holder)
    own = module.operation.location
    module.operation.location = _line(0)  # names the file
    _run(f"builtin.module({_DEBUG_LINES})", module)
    module.operation.location = own


def gpu_modules_of(module: Any) -> list[Any]:
    """The gpu.modules directly in a module."""
    return [
        op
        for op in module.operation.regions[0].blocks[0].operations
        if op.operation.name == "gpu.module"
    ]


def _run(passes: str, op: Any) -> None:
    """Runs upstream passes.

    Raises:
        CompileError: One fails.
    """
    try:
        PassManager.parse(passes, op.context).run(op.operation)
    except ir.MLIRError as error:
        raise CompileError(
            op, f"needs to be lowered to NVVM, but an upstream pass refuses it: {error}"
        ) from error


def _declare_dynamic_arrays(holder: Any) -> None:
    """Arrays without a size begin behind the others: a launch says how much there is.

    Upstream defines them, and a definition of no bytes would take a place of its own.
    """
    external = ir.Attribute.parse("#llvm.linkage<external>")
    for op in holder.operation.regions[0].blocks[0].operations:
        if op.operation.name == "llvm.mlir.global":
            kind = str(op.operation.attributes["global_type"])
            if kind.startswith("!llvm.array<0 x"):
                op.operation.attributes["linkage"] = external


def _index_bits(holder: Any) -> int:
    attributes = holder.operation.attributes
    if "ix.index_bits" not in attributes:
        return 64
    bits: int = ir.IntegerAttr(attributes["ix.index_bits"]).value
    return bits


def _name_lines(holder: Any) -> None:
    """Locations become lines: the numbers of the ops that code came from.

    What a loop carries is where the loop is.
    """
    lines: dict[int, Any] = {}
    for op in [holder, *ops_in(holder)]:
        number = number_of(op.operation.location)
        if number not in lines:
            lines[number] = _line(number)
        op.operation.location = lines[number]
        for region in op.operation.regions:
            for block in region.blocks:
                for argument in block.arguments:
                    argument.set_location(lines[number])


def _line(number: int) -> Any:
    return ir.Location.file("op", number, 0)


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
