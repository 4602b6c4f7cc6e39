"""Resize as one generic for each axis that changes: weighted reads of neighbours.

Positions are computed in f64, so that a large image does not lose a pixel to rounding.
A widened kernel (antialias) has as many neighbours as the scale asks for: its weights
become a matrix, and the axis is contracted with that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ix.dialects import ix
from ix.mlir import arith, ir, linalg, math, tensor
from ix.passes.linalg.generic import (
    Lowered,
    Size,
    contract,
    elementwise,
    empty,
    index,
    projection_map,
    reduce,
    scalar,
    sizes_from,
    sizes_of,
)
from ix.passes.linalg.scalars import compare, compute_type, convert, select
from ix.passes.linalg.sizes import as_number
from ix.passes.linalg.slicing import clamped_place

Values = list[ir.Value]


@dataclass(frozen=True)
class Axis:
    """One axis to resize.

    Args:
        number: Its place.
        size, wanted: Elements before and after.
        scale: wanted / size as the op states it; 0 takes it from the sizes.
    """

    number: int
    size: Size
    wanted: Size
    scale: float

    def scale_value(self) -> ir.Value:
        """The scale as an f64."""
        f64 = ir.F64Type.get()
        if self.scale:
            return scalar(self.scale, f64)
        if isinstance(self.size, int) and isinstance(self.wanted, int):
            return scalar(self.wanted / self.size, f64)
        return _divided(as_number(self.wanted, f64), as_number(self.size, f64))

    def coordinate(self, kind: str) -> ir.Value:
        """The input position x(o) of the output at this axis' loop, as an f64."""
        f64 = ir.F64Type.get()
        output = as_number(linalg.IndexOp(self.number).result, f64)
        if kind == "asymmetric":
            return _divided(output, self.scale_value())
        if kind == "align_corners":
            return _times(output, self._corner_step())
        half = scalar(0.5, f64)
        centre = _divided(_plus(output, half), self.scale_value())
        place = arith.SubFOp(centre, half).result
        if kind == "half_pixel":
            return place
        single = compare("eq", index(self.wanted), index(1))
        return select(single, scalar(0, f64), place)

    def _corner_step(self) -> ir.Value:
        """(size − 1) / (wanted − 1), and 0 where one position is wanted."""
        f64 = ir.F64Type.get()
        if isinstance(self.size, int) and isinstance(self.wanted, int):
            steps = self.wanted - 1
            return scalar((self.size - 1) / steps if steps > 0 else 0, f64)
        one = scalar(1, f64)
        steps = arith.SubFOp(as_number(self.wanted, f64), one).result
        reach = arith.SubFOp(as_number(self.size, f64), one).result
        single = compare("le", steps, scalar(0, f64))
        step = _divided(reach, select(single, one, steps))
        return select(single, scalar(0, f64), step)


def lower_resize(op: ix.ResizeOp, operands: Values) -> Lowered:
    """Nearest: all axes in one generic; otherwise one after the other."""
    operand = operands[0]
    sizes = sizes_of(operand)
    wanted = sizes_from(op.shape, operands[1:])
    axes = [
        Axis(number, size, want, scale)
        for number, (size, want, scale) in enumerate(
            zip(sizes, wanted, op.scales, strict=True)
        )
        if not _unchanged(size, want, scale)
    ]
    if not axes:
        return operand
    if 0 in wanted:
        return empty(wanted, operand.type.element_type)
    if op.mode == "nearest":
        return _nearest(op, operand, axes, wanted)
    element = operand.type.element_type
    wide = compute_type(element)
    value = operand
    for axis in axes:
        step = _by_matrix if op.antialias else _by_neighbours
        value = step(op, value, axis, wide)
    return elementwise([value], element, lambda x: convert(x, wide, element))


def _unchanged(size: Size, wanted: Size, scale: float) -> bool:
    """Whether an axis surely stays as it is."""
    return (
        isinstance(size, int)
        and isinstance(wanted, int)
        and size == wanted
        and scale in (0, 1)
    )


def _nearest(
    op: ix.ResizeOp, operand: ir.Value, axes: list[Axis], wanted: list[Size]
) -> ir.Value:
    """Reads the element at the rounded position."""

    def body() -> ir.Value:
        places = [linalg.IndexOp(axis).result for axis in range(len(wanted))]
        for axis in axes:
            rounded = _ROUNDED[op.nearest](axis.coordinate(op.coordinates))
            places[axis.number] = clamped_place(_as_index(rounded), index(axis.size))
        return tensor.ExtractOp(operand, places).result

    return elementwise([], operand.type.element_type, body, wanted)


