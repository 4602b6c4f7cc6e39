"""Convolution and transposed convolution over one to three spatial axes."""

from collections.abc import Sequence

from ix.dialects.ix.contraction import ContractionOp, product_type
from ix.dialects.ix.dialect import Choice, Flag, Int, Ints, Operand, Operands, Result
from ix.dialects.ix.shapes import dim_sizes_agree, require, shape_text, tensor_type
from ix.mlir import DYNAMIC, ir

LAYOUTS = ("NCHW", "NHWC")


class ConvolutionOp(ContractionOp):
    """The base of both convolutions: the optional bias, and the places of axes."""

    @property
    def bias(self) -> ir.Value | None:
        """What is added to each output channel, before the sum is rounded."""
        return self.operands[2] if self.has_bias else None

    def check(self) -> None:
        """As for every contraction; the bias has the result's element type."""
        super().check()
        result = self.result.type
        require(
            self.bias is None or self.bias.type.element_type == result.element_type,
            lambda: (
                "bias must have the result's element type, "
                f"got {self.operands[-1].type} for {result}; cast it first"
            ),
        )


class ConvOp(ConvolutionOp, name="conv"):
    """Slides a filter over the spatial axes of the input.

        y[n, o, p] = bias[o] + Σ over i, k of
                     x[n, i, p·stride − low + k·dilation] · filter[o, i, k]

    Output channel o of group g reads the input channels of group g alone.

    input:         tensor<N x I x S… x T>, or N x S… x I for layout NHWC
    filter:        tensor<O x I/groups x K… x T>, or K… x I/groups x O
    bias:          tensor<O x result's T>, optional
    padding_low, padding_high:  zeros around the spatial axes
    result:        tensor<N x O x P… x T>, or N x P… x O; i4, i8 and ui8 give i32
    """

    input: Operand
    filter: Operand
    rest: Operands
    strides: Ints
    padding_low: Ints
    padding_high: Ints
    dilations: Ints
    groups: Int
    layout: Choice
    has_bias: Flag
    result: Result

    @classmethod
    def build(
        cls,
        input: ir.Value,
        filter: ir.Value,
        bias: ir.Value | None = None,
        *,
        strides: Sequence[int] | None = None,
        padding_low: Sequence[int] | None = None,
        padding_high: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        groups: int = 1,
        layout: str = "NCHW",
        element_type: ir.Type | None = None,
    ) -> ir.Value:
        """Convolves; lists have one number for each spatial axis, None stands for
        stride 1, padding 0, dilation 1; `element_type` as in `MatmulOp.build`."""
        count = input.type.rank - 2
        return cls.contract(
            [input, filter] if bias is None else [input, filter, bias],
            element_type,
            strides=filled(strides, count, 1),
            padding_low=filled(padding_low, count, 0),
            padding_high=filled(padding_high, count, 0),
            dilations=filled(dilations, count, 1),
            groups=groups,
            layout=layout,
            has_bias=bias is not None,
        )

    @classmethod
    def infer(
        cls,
        input: ir.RankedTensorType,
        filter: ir.RankedTensorType,
        *bias: ir.RankedTensorType,
        strides: list[int],
        padding_low: list[int],
        padding_high: list[int],
        dilations: list[int],
        groups: int,
        layout: str,
        has_bias: bool,
    ) -> list[ir.Type]:
        """[n, o, p…], or [n, p…, o] for NHWC."""
        batch, channels, sizes = require_image(input, layout)
        outputs, inputs, kernel = require_filter(filter, input, layout)
        require_groups(groups, outputs)
        require(
            DYNAMIC in (channels, inputs) or channels == inputs * groups,
            lambda: (
                f"filter must have {shape_text([channels])} / {groups} input channels, "
                f"got {filter} for {input} in {groups} groups"
            ),
        )
        spatial = window_sizes(
            sizes, kernel, strides, padding_low, padding_high, dilations
        )
        element = product_type(input, filter)
        require_bias(bias, has_bias, outputs)
        return [tensor_type(image_shape(batch, outputs, spatial, layout), element)]


