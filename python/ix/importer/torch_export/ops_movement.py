"""Views, joins and copies; torch already knows every result's shape."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.builder.indexing import slice_bounds
from ix.importer.torch_export.call import Call, Handler, NotSupported

__all__ = ["MOVEMENT"]


def _reshape(call: Call, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Every op that only renames row-major positions."""
    return b.reshape(x, call.shape)


def _same(call: Call, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Copies and detachments: values are immutable here. A cast follows if needed."""
    return x


def _permute(call: Call, x: Any, dims: Sequence[int]) -> Any:
    return b.transpose(x, dims)


def _transpose(call: Call, x: Any, dim0: int, dim1: int) -> Any:
    return b.swapaxes(x, dim0, dim1) if b.rank(x) else x


def _matrix_transpose(call: Call, x: Any) -> Any:
    return b.transpose(x)


def _last_two(call: Call, x: Any) -> Any:
    return b.swapaxes(x, -1, -2)


def _movedim(call: Call, x: Any, source: Any, destination: Any) -> Any:
    return b.moveaxis(x, source, destination)


def _expand(call: Call, x: Any, *args: Any, **kwargs: Any) -> Any:
    return b.broadcast_to(x, call.shape)


def _broadcast_tensors(call: Call, tensors: Sequence[Any]) -> Any:
    return tuple(
        b.broadcast_to(each, call.shape_of(at)) for at, each in enumerate(tensors)
    )


def _slice(
    call: Call,
    x: Any,
    dim: int = 0,
    start: Any = None,
    end: Any = None,
    step: int = 1,
) -> Any:
    axis = dim % b.rank(x)
    first, limit, _ = slice_bounds(slice(start, end, step), b.shape(x)[axis])
    if step == 1:  # torch's size is simpler than what follows from the bounds
        limit = first + call.shape[axis]
    return b.slice_axis(x, axis, first, limit, step)


def _narrow(call: Call, x: Any, dim: int, start: Any, length: Any) -> Any:
    return _slice(call, x, dim, start, start + length)


def _select(call: Call, x: Any, dim: int, index: Any) -> Any:
    axis = dim % b.rank(x)
    place = index + b.shape(x)[axis] if _is_negative(index) else index
    return b.reshape(b.slice_axis(x, axis, place, place + 1), call.shape)


def _is_negative(index: Any) -> bool:
    return isinstance(index, int) and index < 0


def _pieces(call: Call, x: Any, dim: int) -> Any:
    """The parts of an axis whose sizes torch knows."""
    axis = dim % b.rank(x)
    sizes = [call.shape_of(at)[axis] for at in range(len(call.results))]
    return tuple(b.split_sizes(x, sizes, axis))


def _split(call: Call, x: Any, sections: Any, dim: int = 0) -> Any:
    return _pieces(call, x, dim)


def _unbind(call: Call, x: Any, dim: int = 0) -> Any:
    axis = dim % b.rank(x)
    parts = b.split_sizes(x, [1] * len(call.results), axis)
    return tuple(b.reshape(each, call.shape) for each in parts)


def _concat(call: Call, tensors: Sequence[Any], dim: int = 0) -> Any:
    """torch ignores empty vectors among the operands, of whatever rank the others."""
    kept = [each for each in tensors if b.rank(each) == len(call.shape)]
    kept = [each for each in kept if not _is_empty(b.shape(each))] or kept[:1]
    return b.concat([call.to(each) for each in kept], dim)


def _is_empty(sizes: Sequence[Any]) -> bool:
    return any(isinstance(each, int) and each == 0 for each in sizes)


def _stack(call: Call, tensors: Sequence[Any], dim: int = 0) -> Any:
    return b.stack([call.to(each) for each in tensors], dim % len(call.shape))


def _joined(function: Any) -> Handler:
    def handler(call: Call, tensors: Sequence[Any]) -> Any:
        return function([call.to(each) for each in tensors])

    return handler


def _flip(call: Call, x: Any, dims: Sequence[int]) -> Any:
    return b.flip(x, list(dims)) if dims else x


def _flip_one(axis: int) -> Handler:
    def handler(call: Call, x: Any) -> Any:
        return b.flip(x, [axis])

    return handler


def _roll(call: Call, x: Any, shifts: Any, dims: Any = ()) -> Any:
    if not dims:
        return b.roll(x, shifts[0])
    return b.roll(x, list(shifts), list(dims))


def _repeat(call: Call, x: Any, repeats: Sequence[Any]) -> Any:
    return b.tile(x, list(repeats))


def _repeat_interleave(
    call: Call, x: Any, repeats: Any, dim: int | None = None, output_size: Any = None
) -> Any:
    if not isinstance(repeats, int):
        raise NotSupported("repeats that are computed")
    return b.repeat(x, repeats, dim)


def _as_strided(
    call: Call,
    x: Any,
    size: Sequence[Any],
    stride: Sequence[Any],
    storage_offset: int | None = None,
) -> Any:
    """Elements of a contiguous tensor at constant positions."""
    source = call.fake(0)
    static = all(isinstance(each, int) for each in (*size, *stride, *b.shape(x)))
    if not static or not source.is_contiguous() or source.storage_offset():
        raise NotSupported("memory that is not one contiguous tensor of static shape")
    places = np.full(tuple(size), storage_offset or 0, np.int64)
    for axis, step in enumerate(stride):
        spread = [1] * len(size)
        spread[axis] = -1
        places += (np.arange(size[axis]) * step).reshape(spread)
    if places.size and places.max() >= source.numel():
        raise NotSupported("memory beyond the tensor's own elements")
    return b.take(b.ravel(x), places, 0)


def _unfold(call: Call, x: Any, dimension: int, size: int, step: int) -> Any:
    axis = dimension % b.rank(x)
    count = call.shape[axis]
    if not isinstance(count, int):
        raise NotSupported("an axis of dynamic size")
    places = np.arange(count)[:, None] * step + np.arange(size)
    return b.moveaxis(b.take(x, places, axis), axis + 1, -1)


def _pixel_shuffle(call: Call, x: Any, upscale_factor: int) -> Any:
    *lead, channels, height, width = b.shape(x)
    r, at = upscale_factor, len(lead)
    split = b.reshape(x, [*lead, channels // (r * r), r, r, height, width])
    order = [*range(at), at, at + 3, at + 1, at + 4, at + 2]
    return b.reshape(b.transpose(split, order), call.shape)


def _pixel_unshuffle(call: Call, x: Any, downscale_factor: int) -> Any:
    *lead, channels, height, width = b.shape(x)
    r, at = downscale_factor, len(lead)
    split = b.reshape(x, [*lead, channels, height // r, r, width // r, r])
    order = [*range(at), at, at + 2, at + 4, at + 1, at + 3]
    return b.reshape(b.transpose(split, order), call.shape)


def _channel_shuffle(call: Call, x: Any, groups: int) -> Any:
    batch, channels, *rest = b.shape(x)
    split = b.reshape(x, [batch, groups, channels // groups, *rest])
    return b.reshape(b.swapaxes(split, 1, 2), call.shape)


def _meshgrid(call: Call, tensors: Sequence[Any], indexing: str = "ij") -> Any:
    return tuple(b.meshgrid(*tensors, indexing=indexing))


def _diagonal(call: Call, x: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    return b.diagonal(x, offset, dim1, dim2)


def _diag(call: Call, x: Any, diagonal: int = 0) -> Any:
    return b.diag(x, diagonal)


def _trace(call: Call, x: Any) -> Any:
    return b.trace(call.to(x))


def _constant_pad(call: Call, x: Any, pad: Sequence[int], value: Any = 0) -> Any:
    return b.pad(x, _widths(x, pad), "constant", call.to(value))


def _padded(mode: str) -> Handler:
    def handler(call: Call, x: Any, padding: Sequence[int]) -> Any:
        return b.pad(x, _widths(x, padding), mode)

    return handler


def _pad(
    call: Call,
    x: Any,
    pad: Sequence[int],
    mode: str = "constant",
    value: Any = None,
) -> Any:
    if mode == "constant":
        return _constant_pad(call, x, pad, 0 if value is None else value)
    return b.pad(x, _widths(x, pad), _MODES[mode])


_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _widths(x: Any, pad: Sequence[Any]) -> list[tuple[int, int]]:
    """torch counts pairs from the last axis; the others are not padded."""
    if not all(isinstance(each, int) for each in pad):
        raise NotSupported("padding by a dynamic size")
    pairs = [(pad[at], pad[at + 1]) for at in range(0, len(pad), 2)]
    return [(0, 0)] * (b.rank(x) - len(pairs)) + pairs[::-1]


def _cartesian(call: Call, tensors: Sequence[Any]) -> Any:
    if len(tensors) == 1:
        return tensors[0]
    grids = b.meshgrid(*tensors, indexing="ij")
    return b.stack([b.ravel(each) for each in grids], 1)


def _block_diag(call: Call, tensors: Sequence[Any]) -> Any:
    rows = [b.at_least(call.to(each), 2) for each in tensors]
    widths = [b.shape(each)[1] for each in rows]
    before = [0, *itertools.accumulate(widths)]
    total = before[-1]
    return b.concat(
        [
            b.pad(each, [(0, 0), (left, total - left - width)])
            for each, left, width in zip(rows, before, widths, strict=False)
        ],
        0,
    )


def _names(text: str, handler: Handler) -> dict[str, Handler]:
    return {f"aten.{name}": handler for name in text.split()}


MOVEMENT: dict[str, Handler] = {
    **_names(
        "view.default _unsafe_view.default reshape.default flatten.using_ints "
        "unflatten.int squeeze.default squeeze.dim squeeze.dims unsqueeze.default "
        "view_as.default reshape_as.default view_copy.default ravel.default "
        "squeeze_copy.default squeeze_copy.dim squeeze_copy.dims "
        "unsqueeze_copy.default atleast_1d.default atleast_2d.default "
        "_reshape_copy.default _reshape_alias.default _reshape_alias_copy.default",
        _reshape,
    ),
    **_names(
        "clone.default alias.default alias_copy.default detach.default "
        "contiguous.default lift_fresh_copy.default lift_fresh.default lift.default "
        "detach_.default detach_copy.default to.dtype to.device to.dtype_layout "
        "to.other type_as.default _to_copy.default resolve_conj.default "
        "resolve_neg.default conj.default "
        "conj_physical.default real.default",
        _same,
    ),
    **_names("permute.default permute_copy.default", _permute),
    **_names(
        "transpose.int transpose_copy.int swapaxes.default swapdims.default", _transpose
    ),
    **_names("t.default t_copy.default numpy_T.default", _matrix_transpose),
    **_names("adjoint.default mT.default matrix_H.default", _last_two),
    **_names("movedim.int movedim.intlist moveaxis.int moveaxis.intlist", _movedim),
    **_names(
        "expand.default expand_as.default expand_copy.default broadcast_to.default",
        _expand,
    ),
    "aten.broadcast_tensors.default": _broadcast_tensors,
    **_names("slice.Tensor slice_copy.Tensor", _slice),
    **_names("narrow.default narrow_copy.default", _narrow),
    **_names("select.int select_copy.int", _select),
    **_names(
        "split.Tensor split_with_sizes.default split.sizes split_copy.Tensor "
        "split_with_sizes_copy.default chunk.default unsafe_chunk.default "
        "unsafe_split.Tensor tensor_split.sections tensor_split.indices",
        _split,
    ),
    **_names("unbind.int unbind_copy.int", _unbind),
    **_names("cat.default concat.default concatenate.default", _concat),
    "aten.stack.default": _stack,
    "aten.hstack.default": _joined(b.hstack),
    "aten.vstack.default": _joined(b.vstack),
    "aten.dstack.default": _joined(b.dstack),
    "aten.column_stack.default": _joined(b.column_stack),
    "aten.flip.default": _flip,
    "aten.fliplr.default": _flip_one(1),
    "aten.flipud.default": _flip_one(0),
    "aten.roll.default": _roll,
    "aten.repeat.default": _repeat,
    "aten.tile.default": _repeat,
    "aten.repeat_interleave.self_int": _repeat_interleave,
    **_names("as_strided.default as_strided_copy.default", _as_strided),
    **_names("unfold.default unfold_copy.default", _unfold),
    "aten.pixel_shuffle.default": _pixel_shuffle,
    "aten.pixel_unshuffle.default": _pixel_unshuffle,
    **_names(
        "channel_shuffle.default native_channel_shuffle.default", _channel_shuffle
    ),
    **_names("meshgrid.default meshgrid.indexing", _meshgrid),
    **_names(
        "diagonal.default diagonal_copy.default linalg_diagonal.default", _diagonal
    ),
    "aten.diag.default": _diag,
    "aten.trace.default": _trace,
    "aten.constant_pad_nd.default": _constant_pad,
    "aten.pad.default": _pad,
    **_names(
        "reflection_pad1d.default reflection_pad2d.default reflection_pad3d.default",
        _padded("reflect"),
    ),
    **_names(
        "replication_pad1d.default replication_pad2d.default replication_pad3d.default",
        _padded("edge"),
    ),
    "aten.cartesian_prod.default": _cartesian,
    "aten.block_diag.default": _block_diag,
}
