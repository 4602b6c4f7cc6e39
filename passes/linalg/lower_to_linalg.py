"""ix-lower-to-linalg: ix → linalg on tensors, one op at a time.

Each ix op becomes what the table `LOWERINGS` of its family builds. Unsigned integers
become signless ones; the ops that stay are those linalg has no form for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ix.dialects import ix
from ix.dialects.ix.shapes import merge_dims
from ix.errors import CompileError
from ix.mlir import arith, func, ir, ops_in, tensor
from ix.passes.framework import module_pass
from ix.passes.linalg import (
    contraction,
    convolution,
    elementwise,
    indexing,
    movement,
    normalization,
    pooling,
    program,
    reduction,
    resampling,
    slicing,
)
from ix.passes.linalg.generic import Lowered, empty, lowered_type
from ix.passes.linalg.ordering import lower_ordered
from ix.passes.linalg.program import keep

LOWERINGS: dict[type, Callable[[Any, list[ir.Value]], Lowered]] = {
    **program.LOWERINGS,
    **elementwise.LOWERINGS,
    **movement.LOWERINGS,
    **slicing.LOWERINGS,
    **indexing.LOWERINGS,
    **resampling.LOWERINGS,
    **reduction.LOWERINGS,
    **normalization.LOWERINGS,
    **contraction.LOWERINGS,
    **convolution.LOWERINGS,
    **pooling.LOWERINGS,
    ix.AttentionOp: keep,
    ix.CumsumOp: keep,
    ix.CumprodOp: keep,
    ix.SortOp: lower_ordered,
    ix.TopkOp: lower_ordered,
    ix.ScatterOp: lower_ordered,
    ix.ScatterNdOp: lower_ordered,
}
"""Op class → the function that builds its lowered form."""


@module_pass("ix-lower-to-linalg")
def lower_to_linalg(module: ir.OpView) -> None:
    """ix → linalg on tensors, in every function but @constants."""
    for function in ops_in(module, func.FuncOp):
        if function.name.value != "constants" and not function.is_external:
            _lower_function(function)


def _lower_function(function: Any) -> None:
    """Builds the lowered ops beside the old ones, then erases those."""
    lowered: dict[ir.Value, ir.Value] = {}
    operations = list(function.regions[0].blocks[0].operations)
    old = _retype_arguments(function, lowered)
    for op in operations:
        operands = [lowered.get(operand, operand) for operand in op.operands]
        if isinstance(op, ix.IxOp):
            _lower_op(op, operands, lowered)
            old.append(op.operation)
        else:
            for place, operand in enumerate(operands):
                op.operation.operands[place] = operand
            if isinstance(op, func.ReturnOp):
                _retype_results(function, operands)
    for operation in reversed(old):
        operation.erase()
    _erase_unused_constants(function)


def _lower_op(
    op: ix.IxOp, operands: list[ir.Value], lowered: dict[ir.Value, ir.Value]
) -> None:
    """Builds the lowered form of one op and notes what its results became."""
    lower = LOWERINGS.get(type(op))
    if lower is None:
        raise CompileError(
            op, "needs a lowering to linalg, but has none; add one to its family's file"
        )
    with ir.InsertionPoint(op.operation), _named(op):
        results = _nothing(op) or lower(op, operands)
        if isinstance(results, ir.Value):
            results = [results]
        for old, new in zip(op.results, results, strict=True):
            lowered[old] = _refined(new, lowered_type(old.type))


def _named(op: ix.IxOp) -> ir.Location:
    """The op's location, named after the op where its source gave no name."""
    location = op.operation.location
    if hasattr(location, "name_str"):
        return location
    return ir.Location.name(op.operation.name, location)


def _nothing(op: ix.IxOp) -> list[ir.Value]:
    """Uninitialised results where none has an element; there is nothing to compute."""
    types = [lowered_type(result.type) for result in op.results]
    if not all(isinstance(type_, ir.RankedTensorType) for type_ in types):
        return []
    if not all(type_.has_static_shape and 0 in type_.shape for type_ in types):
        return []
    return [empty(type_.shape, type_.element_type) for type_ in types]


def _refined(value: ir.Value, declared: ir.Type) -> ir.Value:
    """The value, cast where the IR declares a size that its type does not know."""
    if not isinstance(declared, ir.RankedTensorType) or value.type == declared:
        return value
    shape = list(map(merge_dims, value.type.shape, declared.shape))
    type_ = ir.RankedTensorType.get(shape, declared.element_type)
    return value if value.type == type_ else tensor.CastOp(type_, value).result


def _retype_arguments(
    function: Any, lowered: dict[ir.Value, ir.Value]
) -> list[ir.Operation]:
    """Gives arguments their lowered types.

    The ops that are still to be lowered keep seeing the old type, through a cast.

    Returns:
        Those casts, to be erased in the end.
    """
    inputs = [lowered_type(each) for each in function.type.inputs]
    casts: list[ir.Operation] = []
    for argument, new in zip(function.arguments, inputs, strict=True):
        if new == argument.type:
            continue
        with ir.InsertionPoint.at_block_begin(function.regions[0].blocks[0]):
            cast = ir.Operation.create(
                "builtin.unrealized_conversion_cast",
                results=[argument.type],
                operands=[argument],
                loc=function.location,
            )
        argument.replace_all_uses_except(cast.results[0], cast)
        argument.set_type(new)
        lowered[cast.results[0]] = argument
        casts.append(cast)
    return casts


def _retype_results(function: Any, returned: Sequence[ir.Value]) -> None:
    """Has the signature declare what is returned: lowered, with every known size."""
    inputs = [argument.type for argument in function.arguments]
    results = [value.type for value in returned]
    function.attributes["function_type"] = ir.TypeAttr.get(
        ir.FunctionType.get(inputs, results)
    )


def _erase_unused_constants(function: Any) -> None:
    """Constants that every body captured as a scalar are left without a use."""
    for op in reversed(list(ops_in(function, arith.ConstantOp))):
        if not any(True for _ in op.result.uses):
            op.operation.erase()