class ConvTransposeOp(ConvolutionOp, name="conv_transpose"):
    """The transpose of `conv` as a linear map: each input element spreads a filter.

        y[n, o, p·stride − low + k·dilation] += x[n, i, p] · filter[i, o, k]

    input:           tensor<N x I x S… x T>, or N x S… x I for layout NHWC
    filter:          tensor<I x O/groups x K… x T>, or K… x O/groups x I
    bias:            tensor<O x result's T>, optional
    padding_low, padding_high:  what is cut off the spatial axes of the result
    output_padding:  what is added at their high ends
    result:          tensor<N x O x P… x T>, or N x P… x O; i4, i8 and ui8 give i32
    """

    input: Operand
    filter: Operand
    rest: Operands
    strides: Ints
    padding_low: Ints
    padding_high: Ints
    output_padding: Ints
    dilations: Ints
    groups: Int
    layout: Choice
    has_bias: Flag
    result: Result

    @classmethod
    def build(
        cls,
        input: ir.Value,
        filter: ir.Value,
        bias: ir.Value | None = None,
        *,
        strides: Sequence[int] | None = None,
        padding_low: Sequence[int] | None = None,
        padding_high: Sequence[int] | None = None,
        output_padding: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        groups: int = 1,
        layout: str = "NCHW",
        element_type: ir.Type | None = None,
    ) -> ir.Value:
        """Convolves; the arguments are those of `ConvOp.build` and output_padding."""
        count = input.type.rank - 2
        return cls.contract(
            [input, filter] if bias is None else [input, filter, bias],
            element_type,
            strides=filled(strides, count, 1),
            padding_low=filled(padding_low, count, 0),
            padding_high=filled(padding_high, count, 0),
            output_padding=filled(output_padding, count, 0),
            dilations=filled(dilations, count, 1),
            groups=groups,
            layout=layout,
            has_bias=bias is not None,
        )

    @classmethod
    def infer(
        cls,
        input: ir.RankedTensorType,
        filter: ir.RankedTensorType,
        *bias: ir.RankedTensorType,
        strides: list[int],
        padding_low: list[int],
        padding_high: list[int],
        output_padding: list[int],
        dilations: list[int],
        groups: int,
        layout: str,
        has_bias: bool,
    ) -> list[ir.Type]:
        """[n, o, p…]: p = (s−1)·stride + (k−1)·dilation + 1 − low − high + extra."""
        batch, channels, sizes = require_image(input, layout)
        inputs, share, kernel = require_filter(filter, input, layout)
        require_groups(groups, channels)
        require(
            dim_sizes_agree(channels, inputs),
            lambda: (
                f"filter must have {shape_text([channels])} input channels, "
                f"got {filter} for {input}"
            ),
        )
        lists = (strides, padding_low, padding_high, output_padding, dilations)
        require_lists(lists, len(sizes))
        spatial = [
            DYNAMIC
            if s == DYNAMIC
            else (s - 1) * stride + (k - 1) * d + 1 - lo - hi + out
            for s, k, stride, lo, hi, out, d in zip(sizes, kernel, *lists, strict=True)
        ]
        require(
            all(size == DYNAMIC or size >= 0 for size in spatial),
            lambda: f"padding must leave something of the result, got sizes {spatial}",
        )
        outputs = DYNAMIC if share == DYNAMIC else share * groups
        element = product_type(input, filter)
        require_bias(bias, has_bias, outputs)
        return [tensor_type(image_shape(batch, outputs, spatial, layout), element)]


def filled(values: Sequence[int] | None, count: int, default: int) -> list[int]:
    """The values, or `count` times the default."""
    return [default] * count if values is None else list(values)


