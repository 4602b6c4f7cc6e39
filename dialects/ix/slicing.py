"""Ops that take parts of a tensor, or repeat it: slice, split, pad, flip, tile."""

from collections.abc import Sequence

from ix.dialects.ix.dialect import (
    Choice,
    Int,
    Ints,
    IxOp,
    Operand,
    Operands,
    Result,
    Results,
)
from ix.dialects.ix.movement import DimOp, Size
from ix.dialects.ix.shapes import (
    dim_sizes_agree,
    require,
    require_axes,
    require_axis,
    require_index,
    require_same_elements,
    shape_text,
    split_sizes,
    tensor_type,
)
from ix.mlir import DYNAMIC, ir

PAD_MODES = ("constant", "reflect", "edge", "wrap")


class SliceOp(IxOp, name="slice"):
    """Takes every stride-th element from start up to limit, on each axis.

    input:   tensor of rank n
    bounds:  index operands: one for each DYNAMIC of `starts`, then of `limits`
    starts, limits, strides: n each; 0 ≤ start ≤ limit ≤ size, stride ≥ 1
    result:  ⌈(limit − start) / stride⌉ elements on each axis
    """

    input: Operand
    bounds: Operands
    starts: Ints
    limits: Ints
    strides: Ints
    result: Result

    @classmethod
    def build(
        cls,
        input: ir.Value,
        *,
        starts: Sequence[Size],
        limits: Sequence[Size],
        strides: Sequence[int] | None = None,
        result: ir.RankedTensorType | None = None,
    ) -> ir.Value:
        """Slices every axis; bounds are ints or index Values, strides 1 by default.

        `result` is a type with sizes that the bounds as Values do not tell.
        """
        listed_starts, start_values = split_sizes(starts)
        listed_limits, limit_values = split_sizes(limits)
        return cls.create(
            [input, *start_values, *limit_values],
            None if result is None else [result],
            starts=listed_starts,
            limits=listed_limits,
            strides=[1] * len(listed_starts) if strides is None else list(strides),
        ).result

    @classmethod
    def infer(
        cls,
        input: ir.RankedTensorType,
        *bounds: ir.Type,
        starts: list[int],
        limits: list[int],
        strides: list[int],
    ) -> list[ir.Type]:
        """The elements taken on each axis, `?` where a bound is an operand."""
        require(
            len(starts) == len(limits) == len(strides) == input.rank,
            f"starts, limits and strides must have {input.rank} entries each, got "
            f"{len(starts)}, {len(limits)} and {len(strides)}",
        )
        count = starts.count(DYNAMIC) + limits.count(DYNAMIC)
        require_index(bounds, count, "the bounds that are not static")
        require(min(strides, default=1) >= 1, f"strides must be ≥ 1, got {strides}")
        shape = []
        for axis, size in enumerate(input.shape):
            start, limit, stride = starts[axis], limits[axis], strides[axis]
            _require_bounds(axis, start, limit, size)
            known = DYNAMIC not in (start, limit)
            shape.append(-(-(limit - start) // stride) if known else DYNAMIC)
        return [tensor_type(shape, input.element_type)]


class SplitOp(IxOp, name="split"):
    """Cuts a tensor along an axis into consecutive parts of one size.

    IRDL lets a variadic group have one type only, so `build` makes slices where the
    sizes differ.

    axis:     0 ≤ axis < rank
    sizes:    one for each part, all equal; their sum is the size of the axis
    outputs:  one tensor for each part
    """

    input: Operand
    axis: Int
    sizes: Ints
    outputs: Results

    @classmethod
    def build(
        cls, input: ir.Value, *, axis: int, sizes: Sequence[int]
    ) -> tuple[ir.Value, ...]:
        """Cuts `input` into parts of the given static sizes along `axis`."""
        if len(set(sizes)) < 2:
            return tuple(cls.create([input], axis=axis, sizes=list(sizes)).results)
        require_axis(axis, input.type.rank)
        starts, limits = [0] * input.type.rank, _all_sizes(input)
        parts = []
        for size in sizes:
            limits[axis] = starts[axis] + size
            parts.append(SliceOp.build(input, starts=starts, limits=limits))
            starts[axis] = limits[axis]
        return tuple(parts)

    @classmethod
    def infer(
        cls, input: ir.RankedTensorType, *, axis: int, sizes: list[int]
    ) -> list[ir.Type]:
        """The input's type with each part's size."""
        require_axis(axis, input.rank)
        require(
            bool(sizes) and min(sizes) >= 0 and len(set(sizes)) == 1,
            f"sizes must be one or more equal numbers ≥ 0, got {sizes}",
        )
        require(
            dim_sizes_agree(input.shape[axis], sum(sizes)),
            f"sizes must add up to the size of axis {axis} of {input}, got {sizes}",
        )
        shape = list(input.shape)
        shape[axis] = sizes[0]
        return [tensor_type(shape, input.element_type)] * len(sizes)


class PadOp(IxOp, name="pad"):
    """Adds elements before and after each axis, as numpy.pad.

    input:      tensor of rank n
    value:      tensor<T>, a scalar; used by mode "constant" alone
    low, high:  n each, ≥ 0: elements added before and after
    mode:       "constant"; "reflect" (without the border), "edge", "wrap": the input
                again; reflect needs low, high < size, and wrap ≤ size
    result:     low + size + high on each axis
    """

    input: Operand
    value: Operand
    low: Ints
    high: Ints
    mode: Choice
    result: Result

    @classmethod
    def build(
        cls,
        input: ir.Value,
        value: ir.Value,
        *,
        low: Sequence[int],
        high: Sequence[int],
        mode: str = "constant",
    ) -> ir.Value:
        """Pads a tensor by `low` before and `high` after each axis."""
        return cls.create(
            [input, value], low=list(low), high=list(high), mode=mode
        ).result

    @classmethod
    def infer(
        cls,
        input: ir.RankedTensorType,
        value: ir.RankedTensorType,
        *,
        low: list[int],
        high: list[int],
        mode: str,
    ) -> list[ir.Type]:
        """The input's type, larger by the padding."""
        require_same_elements([input, value])
        require(value.rank == 0, f"value must be a scalar tensor, got {value}")
        require(
            len(low) == len(high) == input.rank,
            f"low and high must have {input.rank} entries each, got {len(low)} and "
            f"{len(high)}",
        )
        require(
            min([*low, *high], default=0) >= 0,
            f"low and high must be 0 or more, got {low} and {high}; slice to crop",
        )
        require(
            mode in PAD_MODES,
            f'mode must be one of {", ".join(PAD_MODES)}, got "{mode}"',
        )
        for axis, size in enumerate(input.shape):
            widest = max(low[axis], high[axis])
            limit = _widest_padding(mode, size)
            require(
                limit is None or widest <= limit,
                f"mode {mode} pads axis {axis} of size {size} by {limit} at most, "
                f"got {widest}",
            )
        shape = [
            size if size == DYNAMIC else before + size + after
            for before, size, after in zip(low, input.shape, high, strict=True)
        ]
        return [tensor_type(shape, input.element_type)]


class FlipOp(IxOp, name="flip"):
    """Reverses the order along axes.

    axes:    ascending
    result:  the input's type
    """

    input: Operand
    axes: Ints
    result: Result

    @classmethod
    def build(cls, input: ir.Value, *, axes: Sequence[int]) -> ir.Value:
        """Reverses `axes` (normalised, ascending) of a tensor."""
        return cls.create([input], axes=list(axes)).result

    @classmethod
    def infer(cls, input: ir.RankedTensorType, *, axes: list[int]) -> list[ir.Type]:
        """The input's type."""
        require_axes(axes, input.rank)
        return [input]


class TileOp(IxOp, name="tile"):
    """Repeats the whole tensor along each axis.

    repeats:  one for each axis, ≥ 0
    result:   size · repeats on each axis
    """

    input: Operand
    repeats: Ints
    result: Result

    @classmethod
    def build(cls, input: ir.Value, *, repeats: Sequence[int]) -> ir.Value:
        """Repeats a tensor `repeats[i]` times along axis i."""
        return cls.create([input], repeats=list(repeats)).result

    @classmethod
    def infer(cls, input: ir.RankedTensorType, *, repeats: list[int]) -> list[ir.Type]:
        """The input's sizes times the repeats."""
        require(
            len(repeats) == input.rank and min(repeats, default=0) >= 0,
            f"repeats must be {input.rank} numbers ≥ 0, got {repeats}",
        )
        shape = [
            DYNAMIC if size == DYNAMIC and repeat else size * repeat
            for size, repeat in zip(input.shape, repeats, strict=True)
        ]
        return [tensor_type(shape, input.element_type)]


def _require_bounds(axis: int, start: int, limit: int, size: int) -> None:
    """Raises unless 0 ≤ start ≤ limit ≤ size can hold; each may be DYNAMIC."""
    known = [bound for bound in (0, start, limit, size) if bound != DYNAMIC]
    require(
        known == sorted(known),
        f"axis {axis} needs 0 ≤ start ≤ limit ≤ size, got start "
        f"{shape_text([start])}, limit {shape_text([limit])} and size "
        f"{shape_text([size])}",
    )


def _all_sizes(input: ir.Value) -> list[Size]:
    """The size of each axis: an int, or the Value of an ix.dim."""
    return [
        DimOp.build(input, axis=axis) if size == DYNAMIC else size
        for axis, size in enumerate(input.type.shape)
    ]


def _widest_padding(mode: str, size: int) -> int | None:
    """The most elements that `mode` can add on one side; None for no limit."""
    if size == DYNAMIC or mode == "constant":
        return None
    if mode == "edge":
        return None if size else 0
    return max(size - 1, 0) if mode == "reflect" else size
