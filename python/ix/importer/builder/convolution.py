"""Convolutions, pooling, resampling and attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ix.errors import InputError
from ix.importer import promotion
from ix.importer.builder.movement import reshape, sizes_of, transpose
from ix.importer.builder.reduction import amax, mean
from ix.importer.builder.values import (
    as_value,
    cast,
    dtype,
    emit,
    index_list,
    promoted,
    rank,
    shape,
)
from ix.importer.dims import DimExpr, product

__all__ = [
    "adaptive_avg_pool",
    "attention",
    "avg_pool",
    "conv",
    "conv_transpose",
    "global_avg_pool",
    "global_max_pool",
    "max_pool",
    "pixel_shuffle",
    "resize",
]


def per_axis(number: Any, count: int) -> list[int]:
    """One int for each spatial axis: a list as it is, a number repeated."""
    if isinstance(number, Sequence):
        return [int(each) for each in number] * (count if len(number) == 1 else 1)
    return [int(number)] * count


def _spatial(sizes: Sequence[Any], layout: str) -> list[Any]:
    return list(sizes[2:] if layout == "NCHW" else sizes[1:-1])


def _image(batch: Any, channels: Any, spatial: Sequence[Any], layout: str) -> list[Any]:
    if layout == "NCHW":
        return [batch, channels, *spatial]
    return [batch, *spatial, channels]


def _window(size: Any, kernel: Any, stride: int, padding: int, dilation: int) -> Any:
    return (size + padding - dilation * (kernel - 1) - 1) // stride + 1


def conv(
    x: Any,
    filter: Any,
    bias: Any = None,
    strides: Any = 1,
    padding_low: Any = 0,
    padding_high: Any = None,
    dilations: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
) -> Any:
    """Convolution over 1 to 3 spatial axes; `padding_high` defaults to `padding_low`.

    x[n, i, s…], filter[o, i/groups, k…]; NHWC: x[n, s…, i], filter[k…, i/groups, o].
    """
    values, _ = promoted("conv", x, filter, *([] if bias is None else [bias]))
    count = rank(values[0]) - 2
    high = padding_low if padding_high is None else padding_high
    lists = [per_axis(each, count) for each in (strides, padding_low, high, dilations)]
    kernel = list(shape(values[1]))
    spread = kernel[2:] if layout == "NCHW" else kernel[:-2]
    spatial = [
        _window(each, k, stride, low + up, dilation)
        for each, k, stride, low, up, dilation in zip(
            _spatial(shape(values[0]), layout), spread, *lists, strict=True
        )
    ]
    outputs = kernel[0] if layout == "NCHW" else kernel[-1]
    return emit(
        "conv",
        *values,
        strides=lists[0],
        padding_low=lists[1],
        padding_high=lists[2],
        dilations=lists[3],
        groups=int(groups),
        layout=layout,
        like=_image(shape(values[0])[0], outputs, spatial, layout),
    )


def conv_transpose(
    x: Any,
    filter: Any,
    bias: Any = None,
    strides: Any = 1,
    padding_low: Any = 0,
    padding_high: Any = None,
    output_padding: Any = 0,
    dilations: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
) -> Any:
    """The transpose of `conv`, with filter[i, o/groups, k…]."""
    values, _ = promoted("conv_transpose", x, filter, *([] if bias is None else [bias]))
    count = rank(values[0]) - 2
    high = padding_low if padding_high is None else padding_high
    lists = [
        per_axis(each, count)
        for each in (strides, padding_low, high, output_padding, dilations)
    ]
    kernel = list(shape(values[1]))
    spread = kernel[2:] if layout == "NCHW" else kernel[:-2]
    spatial = [
        (each - 1) * stride - low - up + dilation * (k - 1) + extra + 1
        for each, k, stride, low, up, extra, dilation in zip(
            _spatial(shape(values[0]), layout), spread, *lists, strict=True
        )
    ]
    outputs = (kernel[1] if layout == "NCHW" else kernel[-2]) * groups
    return emit(
        "conv_transpose",
        *values,
        strides=lists[0],
        padding_low=lists[1],
        padding_high=lists[2],
        output_padding=lists[3],
        dilations=lists[4],
        groups=int(groups),
        layout=layout,
        like=_image(shape(values[0])[0], outputs, spatial, layout),
    )


def max_pool(
    x: Any,
    kernel: Any,
    strides: Any = None,
    padding_low: Any = 0,
    padding_high: Any = None,
    dilations: Any = 1,
    layout: str = "NCHW",
    ceil_mode: bool = False,
) -> Any:
    """The greatest element of each window; strides default to the kernel."""
    value = as_value(x)
    plan = _Windows(
        value, kernel, strides, padding_low, padding_high, dilations, layout
    )
    ceil = plan.ceil_padding(ceil_mode)
    high = [a + b for a, b in zip(plan.high, ceil, strict=True)]
    return emit(
        "max_pool",
        value,
        kernel=plan.kernel,
        strides=plan.strides,
        padding_low=plan.low,
        padding_high=high,
        dilations=plan.dilations,
        layout=layout,
        like=plan.result(ceil),
    )


def avg_pool(
    x: Any,
    kernel: Any,
    strides: Any = None,
    padding_low: Any = 0,
    padding_high: Any = None,
    dilations: Any = 1,
    layout: str = "NCHW",
    ceil_mode: bool = False,
    count_include_pad: bool = False,
) -> Any:
    """The mean of each window; strides default to the kernel."""
    value = as_value(x)
    value = cast(value, promotion.mean_dtype(dtype(value)))
    plan = _Windows(
        value, kernel, strides, padding_low, padding_high, dilations, layout
    )
    ceil = plan.ceil_padding(ceil_mode)
    return emit(
        "avg_pool",
        value,
        kernel=plan.kernel,
        strides=plan.strides,
        padding_low=plan.low,
        padding_high=plan.high,
        ceil_padding=ceil,
        dilations=plan.dilations,
        layout=layout,
        count_include_pad=bool(count_include_pad),
        like=plan.result(ceil),
    )


class _Windows:
    """The windows of a pooling: lists for each spatial axis, and the result's sizes."""

    def __init__(
        self,
        value: Any,
        kernel: Any,
        strides: Any,
        low: Any,
        high: Any,
        dilations: Any,
        layout: str,
    ) -> None:
        count = rank(value) - 2
        self.layout = layout
        self.sizes = shape(value)
        self.spatial = _spatial(self.sizes, layout)
        self.kernel = per_axis(kernel, count)
        self.strides = per_axis(kernel if strides is None else strides, count)
        self.low = per_axis(low, count)
        self.high = per_axis(low if high is None else high, count)
        self.dilations = per_axis(dilations, count)

    def ceil_padding(self, ceil_mode: bool) -> list[int]:
        """What a last, partial window adds at the high end of each axis.

        A window that would start in the padding after the input is left out.

        Raises:
            InputError: A spatial axis is dynamic.
        """
        if not ceil_mode:
            return [0] * len(self.kernel)
        if any(isinstance(each, DimExpr) for each in self.spatial):
            raise InputError("'pool' with ceil_mode needs static spatial sizes")
        extra = []
        for size, k, stride, low, high, dilation in zip(
            self.spatial,
            self.kernel,
            self.strides,
            self.low,
            self.high,
            self.dilations,
            strict=True,
        ):
            free = size + low + high - dilation * (k - 1) - 1
            windows = -(-free // stride) + 1
            if (windows - 1) * stride >= size + low:
                windows -= 1
            extra.append(_at_least_zero((windows - 1) * stride - free))
        return extra

    def result(self, ceil: Sequence[int]) -> list[Any]:
        """The sizes of the result."""
        spatial = [
            _window(size, k, stride, low + high + extra, dilation)
            for size, k, stride, low, high, extra, dilation in zip(
                self.spatial,
                self.kernel,
                self.strides,
                self.low,
                self.high,
                ceil,
                self.dilations,
                strict=True,
            )
        ]
        channels = self.sizes[1] if self.layout == "NCHW" else self.sizes[-1]
        return _image(self.sizes[0], channels, spatial, self.layout)


def _at_least_zero(number: int) -> int:
    return number if number > 0 else 0


def global_avg_pool(x: Any, keepdims: bool = True) -> Any:
    """The mean over the spatial axes of an NCHW image."""
    return mean(x, list(range(2, rank(x))), keepdims)


def global_max_pool(x: Any, keepdims: bool = True) -> Any:
    """The maximum over the spatial axes of an NCHW image."""
    return amax(x, list(range(2, rank(x))), keepdims)


def adaptive_avg_pool(x: Any, output_size: Any) -> Any:
    """Average pooling of an NCHW image to a given size that divides the input's.

    Raises:
        InputError: An axis is dynamic, or its size is no multiple of the wanted one.
    """
    spatial = shape(x)[2:]
    wanted = per_axis(output_size, len(spatial))
    if all(each == 1 for each in wanted):
        return global_avg_pool(x)
    if any(
        isinstance(a, DimExpr) or a % b for a, b in zip(spatial, wanted, strict=True)
    ):
        raise InputError(
            "'adaptive_avg_pool' needs static sizes that are multiples of the wanted "
            f"ones, but got {tuple(spatial)} for {tuple(wanted)}"
        )
    return avg_pool(x, [a // b for a, b in zip(spatial, wanted, strict=True)])


def resize(
    x: Any,
    new_shape: Any,
    scales: Sequence[float] | None = None,
    mode: str = "nearest",
    coordinates: str = "half_pixel",
    nearest: str = "round_prefer_floor",
    cubic_coefficient: float = -0.75,
    antialias: bool = False,
) -> Any:
    """Samples every axis at new_shape positions; attributes as `ix.resize` has them."""
    sizes = sizes_of(new_shape)
    return emit(
        "resize",
        as_value(x),
        index_list(sizes),
        scales=scales,
        mode=mode,
        coordinates=coordinates,
        nearest=nearest,
        cubic_coefficient=float(cubic_coefficient),
        antialias=bool(antialias),
        like=sizes,
    )


def attention(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    scale: float | None = None,
    causal: bool = False,
) -> Any:
    """softmax(q · kᵀ · scale + mask) · v; q[b, h, s, d], k[b, g, t, d], v[b, g, t, e].

    The mask broadcasts to [b, h, s, t]: bool (true keeps) or added.
    """
    (q, k, v), _ = promoted("attention", q, k, v)
    operands = [q, k, v]
    if mask is not None:
        mask = as_value(mask)
        if dtype(mask) != promotion.BOOL:
            mask = cast(mask, dtype(q))
        operands.append(mask)
    like = [*shape(q)[:3], shape(v)[3]]
    return emit("attention", *operands, scale=scale, causal=bool(causal), like=like)


def pixel_shuffle(x: Any, factor: int) -> Any:
    """[n, c · r², h, w] → [n, c, h · r, w · r]."""
    n, channels, height, width = shape(x)
    out = channels // (factor * factor)
    split = reshape(x, [n, out, factor, factor, height, width])
    moved = transpose(split, [0, 1, 4, 2, 5, 3])
    return reshape(moved, [n, out, height * factor, width * factor])


def element_count(x: Any) -> Any:
    """The number of elements of x, an int or a `DimExpr`."""
    return product(shape(x))
