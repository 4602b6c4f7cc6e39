"""Reductions over sliding windows of the spatial axes."""

from collections.abc import Sequence

from ix.dialects.ix.convolution import (
    filled,
    image_shape,
    require_image,
    window_sizes,
)
from ix.dialects.ix.dialect import Choice, Flag, Ints, IxOp, Operand, Result
from ix.dialects.ix.shapes import (
    is_bool,
    is_float,
    require,
    require_element,
    tensor_type,
)
from ix.mlir import ir


class MaxPoolOp(IxOp, name="max_pool"):
    """The greatest element of each window; NaN where one is in it.

    Padding never wins: it counts as −∞, or as the least integer.

    input:   tensor<N x C x S… x T>, or N x S… x C for layout NHWC
    kernel, strides, dilations, padding_low, padding_high:  one for each spatial axis
    result:  tensor<N x C x P… x T>, or N x P… x C
    """

    input: Operand
    kernel: Ints
    strides: Ints
    padding_low: Ints
    padding_high: Ints
    dilations: Ints
    layout: Choice
    result: Result

    @classmethod
    def build(
        cls,
        input: ir.Value,
        *,
        kernel: Sequence[int],
        strides: Sequence[int] | None = None,
        padding_low: Sequence[int] | None = None,
        padding_high: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        layout: str = "NCHW",
    ) -> ir.Value:
        """Pools; None stands for stride 1, padding 0, dilation 1."""
        count = len(kernel)
        return cls.create(
            [input],
            kernel=list(kernel),
            strides=filled(strides, count, 1),
            padding_low=filled(padding_low, count, 0),
            padding_high=filled(padding_high, count, 0),
            dilations=filled(dilations, count, 1),
            layout=layout,
        ).result

    @classmethod
    def infer(
        cls,
        input: ir.RankedTensorType,
        *,
        kernel: list[int],
        strides: list[int],
        padding_low: list[int],
        padding_high: list[int],
        dilations: list[int],
        layout: str,
    ) -> list[ir.Type]:
        """The input's type with the spatial sizes of the windows."""
        require_element(input, "numbers", not is_bool(input.element_type))
        return pooled_type(
            input, kernel, strides, padding_low, padding_high, dilations, layout
        )


class AvgPoolOp(IxOp, name="avg_pool"):
    """The mean of each window, of floats.

    It divides by the number of elements of the input in the window; with
    count_include_pad, by those of the input and of padding_low and padding_high.
    ceil_padding extends the high end further, for a last window that reaches beyond
    it, and is never counted.

    input:   tensor<N x C x S… x T>, or N x S… x C for layout NHWC
    result:  tensor<N x C x P… x T>, or N x P… x C
    """

    input: Operand
    kernel: Ints
    strides: Ints
    padding_low: Ints
    padding_high: Ints
    ceil_padding: Ints
    dilations: Ints
    layout: Choice
    count_include_pad: Flag
    result: Result

    @classmethod
    def build(
        cls,
        input: ir.Value,
        *,
        kernel: Sequence[int],
        strides: Sequence[int] | None = None,
        padding_low: Sequence[int] | None = None,
        padding_high: Sequence[int] | None = None,
        ceil_padding: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        layout: str = "NCHW",
        count_include_pad: bool = False,
    ) -> ir.Value:
        """Pools; None stands for stride 1, padding 0, dilation 1."""
        count = len(kernel)
        return cls.create(
            [input],
            kernel=list(kernel),
            strides=filled(strides, count, 1),
            padding_low=filled(padding_low, count, 0),
            padding_high=filled(padding_high, count, 0),
            ceil_padding=filled(ceil_padding, count, 0),
            dilations=filled(dilations, count, 1),
            layout=layout,
            count_include_pad=count_include_pad,
        ).result

    @classmethod
    def infer(
        cls,
        input: ir.RankedTensorType,
        *,
        kernel: list[int],
        strides: list[int],
        padding_low: list[int],
        padding_high: list[int],
        ceil_padding: list[int],
        dilations: list[int],
        layout: str,
        count_include_pad: bool,
    ) -> list[ir.Type]:
        """The input's type with the spatial sizes of the windows."""
        require_element(input, "floats", is_float(input.element_type))
        require(
            len(ceil_padding) == len(padding_high)
            and all(size >= 0 for size in ceil_padding),
            lambda: (
                f"ceil_padding must have one number ≥ 0 for each spatial axis, "
                f"got {ceil_padding}"
            ),
        )
        high = [a + b for a, b in zip(padding_high, ceil_padding, strict=True)]
        return pooled_type(input, kernel, strides, padding_low, high, dilations, layout)


def pooled_type(
    input: ir.RankedTensorType,
    kernel: Sequence[int],
    strides: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilations: Sequence[int],
    layout: str,
) -> list[ir.Type]:
    """The input's type with the spatial sizes of the windows.

    Raises:
        ShapeError: The windows do not fit the input.
    """
    batch, channels, sizes = require_image(input, layout)
    require(
        len(kernel) == len(sizes) and all(size >= 1 for size in kernel),
        lambda: (
            f"kernel must have one size ≥ 1 for each spatial axis, got {list(kernel)} "
            f"for {input}"
        ),
    )
    spatial = window_sizes(sizes, kernel, strides, low, high, dilations)
    shape = image_shape(batch, channels, spatial, layout)
    return [tensor_type(shape, input.element_type)]
