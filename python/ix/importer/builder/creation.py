"""Tensors made from sizes, and masks made from positions."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ix.errors import InputError
from ix.importer import promotion
from ix.importer.builder import elementwise as e
from ix.importer.builder.movement import broadcast_to, expand_dims, sizes_of
from ix.importer.builder.values import (
    as_value,
    cast,
    dtype,
    emit,
    index_list,
    normalize_axis,
    promoted,
    rank,
    shape,
    size_value,
)
from ix.importer.dims import DimExpr, ceil_divide
from ix.importer.promotion import BOOL, FLOAT32, INT64

__all__ = [
    "arange",
    "diag",
    "diagonal",
    "eye",
    "full",
    "full_like",
    "iota",
    "linspace",
    "meshgrid",
    "one_hot",
    "ones",
    "ones_like",
    "pad",
    "shape_tensor",
    "trace",
    "tri",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]


def full(new_shape: Any, value: Any, dtype: Any = None) -> Any:
    """A tensor of one value; its dtype is the value's unless given."""
    return broadcast_to(as_value(value, dtype), sizes_of(new_shape))


def zeros(new_shape: Any, dtype: Any = np.float64) -> Any:
    """A tensor of zeros."""
    return full(new_shape, np.zeros((), dtype))


def ones(new_shape: Any, dtype: Any = np.float64) -> Any:
    """A tensor of ones."""
    return full(new_shape, np.ones((), dtype))


def full_like(x: Any, value: Any, dtype: Any = None, shape: Any = None) -> Any:
    """`full` with the shape and dtype of x, unless given."""
    sizes = _shape_of(x) if shape is None else shape
    return full(sizes, value, _dtype_of(x) if dtype is None else dtype)


def zeros_like(x: Any, dtype: Any = None, shape: Any = None) -> Any:
    """Zeros with the shape and dtype of x, unless given."""
    return full_like(x, 0, dtype, shape)


def ones_like(x: Any, dtype: Any = None, shape: Any = None) -> Any:
    """Ones with the shape and dtype of x, unless given."""
    return full_like(x, 1, dtype, shape)


def _shape_of(x: Any) -> Any:
    return shape(x)


def _dtype_of(x: Any) -> Any:
    return dtype(x)


def iota(new_shape: Any, axis: int = 0, dtype: Any = np.int64) -> Any:
    """The index along `axis` at every element."""
    sizes = sizes_of(new_shape)
    at = normalize_axis("iota", axis, len(sizes))
    kind = promotion.canonical_dtype(dtype)
    return emit("iota", index_list(sizes), kind, axis=at, like=sizes)


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    """start, start + step, … below stop; bounds may be sizes.

    Static bounds give a constant.

    Raises:
        InputError: A bound is computed from data.
    """
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    numbers: tuple[Any, ...] = (start, stop, step)
    if not builtins.any(isinstance(each, DimExpr) for each in numbers):
        if not builtins.all(
            isinstance(each, int | float | np.number) for each in numbers
        ):
            raise InputError(
                "'arange' needs bounds that are numbers or sizes, but one is computed "
                "from data"
            )
        return as_value(np.arange(*numbers, dtype=dtype))
    if not isinstance(step, int) or step < 1:
        raise InputError(
            f"'arange' up to a dynamic size needs an int step ≥ 1, but got {step}"
        )
    count = ceil_divide(stop - start, step)
    result = iota([count], 0, INT64)
    if step != 1:
        result = e.mul(result, step)
    if isinstance(start, DimExpr) or start != 0:
        result = e.add(result, start)
    return cast(result, INT64 if dtype is None else dtype)


def linspace(
    start: Any, stop: Any, count: int = 50, endpoint: bool = True, dtype: Any = None
) -> Any:
    """`count` evenly spaced numbers from start to stop, along a new first axis."""
    gaps = count - 1 if endpoint else count
    (first, last, _), _ = promoted("linspace", start, stop, 1.0)
    width = builtins.max(rank(first), rank(last))
    places = np.arange(count) / builtins.max(gaps, 1)
    places = places.reshape([count] + [1] * width).astype(_dtype_of(first))
    result = e.add(e.mul(e.sub(last, first), places), first)
    return result if dtype is None else cast(result, dtype)


def eye(rows: Any, columns: Any = None, k: int = 0, dtype: Any = np.float64) -> Any:
    """Ones on the k-th diagonal."""
    columns = rows if columns is None else columns
    return cast(_diagonal_mask(rows, columns, k, e.eq), dtype)


def _diagonal_mask(
    rows: Any, columns: Any, k: Any, compare: Callable[[Any, Any], Any]
) -> Any:
    """compare(column, row + k), bool[rows, columns]; a constant where sizes are."""
    sizes = (rows, columns, k)
    if builtins.all(isinstance(each, int | np.integer) for each in sizes):
        answer = getattr(np, _NUMPY_NAMES[compare.__name__])(
            np.arange(columns)[None, :], np.arange(rows)[:, None] + k
        )
        return as_value(answer)
    row = e.add(expand_dims(arange(rows), 1), k)
    return compare(expand_dims(arange(columns), 0), row)


_NUMPY_NAMES = {"eq": "equal", "le": "less_equal", "ge": "greater_equal"}


def tri(rows: Any, columns: Any = None, k: int = 0, dtype: Any = np.float64) -> Any:
    """Ones on and below the k-th diagonal."""
    columns = rows if columns is None else columns
    return cast(_diagonal_mask(rows, columns, k, e.le), dtype)


def tril(x: Any, k: Any = 0) -> Any:
    """x on and below the k-th diagonal of the last two axes, else 0."""
    return _triangle(x, k, e.le)


