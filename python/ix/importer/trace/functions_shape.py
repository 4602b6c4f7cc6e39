"""NumPy functions that create, rearrange, join and cut arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ix.errors import InputError
from ix.importer import builder as b
from ix.importer.builder.values import normalize_axes
from ix.importer.dims import DimExpr


def _in_c_order(name: str, order: Any) -> None:
    if order not in ("C", "K", "A", None):
        raise InputError(
            f"np.{name} needs order='C', but got {order!r}; transpose first"
        )


def _reshape(a: Any, shape: Any, order: Any = "C", *, copy: Any = None) -> Any:
    _in_c_order("reshape", order)
    return b.reshape(a, shape)


def _ravel(a: Any, order: Any = "C") -> Any:
    _in_c_order("ravel", order)
    return b.ravel(a)


def _copy(a: Any, order: Any = "K", subok: bool = False) -> Any:
    return b.as_value(a)


def _concatenate(
    arrays: Sequence[Any], /, axis: Any = 0, *, dtype: Any = None, casting: Any = None
) -> Any:
    result = b.concat(_rows(arrays), axis)
    return result if dtype is None else b.cast(result, dtype)


def _rows(arrays: Any) -> list[Any]:
    """A sequence of arrays; an array stands for its rows."""
    if isinstance(arrays, list | tuple):
        return list(arrays)
    return [b.getitem(arrays, row) for row in range(b.size(arrays, 0))]


def _stack(
    arrays: Any, axis: int = 0, *, dtype: Any = None, casting: Any = None
) -> Any:
    result = b.stack(_rows(arrays), axis)
    return result if dtype is None else b.cast(result, dtype)


def _joined(function: Callable[[Sequence[Any]], Any]) -> Callable[..., Any]:
    def rule(tup: Any, *, dtype: Any = None, casting: Any = None) -> Any:
        result = function(_rows(tup))
        return result if dtype is None else b.cast(result, dtype)

    return rule


def _atleast(wanted: int) -> Callable[..., Any]:
    def rule(*arrays: Any) -> Any:
        results = tuple(b.at_least(each, wanted) for each in arrays)
        return results[0] if len(results) == 1 else results

    return rule


def _append(arr: Any, values: Any, axis: Any = None) -> Any:
    return b.concat([arr, values], axis)


def _block(arrays: Any) -> Any:
    depth = _depth(arrays)
    return _join_blocks(arrays, depth, max(depth, _widest(arrays)))


def _depth(arrays: Any) -> int:
    return 1 + max(map(_depth, arrays)) if isinstance(arrays, list) else 0


def _widest(arrays: Any) -> int:
    if isinstance(arrays, list):
        return max(map(_widest, arrays))
    return b.rank(arrays)


def _join_blocks(arrays: Any, depth: int, rank: int) -> Any:
    if depth == 0:
        missing = rank - b.rank(arrays)
        return b.reshape(arrays, [1] * missing + list(b.shape(arrays)))
    return b.concat([_join_blocks(each, depth - 1, rank) for each in arrays], -depth)


def _unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    rows = b.moveaxis(x, axis, 0)
    return tuple(b.getitem(rows, row) for row in range(b.size(rows, 0)))


def _broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    return b.broadcast_to(array, shape)


def _broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    return tuple(b.broadcast_arrays(*args))


def _rot90(m: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Any:
    first, second = axes
    turns = k % 4
    if turns == 0:
        return b.as_value(m)
    if turns == 2:
        return b.flip(m, tuple(axes))
    if turns == 1:
        return b.swapaxes(b.flip(m, second), first, second)
    return b.flip(b.swapaxes(m, first, second), second)


def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    if isinstance(repeats, list | tuple | np.ndarray):
        counts = np.asarray(repeats)
        flat = b.ravel(a) if axis is None else a
        at = 0 if axis is None else axis
        if counts.size == 1:
            return b.repeat(flat, int(counts.reshape(())), at)
        return b.take(flat, np.repeat(np.arange(counts.size), counts), at)
    return b.repeat(a, repeats, axis)


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return b.diagonal(a, offset, axis1, axis2)


def _size(a: Any, axis: Any = None) -> Any:
    return b.size(a, axis)


def _split(function: Callable[..., Any]) -> Callable[..., Any]:
    def rule(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
        return function(ary, indices_or_sections, axis)

    return rule


def _split_axis(function: Callable[..., Any]) -> Callable[..., Any]:
    def rule(ary: Any, indices_or_sections: Any) -> Any:
        return function(ary, indices_or_sections)

    return rule


def _resize(a: Any, new_shape: Any) -> Any:
    sizes = [new_shape] if isinstance(new_shape, int) else list(new_shape)
    count, amount = int(np.prod(sizes)), b.size(a)
    if isinstance(amount, DimExpr):
        raise InputError("np.resize needs an array of static size; use np.tile")
    places = np.arange(count) % amount
    return b.reshape(b.take(b.ravel(a), places, 0), sizes)


def _sliding_window_view(
    x: Any,
    window_shape: Any,
    axis: Any = None,
    *,
    subok: bool = False,
    writeable: bool = False,
) -> Any:
    windows = [window_shape] if isinstance(window_shape, int) else list(window_shape)
    axes = normalize_axes("sliding_window_view", axis, b.rank(x))
    if len(axes) != len(windows):
        raise InputError(
            f"np.sliding_window_view needs one window size for each of {len(axes)} "
            f"axes, but got {len(windows)}"
        )
    for at, width in zip(axes, windows, strict=True):
        count = b.size(x, at) - width + 1
        parts = [b.slice_axis(x, at, start, start + count) for start in range(width)]
        x = b.stack(parts, -1)
    return x


def _delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    flat, at = (b.ravel(arr), 0) if axis is None else (arr, axis)
    amount = b.size(flat, at)
    if isinstance(amount, DimExpr):
        raise InputError("np.delete needs an axis of static size; use slices")
    return b.take(flat, np.delete(np.arange(amount), obj), at)


def _insert(arr: Any, obj: int, values: Any, axis: Any = None) -> Any:
    flat, at = (b.ravel(arr), 0) if axis is None else (b.as_value(arr), axis)
    amount = b.size(flat, at)
    sizes = list(b.shape(flat))
    sizes[at] = 1
    place = obj + amount if obj < 0 else obj
    row = b.broadcast_to(b.as_value(values, b.dtype(flat)), sizes)
    before, after = b.split_sizes(flat, [place, amount - place], at)
    return b.concat([before, row, after], at)


SHAPE: dict[Any, Callable[..., Any]] = {
    np.append: _append,
    np.array_split: _split(b.array_split),
    np.atleast_1d: _atleast(1),
    np.atleast_2d: _atleast(2),
    np.atleast_3d: _atleast(3),
    np.block: _block,
    np.broadcast_arrays: _broadcast_arrays,
    np.broadcast_to: _broadcast_to,
    np.column_stack: _joined(b.column_stack),
    np.concatenate: _concatenate,
    np.copy: _copy,
    np.delete: _delete,
    np.diagonal: _diagonal,
    np.dsplit: _split_axis(b.dsplit),
    np.dstack: _joined(b.dstack),
    np.expand_dims: lambda a, axis: b.expand_dims(a, axis),
    np.flip: lambda m, axis=None: b.flip(m, axis),
    np.fliplr: lambda m: b.flip(m, 1),
    np.flipud: lambda m: b.flip(m, 0),
    np.hsplit: _split_axis(b.hsplit),
    np.hstack: _joined(b.hstack),
    np.insert: _insert,
    np.moveaxis: lambda a, source, destination: b.moveaxis(a, source, destination),
    np.ndim: lambda a: b.rank(a),
    np.ravel: _ravel,
    np.repeat: _repeat,
    np.reshape: _reshape,
    np.resize: _resize,
    np.roll: lambda a, shift, axis=None: b.roll(a, shift, axis),
    np.rollaxis: lambda a, axis, start=0: b.rollaxis(a, axis, start),
    np.rot90: _rot90,
    np.shape: lambda a: b.shape(a),
    np.size: _size,
    np.split: _split(b.split),
    np.squeeze: lambda a, axis=None: b.squeeze(a, axis),
    np.stack: _stack,
    np.swapaxes: lambda a, axis1, axis2: b.swapaxes(a, axis1, axis2),
    np.tile: lambda A, reps: b.tile(A, reps),
    np.transpose: lambda a, axes=None: b.transpose(a, axes),
    np.vsplit: _split_axis(b.vsplit),
    np.lib.stride_tricks.sliding_window_view: _sliding_window_view,
    np.vstack: _joined(b.vstack),
}

# Names of the array API, which NumPy has since 2.0 and 2.1.
for _name, _rule in (
    ("matrix_transpose", lambda x: b.matrix_transpose(x)),
    ("permute_dims", SHAPE[np.transpose]),
    ("astype", lambda x, dtype, copy=True, device=None: b.cast(x, dtype)),
    ("unstack", _unstack),
):
    if hasattr(np, _name):
        SHAPE[getattr(np, _name)] = _rule
if hasattr(np.linalg, "matrix_transpose"):
    SHAPE[np.linalg.matrix_transpose] = lambda x: b.matrix_transpose(x)
    SHAPE[np.linalg.diagonal] = lambda x, offset=0: b.diagonal(x, offset, -2, -1)

VIEWS = {
    np.array_split,
    np.asanyarray,
    np.asarray,
    np.ascontiguousarray,
    np.atleast_1d,
    np.atleast_2d,
    np.atleast_3d,
    np.broadcast_arrays,
    np.broadcast_to,
    np.diagonal,
    np.dsplit,
    np.expand_dims,
    np.flip,
    np.fliplr,
    np.flipud,
    np.hsplit,
    np.moveaxis,
    np.ravel,
    np.reshape,
    np.rollaxis,
    np.rot90,
    np.split,
    np.squeeze,
    np.swapaxes,
    np.transpose,
    np.vsplit,
    *(
        getattr(np, name)
        for name in ("matrix_transpose", "permute_dims", "unstack")
        if hasattr(np, name)
    ),
}
"""Functions whose results share the memory of their first argument."""
