"""Ops that rearrange: reshape, slice, concat, pad, and those that make new tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.errors import ModelImportError
from ix.importer import builder as b
from ix.importer.dims import DimExpr, maximum, minimum, product, same
from ix.importer.onnx.fold import pack
from ix.importer.onnx.node import Handler, NeedsValue, Node, Unsupported

__all__ = ["MOVEMENT", "axes_of", "positions", "sizes_from"]

_MAX_POSITIONS = 1 << 16


def sizes_from(node: Node, index: int, what: str) -> list[Any]:
    """The elements of an input that holds sizes: ints and `DimExpr`s."""
    raw = node.raw_inputs[index] if node.has(index) else None
    if isinstance(raw, np.ndarray) and raw.dtype == object:
        return list(raw.reshape(-1))
    return node.constant_integers(index, what)


def axes_of(node: Node, index: int, rank: int) -> list[int] | None:
    """Axes from an input or (before) an attribute, normalised; None: not given."""
    if node.has(index):
        axes = node.constant_integers(index, "list of axes")
    elif node.has_attribute("axes"):
        axes = node.integers("axes")
    else:
        return None
    return [node.normal(axis, rank) for axis in axes]


def positions(size: Any) -> Any:
    """0, 1, … below a size: a constant where that is small."""
    if isinstance(size, int) and size <= _MAX_POSITIONS:
        return np.arange(size, dtype=np.int64)
    return b.iota([size])


def _shape(node: Node) -> Any:
    sizes = node.shape(0)
    return pack(sizes[node.integer("start", 0) : node.integer("end", len(sizes))])


def _size(node: Node) -> Any:
    return pack([product(node.shape(0))]).reshape(())


def _reshape(node: Node) -> Any:
    x = node.input(0)
    wanted = sizes_from(node, 1, "shape")
    if not node.flag("allowzero"):
        wanted = [_kept(node, at, each) for at, each in enumerate(wanted)]
    if any(isinstance(each, int) and each < -1 for each in wanted):
        raise ModelImportError(f"needs sizes ≥ −1, but its shape is {wanted}")
    return b.reshape(x, wanted)


def _kept(node: Node, axis: int, size: Any) -> Any:
    """A 0 keeps the input's size."""
    return node.shape(0)[axis] if isinstance(size, int) and size == 0 else size


def _flatten(node: Node) -> Any:
    sizes = node.shape(0)
    axis = node.integer("axis", 1)
    axis = axis + len(sizes) if axis < 0 else axis
    return b.reshape(node.input(0), [product(sizes[:axis]), product(sizes[axis:])])


def _squeeze(node: Node) -> Any:
    return b.squeeze(node.input(0), axes_of(node, 1, node.rank(0)))


def _unsqueeze(node: Node) -> Any:
    if node.has(1):
        axes = node.constant_integers(1, "list of axes")
    else:
        axes = node.integers("axes")
    return b.expand_dims(node.input(0), axes)


def _transpose(node: Node) -> Any:
    order = node.integers("perm", list(range(node.rank(0)))[::-1])
    return b.transpose(node.input(0), order)


def _concat(node: Node) -> Any:
    axis = node.axis("axis", 1, node.rank(0))
    values = [node.input(index) for index in range(len(node.raw_inputs))]
    full = [value for value in values if not same(b.shape(value)[axis], 0)]
    return b.concat(full or values, axis)


def _expand(node: Node) -> Any:
    wanted = sizes_from(node, 1, "shape")
    return b.expand(node.input(0), wanted)


def _tile(node: Node) -> Any:
    return b.tile(node.input(0), sizes_from(node, 1, "list of repeats"))


