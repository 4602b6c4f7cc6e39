"""Ops that move elements without computing on them; see also slicing.py.

Where sizes are not static, a list attribute holds DYNAMIC and an operand of type
index gives the size. `build` takes both in one list: ints and Values.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from ix.dialects.ix.dialect import (
    Int,
    Ints,
    IxOp,
    Operand,
    Operands,
    Result,
)
from ix.dialects.ix.elementwise import is_number
from ix.dialects.ix.shapes import (
    dim_sizes_agree,
    merge_dims,
    require,
    require_axis,
    require_element,
    require_index,
    require_same_elements,
    require_tensors,
    shape_text,
    split_sizes,
    tensor_type,
)
from ix.mlir import DYNAMIC, ir

Size: TypeAlias = int | ir.Value


class BroadcastOp(IxOp, name="broadcast"):
    """Repeats size-1 axes and puts new axes in front, as numpy.broadcast_to.

    input:   tensor whose shape broadcasts to `shape`
    sizes:   one index operand for each DYNAMIC of `shape`
    shape:   the result's sizes
    result:  tensor<shape x T>
    """

    input: Operand
    sizes: Operands
    shape: Ints
    result: Result

    @classmethod
    def build(cls, input: ir.Value, shape: Sequence[Size]) -> ir.Value:
        """Broadcasts a tensor to `shape` (ints and index Values)."""
        listed, sizes = split_sizes(shape)
        return cls.create([input, *sizes], shape=listed).result

    @classmethod
    def infer(
        cls, input: ir.RankedTensorType, *sizes: ir.Type, shape: list[int]
    ) -> list[ir.Type]:
        """`shape` with the input's element type."""
        _require_sizes(sizes, shape)
        require(
            input.rank <= len(shape)
            and all(
                size == 1 or dim_sizes_agree(size, wanted)
                for size, wanted in zip(
                    reversed(input.shape), reversed(shape), strict=False
                )
            ),
            f"{input} must broadcast to the shape {shape_text(shape)}; sizes of "
            "aligned axes, counted from the last, must be equal or 1",
        )
        return [tensor_type(shape, input.element_type)]


class ReshapeOp(IxOp, name="reshape"):
    """Gives the elements, in row-major order, another shape.

    sizes:   one index operand for each DYNAMIC of `shape`
    shape:   the result's sizes; their product is the number of elements
    result:  tensor<shape x T>
    """

    input: Operand
    sizes: Operands
    shape: Ints
    result: Result

    @classmethod
    def build(cls, input: ir.Value, shape: Sequence[Size]) -> ir.Value:
        """Reshapes a tensor to `shape` (ints ≥ 0 and index Values)."""
        listed, sizes = split_sizes(shape)
        return cls.create([input, *sizes], shape=listed).result

    @classmethod
    def infer(
        cls, input: ir.RankedTensorType, *sizes: ir.Type, shape: list[int]
    ) -> list[ir.Type]:
        """`shape` with the input's element type."""
        _require_sizes(sizes, shape)
        if DYNAMIC not in shape and input.has_static_shape:
            require(
                _product(shape) == _product(input.shape),
                f"shape must hold the {_product(input.shape)} elements of {input}, "
                f"got {shape_text(shape)} with {_product(shape)}",
            )
        return [tensor_type(shape, input.element_type)]


class TransposeOp(IxOp, name="transpose"):
    """Permutes axes: axis i of the result is axis permutation[i] of the input.

    input:        tensor<D0 x … x Dn x T>
    permutation:  a permutation of 0..n
    result:       tensor<D(permutation[0]) x … x T>
    """

    input: Operand
    permutation: Ints
    result: Result

    @classmethod
    def build(cls, input: ir.Value, *, permutation: Sequence[int]) -> ir.Value:
        """Permutes the axes of a tensor."""
        return cls.create([input], permutation=list(permutation)).result

    @classmethod
    def infer(
        cls, input: ir.RankedTensorType, *, permutation: list[int]
    ) -> list[ir.Type]:
        """The input's sizes in the new order."""
        require(
            sorted(permutation) == list(range(input.rank)),
            f"permutation must reorder 0..{input.rank - 1}, got {permutation}",
        )
        shape = [input.shape[axis] for axis in permutation]
        return [tensor_type(shape, input.element_type)]


