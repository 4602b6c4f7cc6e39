"""Ops along axes: reductions, the place of an extremum, running totals, sorting."""

from collections.abc import Sequence
from typing import Any

from ix.dialects.ix.dialect import Flag, Int, Ints, IxOp, Operand, Result
from ix.dialects.ix.shapes import (
    is_bool,
    is_float,
    require,
    require_axes,
    require_axis,
    require_element,
    tensor_type,
)
from ix.mlir import DYNAMIC, ir


def reduced_shape(
    shape: Sequence[int], axes: Sequence[int], keepdims: bool
) -> list[int]:
    """The shape without `axes`, or with size 1 there."""
    if keepdims:
        return [1 if axis in axes else size for axis, size in enumerate(shape)]
    return [size for axis, size in enumerate(shape) if axis not in axes]


class ReductionOp(IxOp):
    """The base of the reductions over a set of axes.

    input:     tensor<D0 x … x Dn x T>
    axes:      ascending; none leaves the tensor as it is
    keepdims:  whether a reduced axis stays, with size 1
    result:    tensor<… x T>
    """

    input: Operand
    axes: Ints
    keepdims: Flag
    result: Result

    @classmethod
    def build(
        cls, input: ir.Value, *, axes: Sequence[int], keepdims: bool = False
    ) -> ir.Value:
        """Reduces `axes` (normalised, ascending) of a tensor."""
        return cls.create([input], axes=list(axes), keepdims=keepdims).result

    @classmethod
    def infer(
        cls, input: ir.RankedTensorType, *, axes: list[int], keepdims: bool
    ) -> list[ir.Type]:
        """The input's type without the axes, or with size 1 there."""
        require_axes(axes, input.rank)
        cls.require_operand(input, axes)
        shape = reduced_shape(input.shape, axes, keepdims)
        return [tensor_type(shape, input.element_type)]

    @classmethod
    def require_operand(cls, input: ir.RankedTensorType, axes: Sequence[int]) -> None:
        """Raises unless the op reduces tensors of this type."""
        numeric = not is_bool(input.element_type)
        require_element(input, "numbers", numeric)


class ReduceSumOp(ReductionOp, name="reduce_sum"):
    """Σ x over axes; nothing sums to 0.

    f16, bf16 and f8 accumulate in f32 and round once; integers wrap in their own type.
    """


class ReduceProdOp(ReductionOp, name="reduce_prod"):
    """Π x over axes; the product of nothing is 1. Precision as `reduce_sum`."""


class ReduceMeanOp(ReductionOp, name="reduce_mean"):
    """Σ x / n over axes, of floats; the mean of nothing is NaN."""

    @classmethod
    def require_operand(cls, input: ir.RankedTensorType, axes: Sequence[int]) -> None:
        """Raises unless the elements are floats."""
        require_element(input, "floats", is_float(input.element_type))


class ExtremumOp(ReductionOp):
    """The base of reductions that have no value for nothing."""

    @classmethod
    def require_operand(cls, input: ir.RankedTensorType, axes: Sequence[int]) -> None:
        """Raises where a result element would come from nothing."""
        require_not_empty(input, axes)


class ReduceMaxOp(ExtremumOp, name="reduce_max"):
    """The greatest over axes; NaN where one is among them."""


class ReduceMinOp(ExtremumOp, name="reduce_min"):
    """The least over axes; NaN where one is among them."""


class LogicalReductionOp(ReductionOp):
    """The base of the reductions of i1."""

    @classmethod
    def require_operand(cls, input: ir.RankedTensorType, axes: Sequence[int]) -> None:
        """Raises unless the elements are i1."""
        require_element(input, "i1", is_bool(input.element_type))


class ReduceAnyOp(LogicalReductionOp, name="reduce_any"):
    """Whether one element over axes is true; false for nothing."""


class ReduceAllOp(LogicalReductionOp, name="reduce_all"):
    """Whether all elements over axes are true; true for nothing."""


class ArgExtremumOp(IxOp):
    """The base of `argmax` and `argmin`.

    input:        tensor<D0 x … x Dn x T>
    axis:         the axis that is searched
    keepdims:     whether it stays, with size 1
    select_last:  of equal elements, the last one rather than the first
    result:       tensor<… x i64>
    """

    input: Operand
    axis: Int
    keepdims: Flag
    select_last: Flag
    result: Result

    @classmethod
    def build(
        cls,
        input: ir.Value,
        *,
        axis: int,
        keepdims: bool = False,
        select_last: bool = False,
    ) -> ir.Value:
        """Searches one axis (normalised) of a tensor."""
        return cls.create(
            [input], axis=axis, keepdims=keepdims, select_last=select_last
        ).result

    @classmethod
    def infer(
        cls,
        input: ir.RankedTensorType,
        *,
        axis: int,
        keepdims: bool,
        select_last: bool,
    ) -> list[ir.Type]:
        """i64 for every line along the axis."""
        require_axis(axis, input.rank)
        require_not_empty(input, [axis])
        shape = reduced_shape(input.shape, [axis], keepdims)
        return [tensor_type(shape, ir.IntegerType.get_signless(64))]