def _split(node: Node) -> Sequence[Any]:
    axis = node.axis("axis", 0, node.rank(0))
    if node.has(1):
        sizes: list[Any] = sizes_from(node, 1, "list of sizes")
    elif node.has_attribute("split"):
        sizes = node.integers("split")
    else:
        count = len(node.outputs)
        size = node.shape(0)[axis]
        each = -(-size // count)
        sizes = [each] * (count - 1) + [size - each * (count - 1)]
    return b.split_sizes(node.input(0), sizes, axis)


def _slice(node: Node) -> Any:
    x, sizes = node.input(0), list(node.shape(0))
    starts, limits, axes, steps = _bounds(node, len(sizes))
    lows: list[Any] = [0] * len(sizes)
    highs = list(sizes)
    strides = [1] * len(sizes)
    for axis, low, high, step in zip(axes, starts, limits, steps, strict=True):
        if step == 0:
            raise ModelImportError("needs steps other than 0")
        size = sizes[axis]
        if step < 0:
            x, low, high = _reversed(x, axis, size, low, high)
        low, high = _clamped(low, size), _clamped(high, size)
        lows[axis], highs[axis], strides[axis] = low, _at_least(high, low), abs(step)
    return b.slice(x, lows, highs, strides)


def _bounds(node: Node, rank: int) -> tuple[list[Any], list[Any], list[int], list[int]]:
    """Starts, ends, axes and steps: inputs since opset 10, attributes before."""
    if node.opset < 10:
        starts, limits = node.integers("starts"), node.integers("ends")
        axes = node.integers("axes", list(range(len(starts))))
        steps = [1] * len(starts)
    else:
        starts = sizes_from(node, 1, "list of starts")
        limits = sizes_from(node, 2, "list of ends")
        given = node.constant_integers(3, "list of axes") if node.has(3) else None
        axes = list(range(len(starts))) if given is None else given
        strides = node.constant_integers(4, "list of steps") if node.has(4) else None
        steps = [1] * len(starts) if strides is None else strides
    return starts, limits, [node.normal(axis, rank) for axis in axes], steps


def _reversed(x: Any, axis: int, size: Any, low: Any, high: Any) -> tuple[Any, ...]:
    """A slice with a negative step as one of the flipped axis."""
    if any(isinstance(each, DimExpr) for each in (size, low, high)):
        raise Unsupported("needs static bounds for a negative step")
    low = min(max(low + size if low < 0 else low, -1), size - 1)
    high = min(max(high + size if high < 0 else high, -1), size - 1)
    return b.flip(x, [axis]), size - 1 - low, size - 1 - high


def _clamped(bound: Any, size: Any) -> Any:
    """A bound as NumPy reads it, 0 ≤ bound ≤ size."""
    if isinstance(bound, int) and isinstance(size, int):
        return min(max(bound + size if bound < 0 else bound, 0), size)
    if isinstance(bound, int):
        if bound >= 2**31 - 1:
            return size
        bound = bound + size if bound < 0 else bound
    return minimum(maximum(bound, 0), size)


def _at_least(high: Any, low: Any) -> Any:
    return maximum(high, low)


def _pad(node: Node) -> Any:
    rank = node.rank(0)
    if node.opset < 11:
        pads = node.integers("pads")
        fill: Any = node.number("value", 0.0)
        axes = list(range(rank))
    else:
        pads = node.constant_integers(1, "list of pads")
        fill = node.optional(2)
        axes = axes_of(node, 3, rank) or list(range(rank))
    low, high = [0] * rank, [0] * rank
    for place, axis in enumerate(axes):
        low[axis], high[axis] = pads[place], pads[place + len(axes)]
    x = _cropped(node, low, high)
    low, high = [max(each, 0) for each in low], [max(each, 0) for each in high]
    if not any(low) and not any(high):
        return x
    mode = node.text("mode", "constant")
    value = np.zeros((), node.dtype(0)) if fill is None else b.reshape(fill, ())
    return b.pad(x, list(zip(low, high, strict=True)), mode=mode, value=value)


def _cropped(node: Node, low: list[int], high: list[int]) -> Any:
    """The input without what negative pads cut off."""
    x = node.input(0)
    if min([0, *low, *high]) >= 0:
        return x
    sizes = node.sizes(0)
    starts = [max(-each, 0) for each in low]
    limits = [size + min(each, 0) for size, each in zip(sizes, high, strict=True)]
    return b.slice(x, starts, limits, [1] * len(sizes))


def _depth_to_space(node: Node) -> Any:
    n, c, h, w = node.shape(0)
    block = node.integer("blocksize")
    depth = c // (block * block)
    if node.text("mode", "DCR") == "DCR":
        split, order = [n, block, block, depth, h, w], [0, 3, 4, 1, 5, 2]
    else:
        split, order = [n, depth, block, block, h, w], [0, 1, 4, 2, 5, 3]
    spread = b.transpose(b.reshape(node.input(0), split), order)
    return b.reshape(spread, [n, depth, h * block, w * block])


def _space_to_depth(node: Node) -> Any:
    n, c, h, w = node.shape(0)
    block = node.integer("blocksize")
    split = b.reshape(node.input(0), [n, c, h // block, block, w // block, block])
    if node.text("mode", "DCR") == "DCR":
        moved = b.transpose(split, [0, 3, 5, 1, 2, 4])
    else:
        moved = b.transpose(split, [0, 1, 3, 5, 2, 4])
    return b.reshape(moved, [n, c * block * block, h // block, w // block])


def _constant(node: Node) -> Any:
    if node.has_attribute("value"):
        return node.array("value")
    if node.has_attribute("value_float"):
        return np.asarray(node.number("value_float"), np.float32)
    if node.has_attribute("value_floats"):
        return np.asarray(node.numbers("value_floats"), np.float32)
    if node.has_attribute("value_int"):
        return np.asarray(node.integer("value_int"), np.int64)
    if node.has_attribute("value_ints"):
        return np.asarray(node.integers("value_ints"), np.int64)
    raise Unsupported("holds strings or a sparse tensor, which ix does not have")


def _constant_of_shape(node: Node) -> Any:
    fill = np.zeros((1,), np.float32)
    if node.has_attribute("value"):
        fill = node.array("value")
    return b.broadcast_to(fill.reshape(()), sizes_from(node, 0, "shape"))


def _range(node: Node) -> Any:
    starts = [sizes_or_number(node, index) for index in range(3)]
    start, limit, delta = starts
    if delta == 0:
        raise ModelImportError("needs a delta other than 0")
    if any(isinstance(each, DimExpr) for each in starts):
        count = -((start - limit) // delta)
    else:
        count = max(math.ceil((limit - start) / delta), 0)
    steps = b.cast(positions(count), node.dtype(0))
    return b.add(b.mul(steps, delta), start)


def sizes_or_number(node: Node, index: int) -> Any:
    """A scalar input: a number, or a size that only a run knows."""
    raw = node.raw_inputs[index] if node.has(index) else None
    if isinstance(raw, np.ndarray) and raw.dtype == object:
        return raw.reshape(-1)[0]
    return node.scalar(index, "bound")


def _eye_like(node: Node) -> Any:
    rows, columns = node.sizes(0)
    dtype = node.dtype(0)
    if node.has_attribute("dtype"):
        dtype = node.dtype_attribute("dtype")
    row = b.expand_dims(positions(rows), 1)
    on = b.eq(positions(columns), b.add(row, node.integer("k", 0)))
    return b.cast(on, dtype)


def _one_hot(node: Node) -> Any:
    depth = int(node.scalar(1, "depth"))
    rank = node.rank(0)
    axis = node.axis("axis", -1, rank + 1)
    indices = b.expand_dims(b.cast(node.input(0), np.int64), axis)
    places = [depth if at == axis else 1 for at in range(rank + 1)]
    wanted = b.reshape(positions(depth), places)
    # A negative index counts from the end; one outside of the range is off.
    positive = b.select(b.lt(indices, 0), b.add(indices, depth), indices)
    off, on = (b.reshape(each, ()) for each in b.split_sizes(node.input(2), [1, 1], 0))
    return b.select(b.eq(positive, wanted), on, off)


def _trilu(node: Node) -> Any:
    x, (rows, columns) = node.input(0), node.shape(0)[-2:]
    k: Any = b.reshape(node.input(1), ()) if node.has(1) else np.int64(0)
    row = b.expand_dims(positions(rows), 1)
    distance = b.sub(positions(columns), row)
    upper = node.flag("upper", True)
    keep = b.ge(distance, k) if upper else b.le(distance, k)
    return b.select(keep, x, np.zeros((), node.dtype(0)))


def _compress(node: Node) -> Any:
    chosen = node.constant(1, "condition").reshape(-1)
    indices = np.nonzero(chosen)[0].astype(np.int64)
    if node.has_attribute("axis"):
        return b.take(node.input(0), indices, node.axis("axis", None, node.rank(0)))
    return b.take(b.ravel(node.input(0)), indices, 0)


def _reverse_sequence(node: Node) -> Any:
    """Each sequence's first `length` elements reversed: a gather along time."""
    x = node.input(0)
    batch, time = node.integer("batch_axis", 1), node.integer("time_axis", 0)
    rank, steps = node.rank(0), node.shape(0)[time]
    if {batch, time} != {0, 1}:
        raise Unsupported("needs batch and time as its first two axes")
    lengths = b.cast(node.input(1), np.int64)
    lengths = b.expand_dims(lengths, time)
    places = b.expand_dims(positions(steps), 1 - time)
    mirrored = b.sub(b.sub(lengths, 1), places)
    source = b.select(b.lt(places, lengths), mirrored, places)
    source = b.reshape(source, [*b.shape(source), *[1] * (rank - 2)])
    return b.take_along_axis(x, source, time)


def _center_crop_pad(node: Node) -> Any:
    x, sizes = node.input(0), list(node.shape(0))
    rank = len(sizes)
    axes = axes_of(node, 9, rank) or list(range(rank))
    starts, limits = [0] * rank, list(sizes)
    pads = [(0, 0)] * rank
    for axis, wanted in zip(axes, node.constant_integers(1, "shape"), strict=True):
        size = node.size(0, axis)
        if size >= wanted:
            starts[axis] = (size - wanted) // 2
            limits[axis] = starts[axis] + wanted
        else:
            low = (wanted - size) // 2
            pads[axis] = (low, wanted - size - low)
    x = b.slice(x, starts, limits, [1] * rank)
    return b.pad(x, pads, mode="constant", value=np.zeros((), node.dtype(0)))


def _nonzero(node: Node) -> Any:
    try:
        value = node.constant(0, "tensor")
    except NeedsValue:
        raise Unsupported("has an output whose shape depends on its elements") from None
    return np.stack(np.nonzero(value)).astype(np.int64)


MOVEMENT: dict[str, Handler] = {
    "CenterCropPad": _center_crop_pad,
    "Compress": _compress,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "EyeLike": _eye_like,
    "Flatten": _flatten,
    "NonZero": _nonzero,
    "OneHot": _one_hot,
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "ReverseSequence": _reverse_sequence,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Trilu": _trilu,
    "Unsqueeze": _unsqueeze,
}
"""Op type → handler."""
