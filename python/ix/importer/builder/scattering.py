"""Functional updates: scatters, and x[index] = v as a new tensor."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.errors import InputError
from ix.importer.builder import movement
from ix.importer.builder.indexing import (
    BasicIndex,
    basic_index,
    checked_indices,
    expand_index,
    getitem,
    is_array,
)
from ix.importer.builder.joining import concat
from ix.importer.builder.movement import broadcast_to, expand_dims, reshape
from ix.importer.builder.values import (
    as_value,
    dtype,
    emit,
    normalize_axis,
    rank,
    shape,
)
from ix.importer.dims import DimExpr, product
from ix.mlir import ir

__all__ = ["scatter", "scatter_nd", "setitem"]


def scatter(
    x: Any, indices: Any, updates: Any, axis: int = 0, reduction: str = "none"
) -> Any:
    """A copy of x with updates[…, i, …] at […, indices[…, i, …], …]."""
    value = as_value(x)
    at = normalize_axis("scatter", axis, rank(value))
    places = as_value(checked_indices(indices, shape(value)[at]))
    written = broadcast_to(as_value(updates, dtype(value)), shape(places))
    return emit(
        "scatter",
        value,
        places,
        written,
        axis=at,
        reduction=reduction,
        like=shape(value),
    )


def scatter_nd(x: Any, indices: Any, updates: Any, reduction: str = "none") -> Any:
    """A copy of x with updates[i, …] at indices[i, :]; negative: from the end."""
    value, places = as_value(x), as_value(indices)
    length = shape(places)[-1]
    sizes = [*shape(places)[:-1], *shape(value)[length:]]
    written = broadcast_to(as_value(updates, dtype(value)), sizes)
    return emit(
        "scatter_nd", value, places, written, reduction=reduction, like=shape(value)
    )


def setitem(x: Any, index: Any, update: Any) -> Any:
    """A copy of x with x[index] = update; the update broadcasts and takes x's dtype.

    Slices with a step, and integer arrays, write through `scatter_nd`; slices without
    one are put together by `concat`.
    """
    value = as_value(x)
    update = as_value(update, dtype(value))
    entries = expand_index(index, rank(value))
    if any(is_array(each) for each in entries) or _has_steps(entries):
        return _set_scattered(value, entries, update)
    axes = [each for each in entries if each is not None]
    plan = basic_index(axes, shape(value))
    seen = shape(getitem(value, tuple(entries)))
    region = [b - a for a, b in zip(plan.starts, plan.limits, strict=True)]
    update = reshape(_fitted(update, seen), region)
    return _set_region(value, plan, update, 0)


def _has_steps(entries: Sequence[Any]) -> bool:
    return any(
        isinstance(each, builtins.slice) and each.step not in (None, 1)
        for each in entries
    )


def _fitted(update: Any, sizes: Sequence[Any]) -> Any:
    """The update broadcast to the region; leading axes of size 1 go away first."""
    extra = rank(update) - len(sizes)
    if extra > 0 and all(each == 1 for each in shape(update)[:extra]):
        update = reshape(update, shape(update)[extra:])
    return broadcast_to(update, sizes)


def _set_region(value: Any, plan: BasicIndex, update: Any, axis: int) -> Any:
    """Replaces a box: before, the box itself (axis by axis), after."""
    if axis == rank(value):
        return update
    start, limit, amount = plan.starts[axis], plan.limits[axis], shape(value)[axis]
    inner = movement.slice_axis(value, axis, start, limit)
    parts = [
        movement.slice_axis(value, axis, 0, start),
        _set_region(inner, plan, update, axis + 1),
        movement.slice_axis(value, axis, limit, amount),
    ]
    kept = [each for each in parts if not _is_empty(shape(each)[axis])]
    return concat(kept or parts[:1], axis)


def _is_empty(amount: Any) -> bool:
    return isinstance(amount, int) and amount == 0


def _set_scattered(value: Any, entries: Sequence[Any], update: Any) -> Any:
    """Writes through the flat position of each indexed element."""
    sizes = shape(value)
    count = product(sizes)
    if isinstance(count, DimExpr):
        raise InputError(
            "'setitem' with a step or an index array needs a tensor of static size, "
            f"but it has shape {sizes}; use np.where with a mask"
        )
    places: Any = np.arange(count).reshape(sizes)
    if any(isinstance(each, ir.Value) for each in entries):
        positions = getitem(as_value(places), tuple(entries))
    else:
        positions = places[tuple(entries)]
    written = movement.ravel(_fitted(update, shape(positions)))
    places = movement.ravel(positions)
    flat = scatter_nd(movement.ravel(value), expand_dims(places, 1), written)
    return reshape(flat, sizes)
