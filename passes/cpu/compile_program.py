"""A module after ix-form-kernels → a plan, its objects and its constants' recipe.

Each kernel is compiled on its own, so that equal kernels of all programs share one
object in the cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import llvmlite

from ix.mlir import ir
from ix.passes.cpu.entry import entry_ir
from ix.passes.cpu.kernel_object import kernel_ir
from ix.passes.cpu.object_code import compile_object
from ix.passes.cpu.thread_pool import pool_ir
from ix.passes.schedule.choose_rule import loops_of
from ix.passes.schedule.form_kernels import declared_dims
from ix.passes.schedule.kernel import Kernel, Packing
from ix.passes.schedule.program import ConstantSource, host_program
from ix.runtime.plan import Constant, Decision, Dim, Launch, Plan, Tensor
from ix.runtime.plan import Kernel as PlanKernel
from ix.target import Target

__all__ = ["CpuProgram", "compile_cpu"]

ObjectCache = Callable[[str, Callable[[], bytes]], bytes]
"""(digest, how to make it) → the object."""


@dataclass
class CpuProgram:
    """The compiled program, before its constants are evaluated.

    objects: The entry first, the thread pool last.
    constants: How to make each constant, in the plan's order.
    constants_module: Text of the module that computes the constants named "@n".
    ir: LLVM IR of each kernel, by symbol, then of the entry.
    """

    plan: Plan
    objects: list[bytes]
    constants: list[ConstantSource]
    constants_module: str = ""
    ir: dict[str, str] = field(default_factory=dict)


@dataclass
class _Compiled:
    """One kernel function, compiled."""

    symbol: str
    packings: dict[int, Packing]
    in_place: bool
    kernel: PlanKernel
    flops: int
    text: str
    level: int


@dataclass
class _Kernels:
    functions: dict[str, Any]
    target: Target
    done: dict[str, _Compiled] = field(default_factory=dict)

    def __call__(self, name: str) -> _Compiled:
        if name not in self.done:
            self.done[name] = self._compile(self.functions[name])
        return self.done[name]

    def _compile(self, function: Any) -> _Compiled:
        kernel = Kernel(function)
        code = loops_of(function, self.target)
        pointers = len(kernel.inputs) + len(kernel.outputs) + 1
        symbol, text = kernel_ir(code, pointers, len(kernel.ranges))
        names = tuple(
            dict.fromkeys(op.operation.name.split(".")[-1] for op in kernel.ops)
        )
        padded = (code.scratch_bytes + 63) // 64 * 64
        entry = PlanKernel(
            symbol, code.family, names, code.flops, kernel.traffic, padded
        )
        return _Compiled(
            symbol,
            code.packings,
            code.in_place,
            entry,
            code.flops,
            text,
            code.level,
        )


def compile_cpu(
    module: Any,
    target: Target,
    signature: tuple[list[Tensor], list[Tensor]],
    name: str,
    cached: ObjectCache,
) -> CpuProgram:
    """Compiles a module whose @main only calls kernels.

    Args:
        module: After ix-form-kernels.
        target: A CPU.
        signature: Inputs and outputs, with the dtypes that the importer saw.
        name: The program's name.
        cached: Looks objects up, or makes them.

    Raises:
        CompileError: No rule takes a kernel, or LLVM refuses its code.
    """
    body = module.operation.regions[0].blocks[0]
    functions = {
        ir.StringAttr(op.operation.attributes["sym_name"]).value: op.operation.opview
        for op in body.operations
        if "ix.family" in op.operation.attributes
    }
    kernels = _Kernels(functions, target)
    program = host_program(
        module, lambda callee: (kernels(callee).packings, kernels(callee).in_place)
    )
    used = list(dict.fromkeys(step.callee for step in program.steps))
    inputs, outputs = signature
    dims = declared_dims(module)
    symbols = {callee: kernels(callee).symbol for callee in used}
    entry = entry_ir(program, symbols, len(inputs), len(outputs), len(dims))
    texts = {kernels(callee).symbol: kernels(callee) for callee in used}

    def compiled(text: str, level: int) -> bytes:
        digest = object_digest(text, target, level)
        return cached(digest, lambda: compile_object(text, target, level=level))

    objects = [compiled(entry, 0)]
    objects += [compiled(k.text, k.level) for k in texts.values()]
    objects.append(compiled(pool_ir(target), 0))
    order = {symbol: number for number, symbol in enumerate(texts)}
    plan = Plan(
        name=name,
        target=str(target),
        dims=tuple(Dim(n, low, high) for n, (low, high) in dims.items()),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        constants=tuple(_placeholder(source) for source in program.constants),
        arena_bytes=program.arena_bytes,
        scratch_bytes=max((k.kernel.scratch_bytes for k in texts.values()), default=0),
        kernels=tuple(k.kernel for k in texts.values()),
        launches=tuple(
            Launch(
                order[symbols[step.callee]],
                tuple(place.address for place in (*step.reads, *step.writes)),
                step.sizes,
                tuple(place.label for place in step.reads),
                tuple(place.label for place in step.writes),
                step.ops,
                step.location,
            )
            for step in program.steps
        ),
        decisions=_decisions(module),
        flops=sum(kernels(step.callee).flops for step in program.steps),
    )
    llvm_ir = {symbol: k.text for symbol, k in texts.items()}
    return CpuProgram(
        plan,
        objects,
        program.constants,
        functions_text(module, "constants"),
        {**llvm_ir, "entry": entry},
    )


def functions_text(module: Any, name: str) -> str:
    """The text of one function of a module; "" where it has none of that name."""
    for op in module.operation.regions[0].blocks[0].operations:
        if "sym_name" in op.operation.attributes and (
            ir.StringAttr(op.operation.attributes["sym_name"]).value == name
        ):
            return str(op)
    return ""


def object_digest(text: str, target: Target, level: int) -> str:
    """The cache key of an object: all that its bytes depend on."""
    parts = (text, str(target), str(level), llvmlite.__version__)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _placeholder(source: ConstantSource) -> Constant:
    """A constant whose dtype and shape are known once it is evaluated."""
    return Constant(source.key, "", ())


def _decisions(module: Any) -> tuple[Decision, ...]:
    attributes = module.operation.attributes
    if "ix.decisions" not in attributes:
        return ()
    records = json.loads(ir.StringAttr(attributes["ix.decisions"]).value)
    return tuple(Decision(**record) for record in records)
