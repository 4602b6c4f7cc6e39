"""Convolutions to one contraction each, with padding before and bias after it.

conv:            y[n, o, p] = Σ x[n, i, p·stride + k·dilation] · f[o, i, k]
conv_transpose:  with t = p + low = q·stride + r and k·dilation = j·stride + r,
                 y[n, o, q, r] = Σ over i, j of x[n, i, q − j] · f[i, o, j, r]

So the transpose multiplies by no zero but those of padding: its filter is cut into one
piece for each phase r, and the phases interleave in the result by a reshape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ix.dialects import ix
from ix.mlir import arith, ir, tensor
from ix.passes.linalg.accumulation import cast_back, narrow
from ix.passes.linalg.contraction import product_accumulator, unsigned_factors
from ix.passes.linalg.generic import (
    Lowered,
    Size,
    expand,
    extend,
    scalar,
    sizes_of,
    static_shape,
)
from ix.passes.linalg.named_axes import Affine, Named, contract_named
from ix.passes.linalg.padding import padded
from ix.passes.linalg.projection import project
from ix.passes.linalg.sizes import floor_divided, plus, times, window_count


def lower_conv(op: ix.ConvOp, operands: list[ir.Value]) -> Lowered:
    x, filter = _named_image(op, operands[0]), _named_filter(op, operands[1], "o", "i")
    count = len(op.strides)
    kernel = [filter.size(f"k{at}") for at in range(count)]
    sizes = {"n": x.size("n")}
    places = {}
    for at in range(count):
        reach = (kernel[at] - 1) * op.dilations[at] + 1
        padding = op.padding_low[at] + op.padding_high[at]
        size = x.size(f"p{at}")
        sizes[f"p{at}"] = window_count(size, padding, reach, op.strides[at])
        factors = {f"p{at}": op.strides[at]}
        if kernel[at] > 1:
            factors[f"k{at}"] = op.dilations[at]
        places[f"p{at}"] = Affine(factors)
    x = _padded_image(x, op.padding_low, op.padding_high)
    filter = filter.drop([f"k{at}" for at in range(count) if kernel[at] == 1])
    x, filter = _grouped(op, x, filter)
    total = _contracted(op, x, filter, sizes, places)
    return _finished(op, operands, total, sizes)


def lower_conv_transpose(op: ix.ConvTransposeOp, operands: list[ir.Value]) -> Lowered:
    x, filter = _named_image(op, operands[0]), _named_filter(op, operands[1], "i", "o")
    sizes: dict[str, Size] = {"n": x.size("n")}
    lengths = _result_lengths(op, x)
    places, low, high, cuts = {}, [], [], []
    for at, stride in enumerate(op.strides):
        reach = (filter.size(f"k{at}") - 1) * op.dilations[at] + 1
        filter = _phases(filter, at, op.dilations[at], stride)
        first, cut = divmod(op.padding_low[at], stride)
        pieces = -(-reach // stride)
        # The last place of the input that a kept element of the result reads.
        ahead = -(-(reach - op.padding_high[at] + op.output_padding[at]) // stride) - 1
        low.append(max(pieces - 1 - first, 0))
        high.append(max(ahead, 0))
        cuts.append(cut)
        size = x.size(f"p{at}")
        sizes[f"p{at}"] = plus(size, ahead - first)
        sizes[f"r{at}"] = stride
        # Places of the input that no kept element reads: a loop would run over them.
        unread = max(first - (pieces - 1), 0)
        x = _cut_axis(x, f"p{at}", unread, plus(size, min(ahead, 0) - unread))
        factors = {f"p{at}": 1} | ({f"k{at}": -1} if pieces > 1 else {})
        places[f"p{at}"] = Affine(factors, pieces - 1)
    x = _padded_image(x, low, high)
    x, filter = _grouped(op, x, filter)
    total = _contracted(op, x, filter, sizes, places)
    return _finished(op, operands, total, sizes, cuts, lengths)


def _result_lengths(op: ix.ConvTransposeOp, x: Named) -> list[Size]:
    """Spatial sizes of the result: (s − 1)·stride + reach − low − high + extra."""
    lengths = []
    for at, stride in enumerate(op.strides):
        kernel = op.filter.type.shape[spatial_axes_of_filter(op)[at]]
        rest = (kernel - 1) * op.dilations[at] + 1 - stride - op.padding_low[at]
        rest += op.output_padding[at] - op.padding_high[at]
        lengths.append(plus(times(x.size(f"p{at}"), stride), rest))
    return lengths


def spatial_axes_of_filter(op: Any) -> list[int]:
    """The axes of a filter that slide."""
    rank = op.filter.type.rank
    return list(range(2, rank) if op.layout == "NCHW" else range(rank - 2))


def _named_image(op: Any, value: ir.Value) -> Named:
    places = tuple(f"p{at}" for at in range(value.type.rank - 2))
    axes = ("n", "c", *places) if op.layout == "NCHW" else ("n", *places, "c")
    return Named(value, axes)


def _named_filter(op: Any, value: ir.Value, first: str, second: str) -> Named:
    taps = tuple(f"k{at}" for at in range(value.type.rank - 2))
    if op.layout == "NCHW":
        return Named(value, (first, second, *taps))
    return Named(value, (*taps, second, first))


def _padded_image(x: Named, low: Sequence[int], high: Sequence[int]) -> Named:
    before = [low[int(name[1:])] if name[0] == "p" else 0 for name in x.axes]
    after = [high[int(name[1:])] if name[0] == "p" else 0 for name in x.axes]
    if not any((*before, *after)):
        return x
    zero = scalar(0, x.value.type.element_type)
    return Named(padded(x.value, before, after, zero), x.axes)


def _grouped(op: Any, x: Named, filter: Named) -> tuple[Named, Named]:
    """Splits channels into group and channel in the group, where there are groups.

    One input (and output) channel a group needs no axis of its own.
    """
    if op.groups == 1:
        return x.rename("c", "i"), filter
    outer, inner = ("o", "i") if isinstance(op, ix.ConvOp) else ("i", "o")
    inputs = filter.size("i") if inner == "i" else _share(filter, outer, op.groups)
    x = x.rename("c", "g") if inputs == 1 else x.split("c", "g", op.groups, "i")
    if _share(filter, outer, op.groups) == 1:
        filter = filter.rename(outer, "g")
    else:
        filter = filter.split(outer, "g", op.groups, outer)
    return x, filter.drop([inner] if filter.size(inner) == 1 else [])


def _share(filter: Named, name: str, groups: int) -> Size:
    """Channels of one group."""
    return floor_divided(filter.size(name), groups)


def _phases(filter: Named, at: int, dilation: int, stride: int) -> Named:
    """Filter axis k as `k` (pieces) and `r` (phases), zeros between dilated taps."""
    name, phase = f"k{at}", f"r{at}"
    size = filter.size(name)
    reach = (size - 1) * dilation + 1
    if dilation > 1 and size > 1:
        spread = filter.split(name, name, size, phase)
        spread = _padded_axis(spread, phase, dilation - 1)
        filter = _cut_axis(spread.join(name, phase, name), name, 0, reach)
    filter = _padded_axis(filter, name, -reach % stride)
    pieces = (reach + stride - 1) // stride
    if stride > 1:
        filter = filter.split(name, name, pieces, phase)
    return filter.drop([name]) if pieces == 1 else filter


def _padded_axis(tensor_: Named, name: str, high: int) -> Named:
    after = [high if axis == name else 0 for axis in tensor_.axes]
    zero = scalar(0, tensor_.value.type.element_type)
    value = padded(tensor_.value, [0] * len(after), after, zero)
    return Named(value, tensor_.axes)


def _cut_axis(tensor_: Named, name: str, start: int, size: Size) -> Named:
    """A contiguous part of one axis."""
    sizes = sizes_of(tensor_.value)
    at = tensor_.axes.index(name)
    if start == 0 and (size is sizes[at] or size == sizes[at]):
        return tensor_
    sizes[at] = size
    shape = static_shape(sizes)
    value = tensor.ExtractSliceOp(
        ir.RankedTensorType.get(shape, tensor_.value.type.element_type),
        tensor_.value,
        [],
        [each for each in sizes if isinstance(each, ir.Value)],
        [],
        [start if axis == at else 0 for axis in range(len(sizes))],
        shape,
        [1] * len(sizes),
    ).result
    return Named(value, tensor_.axes)


def _contracted(
    op: Any,
    x: Named,
    filter: Named,
    sizes: dict[str, Size],
    places: dict[str, Affine],
) -> Named:
    """The sum of products, with the channels (and phases) still split."""
    channels = [name for name in ("g", "o") if name in filter.axes]
    for name in channels:
        sizes[name] = filter.size(name)
    spatial = [
        name
        for at in range(len(op.strides))
        for name in (f"p{at}", f"r{at}")
        if name[0] == "p" or name in filter.axes
    ]
    order = ["n", *channels, *spatial]
    if op.layout == "NHWC":
        order = ["n", *spatial, *channels]
    accumulator = product_accumulator(op)
    return contract_named(
        x, filter, order, sizes, accumulator, unsigned_factors(op), places
    )


def _finished(
    op: Any,
    operands: Sequence[ir.Value],
    total: Named,
    sizes: dict[str, Size],
    cuts: Sequence[int] = (),
    lengths: Sequence[Size] = (),
) -> ir.Value:
    """Adds the bias, rounds, and joins what was split."""
    element = op.result.type.element_type
    shape = [sizes[name] for name in total.axes]
    if op.has_bias:
        total = Named(_with_bias(total, operands[2], element, shape), total.axes)
    else:
        total = Named(cast_back(total.value, element, shape), total.axes)
    if "g" in total.axes and "o" in total.axes:
        total = total.join("g", "o", "g")
    for at, (cut, length) in enumerate(zip(cuts, lengths, strict=True)):
        if f"r{at}" in total.axes:
            total = total.join(f"p{at}", f"r{at}", f"p{at}")
        total = _cut_axis(total, f"p{at}", cut, length)
    return total.value


def _with_bias(
    total: Named, bias: ir.Value, element: ir.Type, sizes: Sequence[Size]
) -> ir.Value:
    """total + bias of each output channel, rounded to `element`."""
    type_ = total.value.type.element_type
    channels = [at for at, name in enumerate(total.axes) if name in ("g", "o")]
    if len(channels) == 2:
        bias = expand(bias, [sizes[at] for at in channels], [[0, 1]])
    add: Any = arith.AddIOp if isinstance(type_, ir.IntegerType) else arith.AddFOp

    def body(x: ir.Value, b: ir.Value) -> ir.Value:
        return narrow(add(x, extend(b, type_)).result, element)

    reads = [(total.value, range(len(total.axes))), (bias, channels)]
    return project(reads, sizes, element, body)


LOWERINGS = {
    ix.ConvOp: lower_conv,
    ix.ConvTransposeOp: lower_conv_transpose,
}
"""Op class → (op, lowered operands) → result."""
