"""Random programs of ix ops: shapes, dtypes, sizes of 0 and 1, dynamic axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from lowering_check import numbers

from ix.dialects import ix
from ix.dialects.ix.shapes import NUMPY_DTYPES
from ix.mlir import DYNAMIC, arith, ir

SIZES = (0, 1, 2, 3, 5, 8)
EXACT = ("i64", "i32", "i8", "ui8", "f64", "f32")


class RandomProgram:
    """Draws ops one after the other; every value stays an operand for later ones.

    Only ops whose results are exact, so that programs compare without tolerance.
    """

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.dtype = self.choose(EXACT)
        shape = [int(self.choose(SIZES)) for _ in range(self.integer(0, 3))]
        # What may be dynamic is an axis of the first input that no 1 stretches over.
        self.dynamic = [axis for axis, size in enumerate(shape) if size != 1]
        if self.generator.random() < 0.5:
            self.dynamic = []
        other = [1 if self.generator.random() < 0.3 else size for size in shape]
        dtype = NUMPY_DTYPES[self.dtype]
        self.inputs = [
            np.asarray(np.round(numbers(self.generator, each, dtype, 3))).astype(dtype)
            for each in (shape, shape, [])
        ]
        self.stretched = np.asarray(
            np.round(numbers(self.generator, other, dtype, 3))
        ).astype(dtype)

    def choose(self, options: Any) -> Any:
        return options[self.integer(0, len(options) - 1)]

    def integer(self, low: int, high: int) -> int:
        return int(self.generator.integers(low, high + 1))

    def body(self, *arguments: ir.Value) -> list[ir.Value]:
        """Builds the program; returns all values that were computed."""
        values = [*arguments, ix.ConstantOp.build(self.stretched)]
        start = len(values)
        steps = [
            self.unary,
            self.binary,
            self.binary,
            self.select,
            self.transpose,
            self.merge_axes,
            self.split_axis,
            self.slice,
            self.pad,
            self.concat,
            self.flip,
            self.tile,
            self.take,
            self.reduce,
            self.broadcast,
        ]
        while len(values) < start + 8:
            made = self.choose(steps)(self.choose(values), values)
            if made is not None and elements(made) < 4096:
                values.append(made)
        return values[start:]

    def unary(self, x: ir.Value, _: Any) -> Any:
        return self.choose([ix.NegOp, ix.AbsOp, ix.SignOp, ix.ReluOp]).build(x)

    def binary(self, x: ir.Value, values: list[ir.Value]) -> Any:
        ops = [ix.AddOp, ix.SubOp, ix.MaxOp, ix.MinOp]
        y = self.choose([each for each in values if broadcasts(x, each)])
        return self.choose(ops).build(x, y)

    def select(self, x: ir.Value, values: list[ir.Value]) -> Any:
        y = self.choose([each for each in values if broadcasts(x, each)])
        return ix.SelectOp.build(ix.LtOp.build(x, y), y, x)

    def transpose(self, x: ir.Value, _: Any) -> Any:
        order = [int(i) for i in self.generator.permutation(x.type.rank)]
        return ix.TransposeOp.build(x, permutation=order)

    def merge_axes(self, x: ir.Value, _: Any) -> Any:
        if x.type.rank < 2:
            return None
        at = self.integer(0, x.type.rank - 2)
        sizes = sizes_of(x)
        merged = product(sizes[at], sizes[at + 1])
        return ix.ReshapeOp.build(x, [*sizes[:at], merged, *sizes[at + 2 :]])

    def split_axis(self, x: ir.Value, _: Any) -> Any:
        if not 0 < x.type.rank < 4:
            return None
        at = self.integer(0, x.type.rank - 1)
        sizes = sizes_of(x)
        factors = [1, sizes[at]]
        if isinstance(sizes[at], int) and sizes[at] % 2 == 0:
            factors = [2, sizes[at] // 2]
        return ix.ReshapeOp.build(x, [*sizes[:at], *factors, *sizes[at + 1 :]])

    def slice(self, x: ir.Value, _: Any) -> Any:
        starts, limits = [0] * x.type.rank, sizes_of(x)
        for axis, size in enumerate(limits):
            if isinstance(size, int):
                starts[axis] = self.integer(0, size)
                limits[axis] = self.integer(starts[axis], size)
        strides = [self.integer(1, 3) for _ in starts]
        return ix.SliceOp.build(x, starts=starts, limits=limits, strides=strides)

    def pad(self, x: ir.Value, _: Any) -> Any:
        low, high = ([self.integer(0, 2) for _ in range(x.type.rank)] for _ in "lh")
        value = ix.ConstantOp.build(1, self.dtype)
        return ix.PadOp.build(x, value, low=low, high=high)

    def concat(self, x: ir.Value, _: Any) -> Any:
        if not x.type.rank:
            return None
        axis = self.integer(0, x.type.rank - 1)
        return ix.ConcatOp.build([x, ix.NegOp.build(x)], axis=axis)

    def flip(self, x: ir.Value, _: Any) -> Any:
        axes = [axis for axis in range(x.type.rank) if self.generator.random() < 0.5]
        return ix.FlipOp.build(x, axes=axes)

    def tile(self, x: ir.Value, _: Any) -> Any:
        return ix.TileOp.build(x, repeats=[self.integer(0, 2) for _ in x.type.shape])

    def take(self, x: ir.Value, _: Any) -> Any:
        axes = [axis for axis, size in enumerate(x.type.shape) if size > 0]
        if not axes:
            return None
        axis = self.choose(axes)
        size = x.type.shape[axis]
        indices = self.generator.integers(-size, size, [self.integer(0, 3)])
        return ix.GatherOp.build(x, ix.ConstantOp.build(indices), axis=axis)

    def reduce(self, x: ir.Value, _: Any) -> Any:
        # Sums of halved floats would round in an order that is the lowering's own.
        axes = [axis for axis in range(x.type.rank) if self.generator.random() < 0.5]
        if 0 in [x.type.shape[axis] for axis in axes]:
            return None
        op = self.choose([ix.ReduceSumOp, ix.ReduceMaxOp, ix.ReduceMinOp])
        if op is not ix.ReduceSumOp and DYNAMIC in x.type.shape:
            return None
        return op.build(x, axes=axes, keepdims=bool(self.integer(0, 1)))

    def broadcast(self, x: ir.Value, _: Any) -> Any:
        if x.type.rank > 3:
            return None
        return ix.BroadcastOp.build(x, [self.integer(0, 3), *sizes_of(x)])


def elements(value: ir.Value) -> int:
    """At most so many elements; a dynamic size is one of SIZES, or some of them."""
    total = 1
    for size in value.type.shape:
        total *= 12 if size == DYNAMIC else size
    return total


def sizes_of(value: ir.Value) -> list[Any]:
    return [
        ix.DimOp.build(value, axis=axis) if size == DYNAMIC else size
        for axis, size in enumerate(value.type.shape)
    ]


def product(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    factors = [
        size
        if isinstance(size, ir.Value)
        else arith.ConstantOp(ir.IndexType.get(), size).result
        for size in (a, b)
    ]
    return arith.MulIOp(*factors).result


def broadcasts(x: ir.Value, y: ir.Value) -> bool:
    """Whether shapes surely broadcast: dynamic sizes only with the very same value."""
    if DYNAMIC in [*x.type.shape, *y.type.shape]:
        return x == y or y.type.rank == 0 or x.type.rank == 0
    try:
        np.broadcast_shapes(tuple(x.type.shape), tuple(y.type.shape))
    except ValueError:
        return False
    return True
