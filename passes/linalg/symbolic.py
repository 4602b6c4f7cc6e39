"""Where a dynamic size comes from, and when two sizes are surely equal.

`trace_size` follows an axis back through the ops that keep or compute its size, so that
sizes refer to arguments and not to intermediate tensors. `Monomial` compares products
of sizes, which is what a reshape needs to know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ix.dialects.ix.dialect import IxOp
from ix.mlir import DYNAMIC, arith, func, ir, linalg, tensor


def trace_size(value: ir.Value, axis: int) -> Any:
    """The size of an axis of a tensor: an int, or a Value of type index."""
    size = value.type.shape[axis]
    if size != DYNAMIC:
        return size
    if isinstance(value.owner, ir.Block):
        return _dim(value, axis)
    op = value.owner.opview
    for kind, trace in _TRACES.items():
        if isinstance(op, kind):
            return trace(op, value, axis)
    return _dim(value, axis)


def _dim(value: ir.Value, axis: int) -> ir.Value:
    return tensor.DimOp(value, arith.ConstantOp(ir.IndexType.get(), axis).result).result


def _nth_dynamic(values: Sequence[ir.Value], shape: Sequence[int], axis: int) -> Any:
    """The operand that stands for the `?` at `axis`."""
    return values[list(shape)[:axis].count(DYNAMIC)]


def _of_outs(op: Any, value: ir.Value, axis: int) -> Any:
    return trace_size(op.outputs[ir.OpResult(value).result_number], axis)


def _of_collapsed(op: tensor.CollapseShapeOp, value: ir.Value, axis: int) -> Any:
    """The one size of the collapsed axes that is not 1."""
    group = [int(item.value) for item in op.reassociation[axis]]
    sizes = [i for i in group if op.src.type.shape[i] != 1]
    return trace_size(op.src, sizes[0]) if len(sizes) == 1 else _dim(value, axis)


def _of_concat(op: tensor.ConcatOp, value: ir.Value, axis: int) -> Any:
    """Another axis is that of every input."""
    joined = op.dim.value == axis
    return _dim(value, axis) if joined else trace_size(op.inputs[0], axis)


def _of_pad(op: tensor.PadOp, value: ir.Value, axis: int) -> Any:
    padded = op.static_low[axis] or op.static_high[axis]
    return _dim(value, axis) if padded else trace_size(op.source, axis)


def _of_kept(op: IxOp, value: ir.Value, axis: int) -> Any:
    """Some ops that stay give their first operand's shape."""
    kept = op.OPERATION_NAME in _SAME_SHAPE
    return trace_size(op.operands[0], axis) if kept else _dim(value, axis)


_SAME_SHAPE = ("ix.sort", "ix.cumsum", "ix.cumprod", "ix.scatter", "ix.scatter_nd")

_TRACES: dict[Any, Callable[[Any, ir.Value, int], Any]] = {
    linalg.GenericOp: _of_outs,
    linalg.FillOp: _of_outs,
    tensor.EmptyOp: lambda op, v, axis: _nth_dynamic(
        op.dynamicSizes, v.type.shape, axis
    ),
    tensor.ExpandShapeOp: lambda op, v, axis: _nth_dynamic(
        op.output_shape, v.type.shape, axis
    ),
    tensor.ExtractSliceOp: lambda op, _, axis: _nth_dynamic(
        op.sizes, op.static_sizes, axis
    ),
    tensor.CastOp: lambda op, _, axis: trace_size(op.source, axis),
    tensor.CollapseShapeOp: _of_collapsed,
    tensor.ConcatOp: _of_concat,
    tensor.PadOp: _of_pad,
    IxOp: _of_kept,
}
"""Producer → (op, its result, axis) → the size."""


@dataclass(frozen=True)
class Monomial:
    """coefficient · Π symbols: a product of static and of unknown sizes."""

    coefficient: int = 1
    symbols: Counter[Hashable] = field(default_factory=Counter)

    def times(self, other: Monomial) -> Monomial:
        """The product."""
        return Monomial(
            self.coefficient * other.coefficient, self.symbols + other.symbols
        )

    def divided_by(self, other: Monomial) -> Monomial | None:
        """The quotient, where it is surely whole; else None."""
        if other.coefficient == 0 or self.coefficient % other.coefficient:
            return None
        if other.symbols - self.symbols:
            return None
        return Monomial(
            self.coefficient // other.coefficient, self.symbols - other.symbols
        )


def monomial(size: Any) -> Monomial:
    """A size as a product of numbers and symbols."""
    if not isinstance(size, ir.Value):
        return Monomial(int(size))
    op = None if isinstance(size.owner, ir.Block) else size.owner.opview
    if isinstance(op, arith.ConstantOp):
        return Monomial(op.value.value)
    if isinstance(op, arith.MulIOp):
        return monomial(op.lhs).times(monomial(op.rhs))
    if isinstance(op, _DIVISIONS):
        quotient = monomial(op.lhs).divided_by(monomial(op.rhs))
        if quotient is not None:
            return quotient
    return Monomial(1, Counter([_symbol(size, op)]))


def total(sizes: Iterable[Any]) -> Monomial:
    """The product of sizes."""
    result = Monomial()
    for size in sizes:
        result = result.times(monomial(size))
    return result


_DIVISIONS = (arith.DivSIOp, arith.DivUIOp, arith.FloorDivSIOp)


def _symbol(size: ir.Value, op: Any) -> Hashable:
    """A name that is the same for sizes that are surely equal."""
    if isinstance(op, tensor.DimOp):
        axis = monomial(op.index).coefficient
        named = dimension_name(op.source, axis)
        return named if named else (op.source, axis)
    if op is not None and op.OPERATION_NAME.startswith("arith."):
        parts = (monomial(operand) for operand in op.operands)
        terms = [(part.coefficient, frozenset(part.symbols.items())) for part in parts]
        return (op.OPERATION_NAME, str(op.attributes), *terms)
    return size


def dimension_name(value: ir.Value, axis: int) -> str:
    """The declared dimension (`ix.dims`) of an argument's axis, or ""."""
    if not isinstance(value.owner, ir.Block):
        return ""
    function = value.owner.owner.operation.opview
    if not isinstance(function, func.FuncOp):
        return ""
    if "arg_attrs" not in function.attributes:
        return ""
    attributes = function.attributes["arg_attrs"][ir.BlockArgument(value).arg_number]
    return attributes["ix.dims"][axis].value if "ix.dims" in attributes else ""
