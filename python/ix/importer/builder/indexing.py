"""Basic and advanced indexing, gathers and scatters."""

from __future__ import annotations

import builtins
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ix.errors import InputError
from ix.importer import promotion
from ix.importer.builder import movement
from ix.importer.builder.joining import stack
from ix.importer.builder.movement import (
    broadcast_to,
    reshape,
    transpose,
)
from ix.importer.builder.values import (
    as_value,
    broadcast_shapes,
    dtype,
    emit,
    is_constant,
    normalize_axis,
    rank,
    shape,
)
from ix.importer.dims import DimExpr, ceil_divide, is_size, maximum, minimum
from ix.importer.promotion import BOOL
from ix.mlir import ir

__all__ = ["embedding", "gather", "gather_nd", "getitem", "take", "take_along_axis"]


@dataclass
class BasicIndex:
    """The basic part of an index, one entry for each axis of the input.

    starts, limits, strides select; `flipped` axes were given a negative step; axes in
    `dropped` had an int; `inserted` are the places of None in what remains.
    """

    starts: list[Any]
    limits: list[Any]
    strides: list[int]
    flipped: list[int]
    dropped: list[int]


def getitem(x: Any, index: Any) -> Any:
    """x[index] with ints, slices, None, Ellipsis, integer arrays and constant masks.

    Raises:
        InputError: Too many indices, one outside of its axis, or a mask that is
            computed (the size of its result depends on data).
    """
    value = as_value(x)
    entries = expand_index(index, rank(value))
    arrays = [at for at, each in enumerate(entries) if is_array(each)]
    if arrays:  # NumPy: next to an array, an int is an index array too
        arrays = [at for at, each in enumerate(entries) if _is_advanced(each)]
    basic = [
        builtins.slice(None) if at in arrays else each
        for at, each in enumerate(entries)
    ]
    value = _basic(value, basic)
    if not arrays:
        return value
    # `_basic` removed the axes of ints and added those of None.
    kept = [at for at, each in enumerate(basic) if not is_size(each)]
    axes = [kept.index(at) for at in arrays]
    contiguous = axes == list(range(axes[0], axes[0] + len(axes))) and arrays == list(
        range(arrays[0], arrays[0] + len(arrays))
    )
    return _advanced(value, axes, [entries[at] for at in arrays], contiguous)


def expand_index(index: Any, count: int) -> list[Any]:
    """The index as a list: Ellipsis and missing axes become full slices, constant
    masks the integer arrays of their true places.

    Raises:
        InputError: Too many indices, or a computed mask.
    """
    entries = list(index) if isinstance(index, tuple) else [index]
    flat: list[Any] = []
    for each in entries:
        flat.extend(_integers_of_mask(each))
    used = sum(each is not None and each is not Ellipsis for each in flat)
    if used > count:
        raise InputError(
            f"'getitem' needs at most {count} indices for a tensor of rank {count}, "
            f"but got {used}"
        )
    full = [builtins.slice(None)] * (count - used)
    for at, each in enumerate(flat):
        if each is Ellipsis:
            return flat[:at] + full + flat[at + 1 :]
    return flat + full


def _integers_of_mask(entry: Any) -> list[Any]:
    if isinstance(entry, bool | np.bool_):
        raise InputError("'getitem' needs indices other than a bool; use np.where")
    if isinstance(entry, list):
        entry = np.asarray(entry)
    if isinstance(entry, np.ndarray) and entry.dtype == np.bool_:
        return list(np.nonzero(entry))
    if isinstance(entry, ir.Value) and dtype(entry) == BOOL:
        raise InputError(
            "'getitem' needs an index whose result has a known size, but a computed "
            "mask selects a number of elements that depends on data; use np.where("
            "mask, x, 0), or multiply by the mask"
        )
    return [entry]


def is_array(entry: Any) -> bool:
    """Whether an index entry is an integer array, constant or computed."""
    if isinstance(entry, np.ndarray):
        return True
    return isinstance(entry, ir.Value)


def _is_advanced(entry: Any) -> bool:
    return is_array(entry) or is_size(entry)


def _basic(value: Any, entries: Sequence[Any]) -> Any:
    """Applies ints, slices and Nones (arrays were replaced by full slices)."""
    plan = basic_index([each for each in entries if each is not None], shape(value))
    result = movement.slice(value, plan.starts, plan.limits, plan.strides)
    if plan.flipped:
        result = movement.flip(result, plan.flipped)
    if not plan.dropped and None not in entries:
        return result
    sizes = iter(shape(result))
    kept: list[Any] = []
    for each in entries:
        if each is None:
            kept.append(1)
            continue
        amount = next(sizes)
        if not is_size(each):
            kept.append(amount)
    return reshape(result, kept)


def basic_index(entries: Sequence[Any], sizes: Sequence[Any]) -> BasicIndex:
    """The bounds that ints and slices select, inside of their axes."""
    plan = BasicIndex([], [], [], [], [])
    for axis, (entry, amount) in enumerate(zip(entries, sizes, strict=True)):
        if isinstance(entry, builtins.slice):
            start, limit, step = slice_bounds(entry, amount)
            if step < 0:
                plan.flipped.append(axis)
        else:
            start = _position(entry, axis, amount)
            limit, step = start + 1, 1
            plan.dropped.append(axis)
        plan.starts.append(start)
        plan.limits.append(limit)
        plan.strides.append(abs(step))
    return plan


def _position(entry: Any, axis: int, amount: Any) -> Any:
    if not isinstance(entry, DimExpr):
        entry = operator.index(entry)
        if isinstance(amount, int) and not -amount <= entry < amount:
            raise InputError(
                f"'getitem' needs an index in [{-amount}, {amount}) on axis {axis}, "
                f"but got {entry}"
            )
        return entry + amount if entry < 0 else entry
    return entry