def spatial_axes(layout: str, rank: int) -> list[int]:
    """The axes between batch and channels, or after them."""
    return list(range(2, rank) if layout == "NCHW" else range(1, rank - 1))


def image_shape(
    batch: int, channels: int, spatial: Sequence[int], layout: str
) -> list[int]:
    """The shape of an image tensor in a layout."""
    if layout == "NCHW":
        return [batch, channels, *spatial]
    return [batch, *spatial, channels]


def require_image(
    input: ir.RankedTensorType, layout: str
) -> tuple[int, int, list[int]]:
    """Batch, channels and spatial sizes of an input; raises where it is no image."""
    require(
        layout in LAYOUTS,
        lambda: f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}",
    )
    require(
        3 <= input.rank <= 5,
        lambda: (
            f"input must have batch, channel and one to three spatial axes, got {input}"
        ),
    )
    shape = list(input.shape)
    if layout == "NCHW":
        return shape[0], shape[1], shape[2:]
    return shape[0], shape[-1], shape[1:-1]


def require_filter(
    filter: ir.RankedTensorType, input: ir.RankedTensorType, layout: str
) -> tuple[int, int, list[int]]:
    """The two channel sizes, in NCHW's order, and the kernel sizes of a filter."""
    require(
        filter.rank == input.rank,
        lambda: f"filter must have as many axes as the input, got {filter} for {input}",
    )
    shape = list(filter.shape)
    first, second, kernel = shape[0], shape[1], shape[2:]
    if layout == "NHWC":
        first, second, kernel = shape[-1], shape[-2], shape[:-2]
    require(
        all(size not in (0, DYNAMIC) for size in kernel),
        lambda: f"filter must have static, positive spatial sizes, got {filter}",
    )
    return first, second, kernel


def require_groups(groups: int, channels: int) -> None:
    """Raises unless the groups divide the channels."""
    require(
        groups >= 1 and (channels == DYNAMIC or channels % groups == 0),
        lambda: (
            f"groups must divide the channels, got {groups} for {channels} channels"
        ),
    )


def require_bias(
    bias: Sequence[ir.RankedTensorType], has_bias: bool, outputs: int
) -> None:
    """Raises unless the bias is there as the flag says, one for each output channel."""
    require(
        len(bias) == int(has_bias),
        lambda: f"needs {2 + has_bias} operands, as has_bias says, got {2 + len(bias)}",
    )
    for type_ in bias:
        require(
            type_.rank == 1 and dim_sizes_agree(type_.shape[0], outputs),
            lambda type_=type_: (
                f"bias must have the shape {shape_text([outputs])}, got {type_}"
            ),
        )


def require_lists(lists: Sequence[Sequence[int]], count: int) -> None:
    """Raises unless all have one entry a spatial axis, the first and last ≥ 1."""
    for values in lists:
        require(
            len(values) == count and all(value >= 0 for value in values),
            f"needs {count} numbers ≥ 0 in each list, one for each spatial axis, "
            f"got {list(values)}",
        )
    for values in (lists[0], lists[-1]):
        require(
            all(value >= 1 for value in values),
            f"strides and dilations must be at least 1, got {values}",
        )


def window_sizes(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
    dilations: Sequence[int],
) -> list[int]:
    """How many windows fit on an axis: ⌊(s + low + high − reach) / stride⌋ + 1.

    Raises:
        ShapeError: A list has the wrong length or sign, or no window fits.
    """
    require_lists((strides, low, high, dilations), len(sizes))
    result = []
    for axis, size in enumerate(sizes):
        if size == DYNAMIC:
            result.append(DYNAMIC)
            continue
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        room = size + low[axis] + high[axis] - reach
        require(
            room >= 0,
            f"the window must fit the padded input, but it spans {reach} of "
            f"{size + low[axis] + high[axis]} on spatial axis {axis}",
        )
        result.append(room // strides[axis] + 1)
    return result
