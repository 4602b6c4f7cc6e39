"""Constructors of linalg.generic that the lowerings of all families share.

A lowering is a function in the table `LOWERINGS` of its family's file:

    def lower_softmax(op: ix.SoftmaxOp, operands: list[ir.Value]) -> Lowered: ...

    LOWERINGS = {ix.SoftmaxOp: lower_softmax}

It runs with the insertion point before `op` and with the location of `op`. `operands`
are the lowered operands (ui8 has become i8); `op` keeps the types it had, so that a
lowering sees what was unsigned. It returns one value for each result of `op`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ix.dialects.ix.shapes import is_float, join_sizes
from ix.mlir import DYNAMIC, arith, defining_op, ir, linalg, tensor
from ix.passes.linalg.symbolic import trace_size

Size: TypeAlias = Any
"""The size of an axis: an int, or a Value of type index."""

Lowered: TypeAlias = Any
"""What a lowering returns: the Value of the one result, or a sequence of Values."""

Body: TypeAlias = Callable[..., Any]
"""Scalars of the inputs (then of the outs) → the scalar or scalars to yield."""


def lowered_type(type_: ir.Type) -> ir.Type:
    """The type after lowering: ui8 becomes i8, in tensors too."""
    if isinstance(type_, ir.RankedTensorType):
        element = lowered_type(type_.element_type)
        if element == type_.element_type:
            return type_
        return ir.RankedTensorType.get(type_.shape, element)
    if isinstance(type_, ir.IntegerType) and type_.is_unsigned:
        return ir.IntegerType.get_signless(type_.width)
    return type_


def index(value: Size) -> ir.Value:
    """A size as a Value of type index."""
    if isinstance(value, ir.Value):
        return value
    return arith.ConstantOp(ir.IndexType.get(), int(value)).result


def scalar(value: float | int | bool, type_: ir.Type) -> ir.Value:
    """A scalar constant of an integer, float or index type."""
    if is_float(type_):
        return arith.ConstantOp(type_, ir.FloatAttr.get(type_, float(value))).result
    return arith.ConstantOp(type_, ir.IntegerAttr.get(type_, int(value))).result


def size_of(value: ir.Value, axis: int) -> Size:
    """The size of one axis of a tensor: an int where it is static.

    A dynamic size is the Value that the producers of the tensor had it from.
    """
    return trace_size(value, axis)


def sizes_from(listed: Sequence[int], operands: Sequence[ir.Value]) -> list[Size]:
    """A list attribute with operands in place of DYNAMIC; constants become ints."""
    return [_known(size) for size in join_sizes(listed, operands)]


def _known(size: Size) -> Size:
    """A size as an int where it is a constant."""
    if not isinstance(size, ir.Value):
        return size
    constant = defining_op(size, arith.ConstantOp)
    return size if constant is None else int(constant.value.value)


def sizes_of(value: ir.Value) -> list[Size]:
    """The sizes of all axes of a tensor."""
    return [size_of(value, axis) for axis in range(value.type.rank)]


def is_empty(value: ir.Value) -> bool:
    """Whether a tensor is known to have no elements."""
    return 0 in value.type.shape


def static_shape(sizes: Sequence[Size]) -> list[int]:
    """Sizes as a type's shape: DYNAMIC for each Value."""
    return [DYNAMIC if isinstance(size, ir.Value) else int(size) for size in sizes]


def empty(sizes: Sequence[Size], element_type: ir.Type) -> ir.Value:
    """An uninitialised tensor."""
    return tensor.EmptyOp(list(sizes), element_type).result


def full(sizes: Sequence[Size], value: ir.Value) -> ir.Value:
    """A tensor filled with one scalar."""
    out = empty(sizes, value.type)
    return linalg.fill(value, outs=[out])


def splat_scalar(value: ir.Value) -> ir.Value | None:
    """The scalar constant that all elements of a constant tensor equal, or None."""
    constant = defining_op(value, arith.ConstantOp)
    if constant is None or not isinstance(constant.value, ir.DenseElementsAttr):
        return None
    if not constant.value.is_splat:
        return None
    element = constant.value.get_splat_value()
    return arith.ConstantOp(value.type.element_type, element).result


