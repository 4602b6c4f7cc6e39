"""ix-hoist-constants: computes once what depends on parameters and constants alone.

@main: matmul(x, concat(wq, wk, wv))  →  @main: matmul(x, parameter "@0")
                                          @constants: return concat(wq, wk, wv)

A parameter or constant that is used as it is stays in @main, and so does an op that
only repeats elements: it is cheaper to compute than to read. Must come last.
"""

from __future__ import annotations

from typing import Any

from ix.dialects import ix
from ix.mlir import func, ir, op_key
from ix.passes.framework import module_pass

_LEAVES = (ix.ParameterOp, ix.ConstantOp)
_STRETCHES = (ix.BroadcastOp, ix.IotaOp, ix.TileOp)


@module_pass("ix-hoist-constants")
def hoist_constants(module: Any) -> None:
    """Moves ops on parameters and constants alone from @main to @constants."""
    functions = {op.name.value: op for op in module.body if isinstance(op, func.FuncOp)}
    if "main" not in functions:
        return
    block = functions["main"].entry_block
    constant = _constant_ops(block)
    roots = _roots(block, constant)
    if not roots:
        return
    target = functions.get("constants") or _empty_function(module)
    builder = _Constants(target)
    for root in roots:
        builder.move(root)
    builder.finish()
    for op in reversed(constant):
        if not any(next(iter(result.uses), None) for result in op.results):
            op.operation.erase()


def _constant_ops(block: Any) -> list[Any]:
    """The ops of a block that depend on parameters and constants alone, in order."""
    found: dict[Any, Any] = {}
    for op in block.operations:
        if not isinstance(op, ix.IxOp) or not all(map(_is_static, op.results)):
            continue
        if isinstance(op, _LEAVES) or all(o.owner in found for o in op.operands):
            found[op.operation] = op
    return list(found.values())


def _is_static(value: ir.Value) -> bool:
    return isinstance(value.type, ir.RankedTensorType) and value.type.has_static_shape


def _roots(block: Any, constant: list[Any]) -> list[ir.Value]:
    """The constant values to compute ahead that other ops read, in order."""
    kept = {op.operation for op in constant if isinstance(op, _LEAVES)}
    for op in constant:
        if isinstance(op, _STRETCHES):
            kept.add(op.operation)
    hoisted = {op.operation for op in constant} - kept
    # What a kept op is computed from is read by @main, if @main reads the kept op.
    inside = _read_by_main(block, hoisted, kept)
    return [
        result
        for op in constant
        if op.operation in hoisted
        for result in op.results
        if any(use.owner in inside for use in result.uses)
    ]


def _read_by_main(block: Any, hoisted: set[Any], kept: set[Any]) -> set[Any]:
    """The ops that stay in @main."""
    inside: set[Any] = set()
    for op in reversed(list(block.operations)):
        operation = op.operation
        if operation in hoisted:
            continue
        if operation not in kept or any(
            use.owner in inside for result in operation.results for use in result.uses
        ):
            inside.add(operation)
    return inside


def _empty_function(module: Any) -> Any:
    """A new @constants without results at the end of the module."""
    with ir.InsertionPoint(module.body):
        function = func.FuncOp("constants", ([], []))
    with ir.InsertionPoint(function.add_entry_block()):
        func.ReturnOp([])
    return function


class _Constants:
    """Adds results to @constants and reads them in @main."""

    def __init__(self, function: Any) -> None:
        self.function = function
        operations = function.entry_block.operations
        self.end = operations[len(operations) - 1].operation
        self.returned = list(self.end.operands)
        self.copies: dict[int, Any] = {}

    def move(self, value: ir.Value) -> None:
        """Computes a value of @main here, and gives @main the parameter of it."""
        name = f"@{len(self.returned)}"
        self.returned.append(self._copied(value))
        op = value.owner
        with ir.InsertionPoint(op), op.location:
            value.replace_all_uses_with(ix.ParameterOp.build(value.type, name=name))

    def _copied(self, value: ir.Value) -> ir.Value:
        """The value computed in @constants."""
        op = value.owner
        number = ir.OpResult(value).result_number
        if isinstance(op.opview, ix.ParameterOp) and op.opview.name.startswith("@"):
            return self.returned[int(op.opview.name[1:])]
        if op_key(op) not in self.copies:
            operands = [self._copied(operand) for operand in op.operands]
            copy = op.clone(ip=ir.InsertionPoint(self.end))
            for place, operand in enumerate(operands):
                copy.operands[place] = operand
            self.copies[op_key(op)] = copy
        return self.copies[op_key(op)].operation.results[number]

    def finish(self) -> None:
        """Writes the new return and the function's type."""
        with ir.InsertionPoint(self.end), self.end.location:
            func.ReturnOp(self.returned)
        self.end.erase()
        types = [value.type for value in self.returned]
        self.function.operation.attributes["function_type"] = ir.TypeAttr.get(
            ir.FunctionType.get([], types)
        )
