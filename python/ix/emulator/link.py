"""Links an entry with the functions that it calls, and compiles all of it to steps.

Functions lie before their callers, so that threads within a function are at the lowest
instruction and come back together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ix.emulator.alu_steps import compile_alu
from ix.emulator.errors import UnsupportedInstruction
from ix.emulator.instruction_table import alignment_of, compile_of, patience_of
from ix.emulator.kernel_code import Compiled, KernelCode
from ix.emulator.syntax import (
    Function,
    Instruction,
    Module,
    Operand,
    Symbol,
)

__all__ = ["link"]


def link(
    module: Module, entry: Function, global_addresses: Mapping[str, int], target: str
) -> KernelCode:
    """Compiles an entry.

    Raises:
        UnsupportedInstruction: An instruction that is not emulated; names its line.
    """
    functions = _callees_first(module, entry)
    kernel = KernelCode(module, entry, functions, global_addresses, target)
    bodies = {}
    for function in functions:
        bodies[function.name], kernel.positions[function.name] = _body(function)
    start = 0
    for function in functions:
        kernel.starts[function.name] = start
        start += len(bodies[function.name])
    for function in functions:
        kernel.function = function
        for instruction in bodies[function.name]:
            kernel.index = len(kernel.code)
            kernel.code.append(_compile(kernel, instruction))
    kernel.function = entry
    return kernel


def _callees_first(module: Module, entry: Function) -> list[Function]:
    """The entry and all defined functions that it may reach, callees before callers.

    A function whose address is taken anywhere counts as reachable.

    Raises:
        UnsupportedInstruction: A function may call itself: its registers and variables
            exist once for each thread.
    """
    ordered: list[Function] = []
    seen: set[str] = set()

    def visit(function: Function, callers: tuple[str, ...] = ()) -> None:
        seen.add(function.name)
        for name in _named_functions(module, function):
            if name in (function.name, *callers):
                raise UnsupportedInstruction(
                    f"kernel '{entry.name}', PTX line {function.line}: '.func' needs "
                    f"no recursion, but '{name}' calls itself; turn it into a loop"
                )
            if name not in seen:
                visit(module.functions[name], (*callers, function.name))
        ordered.append(function)

    visit(entry)
    for variable in module.variables.values():
        for value in variable.initialiser:
            name = value.name if isinstance(value, Symbol) else ""
            callee = module.functions.get(name)
            if callee is not None and callee.is_defined and name not in seen:
                visit(callee)
                # Keep the entry last: its threads wait for those in functions.
                ordered.remove(entry)
                ordered.append(entry)
    return ordered


def _named_functions(module: Module, function: Function) -> list[str]:
    """The defined functions that the operands of a function name."""
    names = {
        operand.name: None
        for instruction in function.instructions
        for operand in instruction.operands
        if isinstance(operand, Symbol)
    }
    return [
        n for n in names if n in module.functions and module.functions[n].is_defined
    ]


def _body(function: Function) -> tuple[list[Instruction], list[int]]:
    """The instructions of a function, with the steps that calls need.

    `enter` begins a function, `return_value` follows each call, and `ret` ends all.

    Returns:
        The body, and where in it each instruction of the function stands; one more
        for labels at the end.
    """
    own = function.instructions
    body: list[Instruction] = []
    if not function.is_entry:
        body.append(_step("enter", (), own[0].line if own else function.line))
    positions: list[int] = []
    for each in own:
        positions.append(len(body))
        body.append(each)
        if each.opcode == "call":
            after = _step("return_value", each.operands, each.line)
            body.append(replace(after, predicate=each.predicate))
    positions.append(len(body))
    body.append(_step("ret", (), own[-1].line if own else function.line))
    return body, positions


def _step(name: str, operands: tuple[Operand, ...], line: int) -> Instruction:
    return Instruction(name, (), operands, None, line, name)


def _compile(kernel: KernelCode, instruction: Instruction) -> Compiled:
    compiled = Compiled(
        instruction,
        None,
        aligned=alignment_of(instruction),
        patience=patience_of(instruction),
    )
    if instruction.predicate is not None:
        compiled.predicate = kernel.register(instruction.predicate.register)
        compiled.negated = instruction.predicate.negated
    if instruction.opcode == "bra":
        compiled.target = _branch_target(kernel, instruction)
        return compiled
    try:
        compile_step = compile_of(instruction) or compile_alu
        compiled.step = compile_step(instruction, kernel)
    except UnsupportedInstruction as error:
        if "PTX line" in str(error):
            raise
        raise UnsupportedInstruction(
            f"kernel '{kernel.name}', PTX line {instruction.line} "
            f"`{instruction.text}`: {error}"
        ) from error
    except (ValueError, IndexError, KeyError, AssertionError) as error:
        raise kernel.unsupported(
            instruction, f"its operands or type do not fit ({error})"
        ) from error
    return compiled


def _branch_target(kernel: KernelCode, instruction: Instruction) -> int:
    target = instruction.operands[0]
    if not isinstance(target, Symbol) or target.name not in kernel.function.labels:
        raise kernel.unsupported(instruction, "its target is no label of the function")
    return kernel.label(target.name)
