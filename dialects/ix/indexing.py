"""Ops that read or write where an index tensor says.

Indices are integers; a negative one counts from the end. One outside −size ≤ i < size
is undefined in value but not in memory: it reads or writes an element of the tensor.
"""

from ix.dialects.ix.dialect import Choice, Int, IxOp, Operand, Result
from ix.dialects.ix.shapes import (
    broadcast_shapes,
    dim_sizes_agree,
    is_bool,
    is_integer,
    merge_dims,
    require,
    require_axis,
    require_element,
    require_same_elements,
    shape_text,
    tensor_type,
)
from ix.mlir import DYNAMIC, ir

REDUCTIONS = ("none", "add", "mul", "max", "min")


class GatherOp(IxOp, name="gather"):
    """Takes slices along an axis, as numpy.take.

    input:    tensor<A x N x B x T>, N at `axis`
    indices:  tensor<I x integer>
    result:   tensor<A x I x B x T>
    """

    input: Operand
    indices: Operand
    axis: Int
    result: Result

    @classmethod
    def build(cls, input: ir.Value, indices: ir.Value, *, axis: int) -> ir.Value:
        """Takes the slices `indices` along `axis`."""
        return cls.create([input, indices], axis=axis).result

    @classmethod
    def infer(
        cls, input: ir.RankedTensorType, indices: ir.RankedTensorType, *, axis: int
    ) -> list[ir.Type]:
        """The input's type, the shape of the indices in place of the axis."""
        _require_indices(indices)
        require_axis(axis, input.rank)
        shape = [*input.shape[:axis], *indices.shape, *input.shape[axis + 1 :]]
        _require_elements(input, axis, shape)
        return [tensor_type(shape, input.element_type)]


class TakeAlongAxisOp(IxOp, name="take_along_axis"):
    """result[…, i, …] = input[…, indices[…, i, …], …], as numpy.take_along_axis.

    input:    tensor of rank n
    indices:  integers, rank n; axes other than `axis` broadcast with the input's
    result:   the broadcast shape, of the size of the indices along `axis`
    """

    input: Operand
    indices: Operand
    axis: Int
    result: Result

    @classmethod
    def build(cls, input: ir.Value, indices: ir.Value, *, axis: int) -> ir.Value:
        """Takes one element along `axis` for each index."""
        return cls.create([input, indices], axis=axis).result

    @classmethod
    def infer(
        cls, input: ir.RankedTensorType, indices: ir.RankedTensorType, *, axis: int
    ) -> list[ir.Type]:
        """The shapes broadcast but for the axis, which is that of the indices."""
        _require_indices(indices)
        require_axis(axis, input.rank)
        require(
            indices.rank == input.rank,
            f"indices must have the rank of the input, got {input} and {indices}",
        )
        source, taken = list(input.shape), list(indices.shape)
        along, source[axis], taken[axis] = taken[axis], 1, 1
        shape = broadcast_shapes([source, taken])
        shape[axis] = along
        _require_elements(input, axis, shape)
        return [tensor_type(shape, input.element_type)]


class GatherNdOp(IxOp, name="gather_nd"):
    """result[b, i, …] = input[b, *indices[b, i, :], …], as ONNX's GatherND.

    input:       tensor<B x N1 x … x Nk x R x T>
    indices:     tensor<B x I x k x integer>, k static, k ≤ rank − batch_dims
    batch_dims:  the number of axes B
    result:      tensor<B x I x R x T>
    """

    input: Operand
    indices: Operand
    batch_dims: Int
    result: Result

    @classmethod
    def build(
        cls, input: ir.Value, indices: ir.Value, *, batch_dims: int = 0
    ) -> ir.Value:
        """Takes the slice at each index tuple (the last axis of the indices)."""
        return cls.create([input, indices], batch_dims=batch_dims).result

    @classmethod
    def infer(
        cls,
        input: ir.RankedTensorType,
        indices: ir.RankedTensorType,
        *,
        batch_dims: int,
    ) -> list[ir.Type]:
        """Batch axes, the other axes of the indices, what the tuples leave."""
        _require_indices(indices)
        length = _tuple_length(indices)
        require(
            0 <= batch_dims < indices.rank and batch_dims + length <= input.rank,
            f"batch_dims {batch_dims} and index tuples of {length} must fit {input} "
            f"and {indices}",
        )
        batch = list(input.shape[:batch_dims])
        require(
            all(map(dim_sizes_agree, batch, indices.shape)),
            f"the first {batch_dims} axes must agree, got {input} and {indices}",
        )
        shape = [
            *map(merge_dims, batch, indices.shape),
            *indices.shape[batch_dims:-1],
            *input.shape[batch_dims + length :],
        ]
        return [tensor_type(shape, input.element_type)]