class ArgmaxOp(ArgExtremumOp, name="argmax"):
    """Where the greatest element along an axis is; NaN counts as the greatest."""


class ArgminOp(ArgExtremumOp, name="argmin"):
    """Where the least element along an axis is; NaN counts as the least."""


class CumulativeOp(IxOp):
    """The base of the running totals along one axis.

    input:      tensor<D0 x … x Dn x T>
    axis:       the axis that the total runs along
    exclusive:  element i covers those before i, not i itself
    reverse:    runs from the end to the start
    result:     tensor<D0 x … x Dn x T>
    """

    input: Operand
    axis: Int
    exclusive: Flag
    reverse: Flag
    result: Result

    @classmethod
    def build(
        cls,
        input: ir.Value,
        *,
        axis: int,
        exclusive: bool = False,
        reverse: bool = False,
    ) -> ir.Value:
        """Accumulates along one axis (normalised) of a tensor."""
        return cls.create(
            [input], axis=axis, exclusive=exclusive, reverse=reverse
        ).result

    @classmethod
    def infer(
        cls,
        input: ir.RankedTensorType,
        *,
        axis: int,
        exclusive: bool,
        reverse: bool,
    ) -> list[ir.Type]:
        """The input's type."""
        require_axis(axis, input.rank)
        require_element(input, "numbers", not is_bool(input.element_type))
        return [input]


class CumsumOp(CumulativeOp, name="cumsum"):
    """y[i] = x[0] + … + x[i]. f16, bf16 and f8 accumulate in f32, integers wrap."""


class CumprodOp(CumulativeOp, name="cumprod"):
    """y[i] = x[0] · … · x[i]. f16, bf16 and f8 accumulate in f32, integers wrap."""


class SortOp(IxOp, name="sort"):
    """Sorts along one axis and says where each element came from.

    Equal elements keep their order. NaN counts as greater than every number: it comes
    last upwards, as in NumPy, and first downwards, as in PyTorch.

    input:       tensor<D0 x … x Dn x T>
    axis:        the axis that is sorted
    descending:  the greatest first
    values:      tensor<D0 x … x Dn x T>
    indices:     tensor<D0 x … x Dn x i64>
    """

    input: Operand
    axis: Int
    descending: Flag
    values: Result
    indices: Result

    @classmethod
    def build(
        cls, input: ir.Value, *, axis: int, descending: bool = False
    ) -> tuple[ir.Value, ir.Value]:
        """Sorts one axis (normalised); returns values and indices."""
        op = cls.create([input], axis=axis, descending=descending)
        return op.values, op.indices

    @classmethod
    def infer(
        cls, input: ir.RankedTensorType, *, axis: int, descending: bool
    ) -> list[ir.Type]:
        """The input's type, and the same of i64."""
        require_axis(axis, input.rank)
        return _values_and_indices(input.shape, input.element_type)


class TopkOp(IxOp, name="topk"):
    """The k greatest (or least) elements along one axis, in order, and where they are.

    Of equal elements, the one of the lower index comes first. NaN counts as greater
    than every number.

    input:    tensor<D0 x … x Dn x T>
    k:        how many; at most the axis's size
    axis:     the axis that is searched
    largest:  the greatest, falling; else the least, rising
    values:   tensor<… x k x … x T>
    indices:  tensor<… x k x … x i64>
    """

    input: Operand
    k: Int
    axis: Int
    largest: Flag
    values: Result
    indices: Result

    @classmethod
    def build(
        cls, input: ir.Value, *, k: int, axis: int, largest: bool = True
    ) -> tuple[ir.Value, ir.Value]:
        """Searches one axis (normalised); returns values and indices."""
        op = cls.create([input], k=k, axis=axis, largest=largest)
        return op.values, op.indices

    @classmethod
    def infer(
        cls, input: ir.RankedTensorType, *, k: int, axis: int, largest: bool
    ) -> list[ir.Type]:
        """The input's type with size k on the axis, and the same of i64."""
        require_axis(axis, input.rank)
        size = input.shape[axis]
        require(
            k >= 0 and (size == DYNAMIC or k <= size),
            lambda: (
                f"k must lie in 0..{'?' if size == DYNAMIC else size}, the size of "
                f"axis {axis}, got {k}"
            ),
        )
        shape = [k if at == axis else s for at, s in enumerate(input.shape)]
        return _values_and_indices(shape, input.element_type)


def require_not_empty(input: ir.RankedTensorType, axes: Sequence[int]) -> None:
    """Raises where an element of the result would be the extremum of nothing.

    A result without elements is none: the axes that stay then have a size of 0.
    """
    sizes = input.shape
    empty = [axis for axis in axes if sizes[axis] == 0]
    has_result = all(sizes[axis] != 0 for axis in range(input.rank) if axis not in axes)
    require(
        not empty or not has_result,
        lambda: (
            f"reduced axes must not be empty, but axes {empty} of {input} are; "
            "an empty tensor has no extremum"
        ),
    )


def _values_and_indices(shape: Sequence[int], element: Any) -> list[ir.Type]:
    indices = tensor_type(shape, ir.IntegerType.get_signless(64))
    return [tensor_type(shape, element), indices]