def slice_bounds(entry: Any, amount: Any) -> tuple[Any, Any, int]:
    """start, limit and step of a Python slice on an axis of `amount` elements.

    For a negative step the bounds are those of the same elements in rising order, so
    that slicing with |step| and then flipping gives them.
    """
    step = 1 if entry.step is None else operator.index(entry.step)
    if step == 0:
        raise InputError("'getitem' needs a slice step other than 0")
    if step > 0:
        start = 0 if entry.start is None else _clamped(entry.start, 0, amount)
        limit = amount if entry.stop is None else _clamped(entry.stop, 0, amount)
        return start, maximum(start, limit), step
    # x[start:stop:-k] takes start, start − k, … > stop.
    first = amount - 1 if entry.start is None else _clamped(entry.start, -1, amount)
    first = minimum(first, amount - 1)
    last = -1 if entry.stop is None else _clamped(entry.stop, -1, amount)
    count = ceil_divide(maximum(first - last, 0), -step)
    if isinstance(count, int) and count == 0:
        return 0, 0, step
    lowest = first - (count - 1) * -step
    return lowest, first + 1, step


def _clamped(bound: Any, low: int, amount: Any) -> Any:
    if not isinstance(bound, DimExpr):
        bound = operator.index(bound)
        if bound < 0:
            bound = amount + bound
    return minimum(maximum(bound, low), amount)


def _advanced(
    value: Any, axes: Sequence[int], arrays: Sequence[Any], contiguous: bool
) -> Any:
    """Indexes `axes` by integer arrays that broadcast against each other."""
    if len(axes) == 1:
        return take(value, arrays[0], axes[0])
    count = rank(value)
    others = [at for at in range(count) if at not in axes]
    front = transpose(value, [*axes, *others])
    indices = index_tuples(arrays, [shape(value)[axis] for axis in axes])
    result = gather_nd(front, indices)
    width = rank(indices) - 1
    if not contiguous:
        return result
    before = axes[0]
    order = [
        *range(width, width + before),
        *range(width),
        *range(width + before, rank(result)),
    ]
    return transpose(result, order)


def index_tuples(arrays: Sequence[Any], sizes: Sequence[Any]) -> Any:
    """Broadcast index arrays stacked on a last axis."""
    checked = [checked_indices(*pair) for pair in zip(arrays, sizes, strict=True)]
    if all(is_constant(each) for each in checked):
        try:
            return np.stack(np.broadcast_arrays(*checked), -1)
        except ValueError:
            pass  # the builder names the shapes
    common = broadcast_shapes("getitem", *(shape(each) for each in checked))
    return stack([broadcast_to(each, common) for each in checked], -1)


def checked_indices(indices: Any, amount: Any) -> Any:
    """Indices as the ops take them: a negative one counts from the end.

    Constant ones are made positive where the axis is static, so that one program has
    one form.

    Raises:
        InputError: A constant index lies outside of the axis, or is no integer.
    """
    if not is_constant(indices):
        value = as_value(indices)
        if not promotion.is_integer(dtype(value)):
            raise InputError(
                f"an index needs integers, but its dtype is {dtype(value)}"
            )
        return value
    array = np.asarray(indices)
    if array.size == 0:
        array = array.astype(np.int64)
    if not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"an index needs integers, but its dtype is {array.dtype}")
    array = array.astype(np.int64)
    if isinstance(amount, DimExpr):
        return array
    if ((array < -amount) | (array >= amount)).any():
        raise InputError(
            f"an index needs to lie in [{-amount}, {amount}), but the indices "
            f"reach from {array.min()} to {array.max()}"
        )
    return np.where(array < 0, array + amount, array)


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Slices along an axis at integer indices (negative: from the end); None flattens.

    A computed index outside of the axis gives an unspecified element.
    """
    value = as_value(x)
    if axis is None:
        value, axis = movement.ravel(value), 0
    at = normalize_axis("take", axis, rank(value))
    places = checked_indices(indices, shape(value)[at])
    if is_constant(places) and places.ndim == 0:
        only = int(places)
        only = only if only >= 0 else shape(value)[at] + only
        result = movement.slice_axis(value, at, only, only + 1)
        return movement.squeeze(result, at)
    places = as_value(places)
    sizes = shape(value)
    like = [*sizes[:at], *shape(places), *sizes[at + 1 :]]
    return emit("gather", value, places, axis=at, like=like)


gather = take


def embedding(indices: Any, table: Any) -> Any:
    """Rows of a table[v, d] at integer indices."""
    rows, places = as_value(table), as_value(indices)
    like = [*shape(places), *shape(rows)[1:]]
    return emit("gather", rows, places, axis=0, like=like)


def take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Any:
    """One element along an axis for each index; other axes broadcast."""
    value = as_value(x)
    if axis is None:
        value, axis = movement.ravel(value), 0
    at = normalize_axis("take_along_axis", axis, rank(value))
    places = as_value(checked_indices(indices, shape(value)[at]))
    source, taken = list(shape(value)), list(shape(places))
    along, source[at], taken[at] = taken[at], 1, 1
    like = list(broadcast_shapes("take_along_axis", source, taken))
    like[at] = along
    return emit("take_along_axis", value, places, axis=at, like=like)


def gather_nd(x: Any, indices: Any, batch_dims: int = 0) -> Any:
    """result[b, i, …] = x[b, *indices[b, i, :], …]; negative: from the end."""
    value, places = as_value(x), as_value(indices)
    length = shape(places)[-1]
    like = [*shape(places)[:-1], *shape(value)[batch_dims + length :]]
    return emit("gather_nd", value, places, batch_dims=batch_dims, like=like)
