"""ix-decompose-conv-transpose: a transposed convolution as a convolution.

conv_transpose(x, f, stride s)  →  interleave(conv(pad(x), phases(f)))[low …]

With output place t = q·s + r, phase r, and tap k = j·s + r, the input place is q − j:

    y[n, o, q·s + r] = Σ over i, j of x[n, i, q − j] · f[i, o, j·s + r]

So each phase is a channel of one convolution of stride 1 whose filter is f cut into
phases and reversed. No zero is multiplied but those of padding, and what is done to
the filter is done once, at compile time. A filter of dynamic channels stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ix.dialects import ix
from ix.dialects.ix.convolution import image_shape, spatial_axes
from ix.mlir import DYNAMIC, arith, ir
from ix.passes.framework import pattern, rewrite_pass


@dataclass(frozen=True)
class Axis:
    """How one spatial axis is split.

    Args:
        size: Taps of the filter.
        stride, dilation, low, high, extra: Attributes of the op.
    """

    size: int
    stride: int
    dilation: int
    low: int
    high: int
    extra: int

    @property
    def reach(self) -> int:
        """Elements from the first tap to the last, both included."""
        return (self.size - 1) * self.dilation + 1

    @property
    def pieces(self) -> int:
        """Taps of each phase; without a stride, the filter keeps its dilation."""
        return self.size if self.stride == 1 else -(-self.reach // self.stride)

    @property
    def step(self) -> int:
        """The dilation of the convolution."""
        return self.dilation if self.stride == 1 else 1

    @property
    def before(self) -> int:
        """The input place of the convolution's first window, below zero; or −(it)."""
        return (self.pieces - 1) * self.step - self.low // self.stride

    @property
    def after(self) -> int:
        """Zeros after the input, for the last places that are kept."""
        last = -(-(self.reach - self.high + self.extra) // self.stride) - 1
        return max(last, 0)

    @property
    def cut(self) -> int:
        """Interleaved places before the first that is kept."""
        return self.low % self.stride

    def kept(self, size: int | ir.Value) -> int | ir.Value:
        """The size of the result for that of the input."""
        return _scaled(size, self.stride, self._rest)

    @property
    def is_kept_whole(self) -> bool:
        """Whether the interleaved result has no place that is cut off."""
        windows = self.before + self.after - (self.pieces - 1) * self.step
        return self.cut == 0 and windows * self.stride == self._rest

    @property
    def _rest(self) -> int:
        return self.reach - self.stride - self.low - self.high + self.extra


@pattern(ix.ConvTransposeOp)
def decompose(op: ix.ConvTransposeOp) -> ir.Value | None:
    if DYNAMIC in op.filter.type.shape:
        return None
    axes = _axes(op)
    phases = math.prod(axis.stride for axis in axes)
    bias = None if op.bias is None else _repeated(op.bias, phases)
    image = _cropped(op.input, axes, op.layout)
    result = ix.ConvOp.build(
        image,
        _phase_filter(op, axes),
        bias,
        padding_low=[max(axis.before, 0) for axis in axes],
        padding_high=[axis.after for axis in axes],
        dilations=[axis.step for axis in axes],
        groups=op.groups,
        layout=op.layout,
        element_type=op.result.type.element_type,
    )
    result = _interleaved(result, axes, op.layout)
    return _kept(result, op, axes)


decompose_conv_transpose = rewrite_pass("ix-decompose-conv-transpose", [decompose])


def _axes(op: ix.ConvTransposeOp) -> list[Axis]:
    shape = op.filter.type.shape
    kernel = shape[2:] if op.layout == "NCHW" else shape[:-2]
    lists = (op.strides, op.dilations, op.padding_low, op.padding_high)
    return [
        Axis(*numbers)
        for numbers in zip(kernel, *lists, op.output_padding, strict=True)
    ]


def _cropped(image: ir.Value, axes: list[Axis], layout: str) -> ir.Value:
    """The input without the places that only cut results read."""
    if all(axis.before >= 0 for axis in axes):
        return image
    sizes = _sizes(image)
    starts = [0] * len(sizes)
    for at, axis in zip(spatial_axes(layout, len(sizes)), axes, strict=True):
        starts[at] = max(-axis.before, 0)
    return ix.SliceOp.build(image, starts=starts, limits=sizes)


def _phase_filter(op: ix.ConvTransposeOp, axes: list[Axis]) -> ir.Value:
    """f[i, o/g, k…] as [o · phases…, i/g, pieces…]; for NHWC [pieces…, i/g, o · …]."""
    value, count = op.filter, len(axes)
    if op.layout == "NHWC":
        order = [count + 1, count, *range(count)]
        value = ix.TransposeOp.build(value, permutation=order)
    inputs, outputs = value.type.shape[:2]
    for at, axis in enumerate(axes):
        value = _cut_into_phases(value, at + 2, axis)
    groups = op.groups
    split = [groups, inputs // groups, outputs]
    for axis in axes:
        split += [axis.pieces, axis.stride]
    pieces = [3 + 2 * at for at in range(count)]
    value = ix.FlipOp.build(ix.ReshapeOp.build(value, split), axes=pieces)
    channels = [0, 2, *(at + 1 for at in pieces)]
    total = groups * outputs * math.prod(axis.stride for axis in axes)
    sizes = [axis.pieces for axis in axes]
    if op.layout == "NCHW":
        order, shape = [*channels, 1, *pieces], [total, inputs // groups, *sizes]
    else:
        order, shape = [*pieces, 1, *channels], [*sizes, inputs // groups, total]
    return ix.ReshapeOp.build(ix.TransposeOp.build(value, permutation=order), shape)


def _cut_into_phases(value: ir.Value, at: int, axis: Axis) -> ir.Value:
    """Axis `at` with zeros between dilated taps, and up to a multiple of the stride."""
    if axis.stride == 1:
        return value
    shape = list(value.type.shape)
    if axis.dilation > 1:
        apart = ix.ReshapeOp.build(value, [*shape[: at + 1], 1, *shape[at + 1 :]])
        apart = _padded(apart, at + 1, axis.dilation - 1)
        shape[at] = axis.size * axis.dilation
        joined = ix.ReshapeOp.build(apart, shape)
        shape[at] = axis.reach
        value = ix.SliceOp.build(joined, starts=[0] * len(shape), limits=shape)
    return _padded(value, at, axis.pieces * axis.stride - axis.reach)


def _padded(value: ir.Value, at: int, high: int) -> ir.Value:
    """Zeros after one axis."""
    if high == 0:
        return value
    zero = ix.ConstantOp.build(0, str(value.type.element_type))
    none = [0] * value.type.rank
    return ix.PadOp.build(
        value, zero, low=none, high=[*none[:at], high, *none[at + 1 :]]
    )


def _repeated(bias: ir.Value, phases: int) -> ir.Value:
    """Each element `phases` times."""
    if phases == 1:
        return bias
    (size,) = bias.type.shape
    column = ix.ReshapeOp.build(bias, [size, 1])
    return ix.ReshapeOp.build(
        ix.BroadcastOp.build(column, [size, phases]), [size * phases]
    )


def _interleaved(value: ir.Value, axes: list[Axis], layout: str) -> ir.Value:
    """Moves the phases from the channels to the places: [n, o, q0·s0 + r0, …]."""
    strides = [axis.stride for axis in axes]
    strided = [at for at, stride in enumerate(strides) if stride > 1]
    if not strided:
        return value
    sizes = _sizes(value)
    places = spatial_axes(layout, len(sizes))
    channel = 1 if layout == "NCHW" else len(sizes) - 1
    channels = sizes[channel] // math.prod(strides)
    split = [*sizes]
    split[channel : channel + 1] = [channels, *(strides[at] for at in strided)]
    moved = len(strided) * (layout == "NCHW")
    order: list[int] = []
    for at, place in enumerate(places):
        order.append(place + moved)
        if at in strided:
            order.append(channel + 1 + strided.index(at))
    order = [0, channel, *order] if layout == "NCHW" else [0, *order, channel]
    value = ix.TransposeOp.build(ix.ReshapeOp.build(value, split), permutation=order)
    joined = [
        _scaled(sizes[place], stride, 0)
        for place, stride in zip(places, strides, strict=True)
    ]
    return ix.ReshapeOp.build(value, image_shape(sizes[0], channels, joined, layout))


def _kept(value: ir.Value, op: ix.ConvTransposeOp, axes: list[Axis]) -> ir.Value:
    """The part of the interleaved result that padding does not cut off."""
    if not all(axis.is_kept_whole for axis in axes):
        limits = _sizes(value)
        starts = [0] * len(limits)
        for at, axis in zip(spatial_axes(op.layout, len(limits)), axes, strict=True):
            starts[at] = axis.cut
            limits[at] = _scaled(axis.kept(_size(op.input, at)), 1, axis.cut)
        value = ix.SliceOp.build(value, starts=starts, limits=limits)
    value.set_type(op.result.type)
    return value


def _sizes(value: ir.Value) -> list[Any]:
    return [_size(value, axis) for axis in range(value.type.rank)]


def _size(value: ir.Value, axis: int) -> int | ir.Value:
    size = value.type.shape[axis]
    return ix.DimOp.build(value, axis=axis) if size == DYNAMIC else size


def _scaled(size: int | ir.Value, factor: int, offset: int) -> int | ir.Value:
    """size · factor + offset."""
    if isinstance(size, int):
        return size * factor + offset
    index = ir.IndexType.get()
    if factor != 1:
        size = arith.MulIOp(size, arith.ConstantOp(index, factor).result).result
    if offset != 0:
        size = arith.AddIOp(size, arith.ConstantOp(index, offset).result).result
    return size
