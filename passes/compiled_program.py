"""What a code generator hands to the compiler: a plan, code, and the constants' recipe.

Each kind of target has a generator of its own (`passes/cpu/compile_program.py`,
`passes/gpu/compile_program.py`); what they share is here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from ix.errors import CompileError
from ix.mlir import ir
from ix.passes.schedule.ask_rules import rule_of
from ix.passes.schedule.form_kernels import declared_dims
from ix.passes.schedule.kernel import Kernel
from ix.passes.schedule.program import ConstantSource, HostProgram
from ix.runtime.plan import Constant, Decision, Dim, Launch, Plan, Tensor
from ix.runtime.plan import Kernel as PlanKernel
from ix.target import Target

__all__ = [
    "CompiledProgram",
    "ObjectCache",
    "functions_text",
    "kernel_functions",
    "op_names",
    "plan_of",
    "target_of",
    "types_of",
]

ObjectCache = Callable[[str, Callable[[], bytes]], bytes]
"""(digest, how to make it) → the object."""


@dataclass
class CompiledProgram:
    """The compiled program, before its constants are evaluated.

    objects: For a CPU the entry's object, one for each kernel, the thread pool's. For
        a GPU the PTX and the cubin of each kernel, in the plan's order; the cubin is
        empty where no assembler was found.
    constants: How to make each constant, in the plan's order.
    constants_module: Text of the module that computes the constants named "@n".
    ir: Each kernel's code to read, by symbol: LLVM IR, or PTX.
    """

    plan: Plan
    objects: list[bytes]
    constants: list[ConstantSource]
    constants_module: str = ""
    ir: dict[str, str] = field(default_factory=dict)


def target_of(module: Any, example: str) -> Target:
    """The target that a module says it is compiled for.

    Args:
        example: A target to name to those who gave none.

    Raises:
        CompileError: It says none.
    """
    attributes = module.operation.attributes
    if "ix.target" not in attributes:
        raise CompileError(
            module,
            f'needs the attribute ix.target, but has none; for example "{example}"',
        )
    return Target.parse(ir.StringAttr(attributes["ix.target"]).value)


def kernel_functions(module: Any) -> dict[str, Any]:
    """The functions that ix-form-kernels made, by name."""
    return {
        ir.StringAttr(op.operation.attributes["sym_name"]).value: op.operation.opview
        for op in module.operation.regions[0].blocks[0].operations
        if "ix.family" in op.operation.attributes
    }


def op_names(kernel: Kernel) -> tuple[str, ...]:
    """What a kernel computes, for people."""
    return tuple(dict.fromkeys(op.operation.name.split(".")[-1] for op in kernel.ops))


def types_of(kernel: Kernel) -> tuple[str, ...]:
    """The types of a kernel's inputs and outputs, such as "64x1000xf32"."""
    values = [*kernel.inputs, *kernel.outputs]
    return tuple(str(v.type).removeprefix("tensor<").removesuffix(">") for v in values)


def plan_of(
    module: Any,
    target: Target,
    signature: tuple[list[Tensor], list[Tensor]],
    name: str,
    program: HostProgram,
    kernels: dict[str, PlanKernel],
) -> Plan:
    """The plan of a program whose kernels are compiled.

    Args:
        module: After ix-form-kernels.
        signature: Inputs and outputs, with the dtypes that the importer saw.
        name: The program's name.
        program: Its launches, from `host_program`.
        kernels: The compiled kernel of each kernel function that is launched.
    """
    inputs, outputs = signature
    used = _by_symbol(module, kernels)
    order = {symbol: number for number, symbol in enumerate(used)}
    return Plan(
        name=name,
        target=str(target),
        dims=tuple(
            Dim(n, low, high) for n, (low, high) in declared_dims(module).items()
        ),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        # Their dtypes and shapes are known once they are evaluated.
        constants=tuple(Constant(source.key, "", ()) for source in program.constants),
        arena_bytes=program.arena_bytes,
        scratch_bytes=max((k.scratch_bytes for k in used.values()), default=0),
        kernels=tuple(used.values()),
        launches=tuple(
            Launch(
                order[kernels[step.callee].symbol],
                tuple(place.address for place in (*step.reads, *step.writes)),
                step.sizes,
                tuple(place.label for place in step.reads),
                tuple(place.label for place in step.writes),
                step.ops,
                step.location,
                step.sources if target.kind == "cuda" else (),
            )
            for step in program.steps
        ),
        decisions=_decisions(module),
        flops=sum(kernels[step.callee].flops for step in program.steps),
    )


def functions_text(module: Any, name: str) -> str:
    """The text of one function of a module; "" where it has none of that name."""
    for op in module.operation.regions[0].blocks[0].operations:
        if "sym_name" in op.operation.attributes and (
            ir.StringAttr(op.operation.attributes["sym_name"]).value == name
        ):
            return str(op)
    return ""


def _by_symbol(module: Any, kernels: dict[str, PlanKernel]) -> dict[str, PlanKernel]:
    """The kernels by symbol, with the rules that made them and those that did not.

    Functions whose code is the same share a kernel, which tells what declined any.
    """
    functions = kernel_functions(module)
    found: dict[str, PlanKernel] = {}
    for callee, kernel in kernels.items():
        rule, declined = rule_of(functions[callee])
        if kernel.symbol in found:
            declined = (*found[kernel.symbol].declined, *declined)
        found[kernel.symbol] = replace(
            kernel, rule=rule, declined=tuple(dict.fromkeys(declined))
        )
    return found


def _decisions(module: Any) -> tuple[Decision, ...]:
    attributes = module.operation.attributes
    if "ix.decisions" not in attributes:
        return ()
    records = json.loads(ir.StringAttr(attributes["ix.decisions"]).value)
    return tuple(Decision(**record) for record in records)