def triu(x: Any, k: Any = 0) -> Any:
    """x on and above the k-th diagonal of the last two axes, else 0."""
    return _triangle(x, k, e.ge)


def _triangle(x: Any, k: Any, compare: Callable[[Any, Any], Any]) -> Any:
    value = as_value(x)
    if rank(value) == 1:
        value = broadcast_to(value, [*shape(value), *shape(value)])
    rows, columns = shape(value)[-2:]
    mask = _diagonal_mask(rows, columns, k, compare)
    zero = np.zeros((), dtype(value))
    if dtype(value) == BOOL:
        return e.logical_and(mask, value)
    return e.select(mask, value, zero)


def diag(x: Any, k: int = 0) -> Any:
    """A vector on the k-th diagonal of a matrix, or that diagonal of a matrix."""
    value = as_value(x)
    if rank(value) == 2:
        return diagonal(value, k)
    (count,) = shape(value)
    low, high = builtins.max(-k, 0), builtins.max(k, 0)
    rows = expand_dims(value, 1)
    zero = np.zeros((), dtype(value))
    square = e.select(_diagonal_mask(count, count, 0, e.eq), rows, zero)
    return pad(square, [(low, high), (high, low)]) if k else square


def diagonal(x: Any, k: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The k-th diagonal over two axes, as the last axis of the result."""
    from ix.importer.builder.indexing import getitem
    from ix.importer.builder.movement import moveaxis

    value = moveaxis(as_value(x), (axis1, axis2), (-2, -1))
    rows, columns = shape(value)[-2:]
    if isinstance(rows, DimExpr) or isinstance(columns, DimExpr):
        raise InputError("'diagonal' needs static sizes on its two axes")
    low, high = builtins.max(-k, 0), builtins.max(k, 0)
    count = builtins.max(builtins.min(rows - low, columns - high), 0)
    places = np.arange(count)
    return getitem(value, (..., places + low, places + high))


def trace(x: Any, k: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of the k-th diagonal."""
    from ix.importer.builder.reduction import sum

    return sum(diagonal(x, k, axis1, axis2), -1)


def meshgrid(*vectors: Any, indexing: str = "xy") -> list[Any]:
    """Each vector along an axis of its own, stretched to the common grid."""
    count = len(vectors)
    order = list(range(count))
    if indexing == "xy" and count > 1:
        order[0], order[1] = 1, 0
    sizes: list[Any] = [None] * count
    for vector, axis in zip(vectors, order, strict=True):
        sizes[axis] = shape(vector)[0] if rank(vector) else 1
    results = []
    for vector, axis in zip(vectors, order, strict=True):
        flat = vector if rank(vector) else expand_dims(vector, 0)
        others = [at for at in range(count) if at != axis]
        grid = expand_dims(flat, others) if others else as_value(flat)
        results.append(broadcast_to(grid, sizes))
    return results


def one_hot(
    indices: Any,
    depth: int,
    axis: int = -1,
    on: Any = 1.0,
    off: Any = 0.0,
    dtype: Any = FLOAT32,
) -> Any:
    """`on` at each index along a new axis of size `depth`, `off` elsewhere.

    Negative indices count from the end; others outside of the axis give `off` alone.
    """
    value = as_value(indices)
    at = normalize_axis("one_hot", axis, rank(value) + 1)
    wrapped = e.select(e.lt(value, 0), e.add(value, depth), value)
    sizes = [1] * (rank(value) + 1)
    sizes[at] = depth
    hit = e.eq(expand_dims(wrapped, at), np.arange(depth).reshape(sizes))
    return e.select(hit, as_value(on, dtype), as_value(off, dtype))


_PAD_MODES = ("constant", "reflect", "edge", "wrap")


def pad(
    x: Any,
    widths: Any,
    mode: str = "constant",
    value: Any = 0,
) -> Any:
    """Adds elements around the axes, as `numpy.pad`; negative widths crop.

    Args:
        widths: (low, high) for each axis, one pair for all, or one number.
        mode: constant, reflect, edge or wrap.

    Raises:
        InputError: Another mode, or widths that do not fit.
    """
    if mode not in _PAD_MODES:
        raise InputError(f"'pad' needs a mode of {_PAD_MODES}, but got {mode!r}")
    tensor = as_value(x)
    pairs = np.broadcast_to(np.asarray(widths), (rank(tensor), 2)).tolist()
    tensor, pairs = _cropped(tensor, pairs)
    low, high = [a for a, _ in pairs], [b for _, b in pairs]
    if not builtins.any(low + high):
        return tensor
    return emit(
        "pad",
        tensor,
        as_value(value, dtype(tensor)),
        low=low,
        high=high,
        mode=mode,
        like=[
            a + each + b for a, each, b in zip(low, shape(tensor), high, strict=True)
        ],
    )


def _cropped(tensor: Any, pairs: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    from ix.importer.builder.movement import slice_axis

    kept = []
    for axis, (low, high) in enumerate(pairs):
        amount = shape(tensor)[axis]
        if low < 0 or high < 0:
            start, limit = builtins.max(-low, 0), amount - builtins.max(-high, 0)
            tensor = slice_axis(tensor, axis, start, limit)
        kept.append((builtins.max(low, 0), builtins.max(high, 0)))
    return tensor, kept


def shape_tensor(x: Any, dtype: Any = np.int64) -> Any:
    """The sizes of x as a vector."""
    from ix.importer.builder.joining import stack

    sizes = shape(x)
    if builtins.all(isinstance(each, int) for each in sizes):
        return as_value(np.asarray(sizes, dtype))
    return stack([size_value(each, dtype) for each in sizes])