def _by_neighbours(
    op: ix.ResizeOp, operand: ir.Value, axis: Axis, wide: ir.Type
) -> ir.Value:
    """Σ over 2 (linear) or 4 (cubic) neighbours of weight · element."""
    element = operand.type.element_type
    sizes = sizes_of(operand)
    sizes[axis.number] = axis.wanted
    offsets = (0, 1) if op.mode == "linear" else (-1, 0, 1, 2)

    def body() -> ir.Value:
        places = [linalg.IndexOp(loop).result for loop in range(len(sizes))]
        x = axis.coordinate(op.coordinates)
        first = math.FloorOp(x).result
        fraction = arith.SubFOp(x, first).result
        total = None
        for offset in offsets:
            distance = arith.SubFOp(scalar(offset, x.type), fraction).result
            weight = _kernel(op, distance)
            place = arith.AddIOp(_as_index(first), index(offset)).result
            places[axis.number] = clamped_place(place, index(axis.size))
            value = tensor.ExtractOp(operand, places).result
            term = _times(convert(value, element, wide), convert(weight, x.type, wide))
            total = term if total is None else _plus(total, term)
        return total

    return elementwise([], wide, body, sizes)


def _by_matrix(
    op: ix.ResizeOp, operand: ir.Value, axis: Axis, wide: ir.Type
) -> ir.Value:
    """Σⱼ W[o, j] · input[…, j, …] with rows of W that sum to 1."""
    weights = _weight_matrix(op, axis, wide)
    zero = scalar(0, wide)
    sums = reduce(
        [weights],
        [1],
        [zero],
        lambda x, acc: arith.AddFOp(x, acc).result,
        keepdims=True,
    )[0]
    weights = elementwise([weights, sums], wide, _divided)
    sizes = sizes_of(operand)
    rank = len(sizes)
    element = operand.type.element_type
    if element != wide:
        operand = elementwise([operand], wide, lambda x: convert(x, element, wide))
    sizes[axis.number] = axis.wanted
    read = [rank if loop == axis.number else loop for loop in range(rank)]
    return contract(
        operand,
        weights,
        [
            projection_map(rank + 1, read),
            projection_map(rank + 1, [axis.number, rank]),
            projection_map(rank + 1, range(rank)),
        ],
        ["parallel"] * rank + ["reduction"],
        sizes,
        wide,
    )


def _weight_matrix(op: ix.ResizeOp, axis: Axis, wide: ir.Type) -> ir.Value:
    """W[o, j] = kernel((j − x(o)) · min(scale, 1)), not yet normalised."""
    row = Axis(0, axis.size, axis.wanted, axis.scale)

    def body() -> ir.Value:
        f64 = ir.F64Type.get()
        x = row.coordinate(op.coordinates)
        place = as_number(linalg.IndexOp(1).result, f64)
        stretch = arith.MinimumFOp(row.scale_value(), scalar(1, f64)).result
        distance = _times(arith.SubFOp(place, x).result, stretch)
        return convert(_kernel(op, distance), f64, wide)

    return elementwise([], wide, body, [axis.wanted, axis.size])


def _kernel(op: ix.ResizeOp, distance: ir.Value) -> ir.Value:
    """The weight of a neighbour: a triangle, or Keys' cubic convolution kernel."""
    f64 = ir.F64Type.get()
    x = math.AbsFOp(distance).result
    one = scalar(1, f64)
    if op.mode == "linear":
        return arith.MaximumFOp(arith.SubFOp(one, x).result, scalar(0, f64)).result
    a = op.cubic_coefficient
    inner = _polynomial(x, [a + 2, -(a + 3), 0, 1])
    outer = _polynomial(x, [a, -5 * a, 8 * a, -4 * a])
    far = select(compare("lt", x, scalar(2, f64)), outer, scalar(0, f64))
    return select(compare("le", x, one), inner, far)


def _polynomial(x: ir.Value, coefficients: list[float]) -> ir.Value:
    """Horner's rule, the highest power first."""
    total = scalar(coefficients[0], x.type)
    for coefficient in coefficients[1:]:
        total = _plus(_times(total, x), scalar(coefficient, x.type))
    return total


def _as_index(whole: ir.Value) -> ir.Value:
    """A whole f64 as an index."""
    i64 = ir.IntegerType.get_signless(64)
    number = arith.FPToSIOp(i64, whole).result
    return arith.IndexCastOp(ir.IndexType.get(), number).result


def _plus(a: ir.Value, b: ir.Value) -> ir.Value:
    return arith.AddFOp(a, b).result


def _times(a: ir.Value, b: ir.Value) -> ir.Value:
    return arith.MulFOp(a, b).result


def _divided(a: ir.Value, b: ir.Value) -> ir.Value:
    return arith.DivFOp(a, b).result


def _half_up(x: ir.Value) -> ir.Value:
    return math.FloorOp(_plus(x, scalar(0.5, x.type))).result


def _half_down(x: ir.Value) -> ir.Value:
    return math.CeilOp(_plus(x, scalar(-0.5, x.type))).result


_ROUNDED: dict[str, Callable[[ir.Value], ir.Value]] = {
    "floor": lambda x: math.FloorOp(x).result,
    "ceil": lambda x: math.CeilOp(x).result,
    "round_prefer_floor": _half_down,
    "round_prefer_ceil": _half_up,
}

LOWERINGS: dict[type, Callable[[Any, Values], Lowered]] = {ix.ResizeOp: lower_resize}
"""Op class → (op, lowered operands) → result."""