class ConcatOp(IxOp, name="concat"):
    """Joins tensors along an axis.

    input, others:  tensors of one element type, equal in all other axes; IRDL lets a
                    variadic group have one type only, so `build` makes a chain of
                    concats where the types of `others` would differ
    axis:           0 ≤ axis < rank
    result:         their sizes along `axis` added up
    """

    input: Operand
    others: Operands
    axis: Int
    result: Result

    @classmethod
    def build(cls, inputs: Sequence[ir.Value], *, axis: int) -> ir.Value:
        """Joins one or more tensors along `axis`."""
        result, *others = inputs
        while True:
            run = _leading_run(others)
            result = cls.create([result, *others[:run]], axis=axis).result
            others = others[run:]
            if not others:
                return result

    @property
    def inputs(self) -> list[ir.Value]:
        """All tensors that are joined, in order."""
        return list(self.operands)

    @classmethod
    def infer(cls, *inputs: ir.RankedTensorType, axis: int) -> list[ir.Type]:
        """The sum of sizes along the axis; elsewhere the best known size."""
        element = require_same_elements(inputs)
        first = inputs[0]
        require_axis(axis, first.rank)
        shape = list(first.shape)
        for other in inputs[1:]:
            require(
                other.rank == first.rank
                and all(
                    i == axis or dim_sizes_agree(a, b)
                    for i, (a, b) in enumerate(zip(shape, other.shape, strict=True))
                ),
                f"inputs must agree but for axis {axis}, got {first} and {other}",
            )
            shape = list(map(merge_dims, shape, other.shape))
        along = [type_.shape[axis] for type_ in inputs]
        shape[axis] = DYNAMIC if DYNAMIC in along else sum(along)
        return [tensor_type(shape, element)]


class IotaOp(IxOp, name="iota"):
    """Counts 0, 1, 2 … along an axis; equal along the others.

    sizes:   one index operand for each `?` of the result
    axis:    0 ≤ axis < rank
    result:  tensor of numbers, of rank 1 or more
    """

    sizes: Operands
    axis: Int
    result: Result

    @classmethod
    def build(cls, shape: Sequence[Size], dtype: Any, *, axis: int = 0) -> ir.Value:
        """Counts along `axis` of a tensor of `shape` (ints and index Values)."""
        listed, sizes = split_sizes(shape)
        type_ = tensor_type(listed, cls.element_type(dtype))
        return cls.create(sizes, [type_], axis=axis).result

    def check(self) -> None:
        """The result holds numbers, and each of its `?` has an operand."""
        type_ = self.result.type
        require_tensors([type_])
        require_element(type_, "numbers", is_number(type_.element_type))
        require_axis(self.axis, type_.rank)
        sizes = [operand.type for operand in self.operands]
        _require_sizes(sizes, type_.shape)


class DimOp(IxOp, name="dim"):
    """Reads the size of an axis.

    input:   any tensor
    axis:    0 ≤ axis < rank
    result:  index
    """

    input: Operand
    axis: Int
    result: Result

    @classmethod
    def build(cls, input: ir.Value, *, axis: int) -> ir.Value:
        """The size of axis `axis` as a Value of type index."""
        return cls.create([input], axis=axis).result

    @classmethod
    def infer(cls, input: ir.RankedTensorType, *, axis: int) -> list[ir.Type]:
        """index."""
        require_axis(axis, input.rank)
        return [ir.IndexType.get()]


def _leading_run(values: Sequence[ir.Value]) -> int:
    """How many of the first values have one type."""
    run = 0
    while run < len(values) and values[run].type == values[0].type:
        run += 1
    return run


def _require_sizes(sizes: Sequence[ir.Type], shape: Sequence[int]) -> None:
    """Raises unless the shape is well formed and each `?` has an operand."""
    require(
        all(size == DYNAMIC or size >= 0 for size in shape),
        f"sizes must be 0 or more, got {list(shape)}",
    )
    require_index(sizes, list(shape).count(DYNAMIC), "the sizes that are not static")


def _product(sizes: Sequence[int]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result