class ScatterOp(IxOp, name="scatter"):
    """Writes updates[…, i, …] at input[…, indices[…, i, …], …]: ONNX's ScatterElements.

    Equal to numpy.put_along_axis on a copy. Updates are taken in row-major order, so
    with reduction "none" the last of equal indices stays.

    input:             tensor of rank n
    indices, updates:  integers and T, of one shape, rank n, no larger than the input
                       on axes other than `axis`
    axis:              0 ≤ axis < n
    reduction:         "none" replaces; "add", "mul", "max", "min" combine
    result:            the input's type
    """

    input: Operand
    indices: Operand
    updates: Operand
    axis: Int
    reduction: Choice
    result: Result

    @classmethod
    def build(
        cls,
        input: ir.Value,
        indices: ir.Value,
        updates: ir.Value,
        *,
        axis: int,
        reduction: str = "none",
    ) -> ir.Value:
        """Writes `updates` into a copy of `input` along `axis`."""
        return cls.create(
            [input, indices, updates], axis=axis, reduction=reduction
        ).result

    @classmethod
    def infer(
        cls,
        input: ir.RankedTensorType,
        indices: ir.RankedTensorType,
        updates: ir.RankedTensorType,
        *,
        axis: int,
        reduction: str,
    ) -> list[ir.Type]:
        """The input's type."""
        _require_scatter(input, indices, updates, reduction)
        require_axis(axis, input.rank)
        require(
            indices.rank == input.rank == updates.rank
            and all(map(dim_sizes_agree, indices.shape, updates.shape)),
            f"indices and updates must have one shape and the rank of the input, got "
            f"{input}, {indices} and {updates}",
        )
        for other, (size, written) in enumerate(
            zip(input.shape, indices.shape, strict=True)
        ):
            require(
                other == axis or DYNAMIC in (size, written) or written <= size,
                f"indices must not exceed the input on axis {other}, got {input} and "
                f"{indices}",
            )
        return [input]


class ScatterNdOp(IxOp, name="scatter_nd"):
    """Writes updates[i, …] at input[*indices[i, :], …], as ONNX's ScatterND.

    Updates are taken in row-major order, so with reduction "none" the last of equal
    index tuples stays.

    input:      tensor<N1 x … x Nk x R x T>
    indices:    tensor<I x k x integer>, k static
    updates:    tensor<I x R x T>
    reduction:  "none" replaces; "add", "mul", "max", "min" combine
    result:     the input's type
    """

    input: Operand
    indices: Operand
    updates: Operand
    reduction: Choice
    result: Result

    @classmethod
    def build(
        cls,
        input: ir.Value,
        indices: ir.Value,
        updates: ir.Value,
        *,
        reduction: str = "none",
    ) -> ir.Value:
        """Writes a slice of `updates` at each index tuple into a copy of `input`."""
        return cls.create([input, indices, updates], reduction=reduction).result

    @classmethod
    def infer(
        cls,
        input: ir.RankedTensorType,
        indices: ir.RankedTensorType,
        updates: ir.RankedTensorType,
        *,
        reduction: str,
    ) -> list[ir.Type]:
        """The input's type."""
        _require_scatter(input, indices, updates, reduction)
        length = _tuple_length(indices)
        require(
            length <= input.rank,
            f"index tuples of {length} must fit {input}; its rank is {input.rank}",
        )
        wanted = [*indices.shape[:-1], *input.shape[length:]]
        require(
            len(wanted) == updates.rank
            and all(map(dim_sizes_agree, wanted, updates.shape)),
            f"updates must have the shape {wanted} for {input} and {indices}, got "
            f"{updates}",
        )
        return [input]


def _require_indices(indices: ir.RankedTensorType) -> None:
    require(
        is_integer(indices.element_type),
        f"indices must be integers, got {indices}; cast them first",
    )


def _require_elements(input: ir.RankedTensorType, axis: int, result: list[int]) -> None:
    """Raises where elements are taken from an axis that has none."""
    require(
        input.shape[axis] != 0 or 0 in result,
        f"axis {axis} has no elements to take, got {input} for the result "
        f"{shape_text(result)}",
    )


def _tuple_length(indices: ir.RankedTensorType) -> int:
    """The static size of the last axis of the indices."""
    require(
        indices.rank > 0 and indices.shape[-1] != DYNAMIC,
        f"the last axis of the indices must be static, got {indices}",
    )
    return int(indices.shape[-1])


def _require_scatter(
    input: ir.RankedTensorType,
    indices: ir.RankedTensorType,
    updates: ir.RankedTensorType,
    reduction: str,
) -> None:
    """Raises unless element types and the reduction's name fit."""
    _require_indices(indices)
    element = require_same_elements([input, updates])
    require(
        reduction in REDUCTIONS,
        f'reduction must be one of {", ".join(REDUCTIONS)}, got "{reduction}"',
    )
    require_element(input, "numbers", reduction == "none" or not is_bool(element))