def generic(
    inputs: Sequence[ir.Value],
    outs: Sequence[ir.Value],
    maps: Sequence[ir.AffineMap],
    iterators: Sequence[str],
    body: Body,
) -> list[ir.Value]:
    """Builds a linalg.generic.

    Args:
        inputs: Tensors that are read.
        outs: Tensors that give the results their type and first value.
        maps: One indexing map for each input, then for each out.
        iterators: "parallel" or "reduction" for each loop.
        body: Gets one scalar for each input and each out; returns what to yield.

    Returns:
        The results, as many as outs.
    """
    op = linalg.GenericOp(
        [out.type for out in outs],
        list(inputs),
        list(outs),
        ir.ArrayAttr.get([ir.AffineMapAttr.get(map_) for map_ in maps]),
        ir.ArrayAttr.get(
            [ir.Attribute.parse(f"#linalg.iterator_type<{name}>") for name in iterators]
        ),
    )
    elements = [value.type.element_type for value in (*inputs, *outs)]
    location = op.location
    block = op.regions[0].blocks.append(
        *elements, arg_locs=[location for _ in elements]
    )
    with ir.InsertionPoint(block):
        yielded = body(*block.arguments)
        linalg.YieldOp([yielded] if isinstance(yielded, ir.Value) else list(yielded))
    return list(op.results)


def broadcast_map(shape: Sequence[int], sizes: Sequence[Size]) -> ir.AffineMap:
    """Reads an operand of `shape` in a loop nest over `sizes`, aligned at the last.

    A static 1 that stretches is read at constant 0.
    """
    offset = len(sizes) - len(shape)
    return ir.AffineMap.get(
        len(sizes),
        0,
        [
            ir.AffineConstantExpr.get(0)
            if size == 1 and sizes[axis] != 1
            else ir.AffineDimExpr.get(axis)
            for axis, size in enumerate(shape, offset)
        ],
    )


def identity_map(rank: int) -> ir.AffineMap:
    """(d0, …) → (d0, …)."""
    return ir.AffineMap.get_identity(rank)


def projection_map(rank: int, axes: Sequence[int]) -> ir.AffineMap:
    """(d0, …) → the loops named in `axes`, in that order."""
    return ir.AffineMap.get(rank, 0, [ir.AffineDimExpr.get(axis) for axis in axes])


def broadcast_sizes(operands: Sequence[ir.Value]) -> list[Size]:
    """The sizes that operands broadcast to; a static size wins over a dynamic one."""
    rank = max((operand.type.rank for operand in operands), default=0)
    sizes: list[Size] = [1] * rank
    owners: list[tuple[ir.Value, int] | None] = [None] * rank
    for operand in operands:
        for axis, size in enumerate(operand.type.shape, rank - operand.type.rank):
            if size == DYNAMIC and sizes[axis] == 1:
                sizes[axis] = DYNAMIC
                owners[axis] = (operand, axis - rank + operand.type.rank)
            elif size not in (1, DYNAMIC):
                sizes[axis] = size
    return [
        size_of(*owner) if size == DYNAMIC and owner is not None else size
        for size, owner in zip(sizes, owners, strict=True)
    ]


def elementwise(
    operands: Sequence[ir.Value],
    element_type: ir.Type,
    body: Body,
    sizes: Sequence[Size] | None = None,
) -> ir.Value:
    """Applies a scalar function to broadcast operands.

    Constant operands whose elements are equal are captured as scalars.

    Args:
        operands: Tensors that broadcast to one shape.
        element_type: Of the result.
        body: Gets one scalar for each operand; returns one of `element_type`.
        sizes: Of the result; None takes those the operands broadcast to.

    Returns:
        The result, a tensor of the broadcast shape.
    """
    sizes = broadcast_sizes(operands) if sizes is None else list(sizes)
    captured = [splat_scalar(operand) for operand in operands]
    read = [o for o, splat in zip(operands, captured, strict=True) if splat is None]
    out = empty(sizes, element_type)
    rank = len(sizes)

    def with_captured(*scalars: ir.Value) -> ir.Value:
        remaining = iter(scalars)
        return body(*(next(remaining) if s is None else s for s in captured))

    return generic(
        read,
        [out],
        [*(broadcast_map(o.type.shape, sizes) for o in read), identity_map(rank)],
        ["parallel"] * rank,
        with_captured,
    )[0]


def reduce(
    operands: Sequence[ir.Value],
    axes: Sequence[int],
    initials: Sequence[ir.Value],
    body: Body,
    keepdims: bool = False,
) -> list[ir.Value]:
    """Reduces axes of tensors of one shape in one sweep.

    Args:
        operands: The tensors; they broadcast to the shape of the loop nest.
        axes: The reduced axes of that shape.
        initials: First value of each accumulator, scalars; their types are those of
            the results.
        body: Gets the operands' scalars, then the accumulators; returns the new
            accumulators.
        keepdims: Whether a reduced axis stays, with size 1.

    Returns:
        One tensor for each accumulator.
    """
    sizes = broadcast_sizes(operands)
    rank = len(sizes)
    kept = [axis for axis in range(rank) if axis not in set(axes)]
    outs = [full([sizes[axis] for axis in kept], initial) for initial in initials]
    maps = [broadcast_map(operand.type.shape, sizes) for operand in operands]
    results = outs  # of nothing, unless there is something to reduce
    if not any(is_empty(operand) for operand in operands):
        results = generic(
            operands,
            outs,
            [*maps, *(projection_map(rank, kept) for _ in outs)],
            ["parallel" if axis in kept else "reduction" for axis in range(rank)],
            body,
        )
    if keepdims:
        results = [insert_unit_axes(result, axes) for result in results]
    return results


def contract(
    a: ir.Value,
    b: ir.Value,
    maps: Sequence[ir.AffineMap],
    iterators: Sequence[str],
    sizes: Sequence[Size],
    accumulator: ir.Type,
    unsigned: tuple[bool, bool] = (False, False),
) -> ir.Value:
    """Sums products: out[map_out] += extend(a[map_a]) · extend(b[map_b]), from zero.

    Args:
        a, b: The inputs.
        maps: Indexing maps of a, b and the result.
        iterators: "parallel" or "reduction" for each loop.
        sizes: Of the result.
        accumulator: The element type of the result.
        unsigned: Whether the integers of a, and of b, are unsigned.
    """
    out = full(sizes, scalar(0, accumulator))
    if is_empty(a) or is_empty(b):
        return out

    def multiply_add(x: ir.Value, y: ir.Value, total: ir.Value) -> ir.Value:
        x = extend(x, accumulator, unsigned[0])
        y = extend(y, accumulator, unsigned[1])
        if is_float(accumulator):
            return arith.AddFOp(total, arith.MulFOp(x, y).result).result
        return arith.AddIOp(total, arith.MulIOp(x, y).result).result

    return generic([a, b], [out], maps, iterators, multiply_add)[0]


def extend(value: ir.Value, wider: ir.Type, unsigned: bool = False) -> ir.Value:
    """Widens a scalar to a type that holds it exactly; an equal type is left."""
    if value.type == wider:
        return value
    if is_float(wider):
        return arith.ExtFOp(wider, value).result
    if unsigned or value.type.width == 1:
        return arith.ExtUIOp(wider, value).result
    return arith.ExtSIOp(wider, value).result


def insert_unit_axes(value: ir.Value, axes: Sequence[int]) -> ir.Value:
    """Reshapes so that size-1 axes stand at `axes` of the result (ascending)."""
    if not axes:
        return value
    sizes = sizes_of(value)
    rank = len(sizes) + len(axes)
    remaining = iter(sizes)
    return expand(
        value,
        [1 if axis in set(axes) else next(remaining) for axis in range(rank)],
        unit_groups(rank, axes),
    )


def remove_unit_axes(value: ir.Value, axes: Sequence[int]) -> ir.Value:
    """Reshapes so that the size-1 axes `axes` (ascending) are gone."""
    if not axes:
        return value
    return collapse(value, unit_groups(value.type.rank, axes))


def unit_groups(rank: int, axes: Sequence[int]) -> list[list[int]]:
    """The reassociation that joins each unit axis to the kept axis before it.

    Leading unit axes join the first kept axis; without a kept axis there is no group.
    """
    units = set(axes)
    groups: list[list[int]] = []
    leading: list[int] = []
    for axis in range(rank):
        if axis not in units:
            groups.append([*leading, axis])
            leading = []
        elif groups:
            groups[-1].append(axis)
        else:
            leading.append(axis)
    return groups


def expand(
    value: ir.Value, sizes: Sequence[Size], groups: Sequence[Sequence[int]]
) -> ir.Value:
    """tensor.expand_shape: axis i of `value` becomes the axes `groups[i]`."""
    shape = static_shape(sizes)
    return tensor.ExpandShapeOp(
        ir.RankedTensorType.get(shape, value.type.element_type),
        value,
        _reassociation(groups),
        [size for size in sizes if isinstance(size, ir.Value)],
        shape,
    ).result


def collapse(value: ir.Value, groups: Sequence[Sequence[int]]) -> ir.Value:
    """tensor.collapse_shape: the axes `groups[i]` become axis i of the result."""
    shape = []
    for group in groups:
        sizes = [value.type.shape[axis] for axis in group]
        known = DYNAMIC not in sizes
        shape.append(math.prod(sizes) if known else DYNAMIC)
    return tensor.CollapseShapeOp(
        ir.RankedTensorType.get(shape, value.type.element_type),
        value,
        _reassociation(groups),
    ).result


def _reassociation(groups: Sequence[Sequence[int]]) -> ir.ArrayAttr:
    i64 = ir.IntegerType.get_signless(64)
    return ir.ArrayAttr.get(
        [
            ir.ArrayAttr.get([ir.IntegerAttr.get(i64, axis) for axis in group])
            for group in groups
        ]
    )
