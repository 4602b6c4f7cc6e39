"""Functions that join, cut and repeat: concat, stack, split, roll, tile."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ix.errors import InputError
from ix.importer.builder.movement import (
    broadcast_to,
    expand_dims,
    ravel,
    reshape,
    sizes_of,
    slice_axis,
)
from ix.importer.builder.values import (
    as_value,
    emit,
    normalize_axis,
    note_shape,
    promoted,
    rank,
    shape,
    size,
)
from ix.importer.dims import is_size, maximum, minimum, same

__all__ = [
    "array_split",
    "at_least",
    "column_stack",
    "concat",
    "dsplit",
    "dstack",
    "hsplit",
    "hstack",
    "repeat",
    "roll",
    "split",
    "split_sizes",
    "stack",
    "tile",
    "vsplit",
    "vstack",
]


def concat(arrays: Sequence[Any], axis: int | None = 0) -> Any:
    """Joins arrays along an axis; None flattens them first.

    Raises:
        InputError: No array, or ranks or other sizes differ.
    """
    if not arrays:
        raise InputError("'concat' needs at least one array, but got none")
    if axis is None:
        return concat([ravel(each) for each in arrays])
    values, _ = promoted("concat", *arrays)
    first = shape(values[0])
    at = normalize_axis("concat", axis, len(first))
    for value in values[1:]:
        _require_joinable(first, shape(value), at)
    if len(values) == 1:
        return values[0]
    sizes = list(first)
    sizes[at] = sum(shape(value)[at] for value in values)
    return emit("concat", values, axis=at, like=sizes)


def _require_joinable(first: Sequence[Any], other: Sequence[Any], axis: int) -> None:
    fits = len(first) == len(other) and all(
        a == b
        for at, (a, b) in enumerate(zip(first, other, strict=True))
        if at != axis and isinstance(a, int) and isinstance(b, int)
    )
    if not fits:
        raise InputError(
            f"'concat' needs shapes that are equal but for axis {axis}, but got "
            f"{tuple(first)} and {tuple(other)}"
        )


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """Joins arrays of one shape along a new axis."""
    if not arrays:
        raise InputError("'stack' needs at least one array, but got none")
    return concat([expand_dims(each, axis) for each in arrays], axis)


def at_least(x: Any, wanted: int) -> Any:
    """x with at least 1, 2 or 3 axes, placed as `numpy.atleast_<n>d` does."""
    value = as_value(x)
    count = rank(value)
    if count >= wanted:
        return value
    if wanted == 3 and count == 2:
        return expand_dims(value, 2)
    if wanted == 3 and count == 1:
        return reshape(value, [1, size(value), 1])
    return reshape(value, [1] * (wanted - count) + list(shape(value)))


def hstack(arrays: Sequence[Any]) -> Any:
    """Joins along axis 1, and vectors along axis 0."""
    arrays = [at_least(each, 1) for each in arrays]
    return concat(arrays, 0 if rank(arrays[0]) == 1 else 1)


def vstack(arrays: Sequence[Any]) -> Any:
    """Joins rows along axis 0."""
    return concat([at_least(each, 2) for each in arrays], 0)


def dstack(arrays: Sequence[Any]) -> Any:
    """Joins along axis 2."""
    return concat([at_least(each, 3) for each in arrays], 2)


def column_stack(arrays: Sequence[Any]) -> Any:
    """Joins vectors as the columns of a matrix."""
    return concat(
        [expand_dims(each, 1) if rank(each) == 1 else each for each in arrays], 1
    )


def split(x: Any, sections: Any, axis: int = 0) -> list[Any]:
    """Cuts an axis into equal sections (an int), or before the given indices.

    Raises:
        InputError: The axis does not divide into that many sections.
    """
    amount = shape(x)[normalize_axis("split", axis, rank(x))]
    if not isinstance(sections, Sequence) and not hasattr(sections, "ndim"):
        count = operator.index(sections)
        if isinstance(amount, int) and amount % count:
            raise InputError(
                f"'split' needs a size that {count} divides on axis {axis}, but it "
                f"is {amount}; use array_split"
            )
        return split_sizes(x, [amount // count] * count, axis)
    limits = [0, *(_within(each, amount) for each in sections), amount]
    pieces = [maximum(b - a, 0) for a, b in pairwise(limits)]
    return split_sizes(x, pieces, axis)


def _within(index: int, amount: Any) -> Any:
    index = operator.index(index)
    return minimum(maximum(index + amount if index < 0 else index, 0), amount)


def array_split(x: Any, sections: Any, axis: int = 0) -> list[Any]:
    """`split`, where the first sections may be one longer than the others."""
    if isinstance(sections, Sequence) or hasattr(sections, "ndim"):
        return split(x, sections, axis)
    amount, count = size(x, axis), operator.index(sections)
    base, longer = amount // count, operator.index(amount % count)
    return split_sizes(x, [base + (at < longer) for at in range(count)], axis)


def split_sizes(x: Any, sizes: Sequence[Any], axis: int = 0) -> list[Any]:
    """Cuts an axis into pieces of the given sizes."""
    value = as_value(x)
    at = normalize_axis("split", axis, rank(value))
    if len(sizes) == 1:
        return [value]
    known = (*sizes, shape(value)[at])
    if all(isinstance(each, int) and each > 0 for each in known):
        results = emit("split", value, axis=at, sizes=list(sizes))
        for result, each in zip(results, sizes, strict=True):
            note_shape(result, [*shape(value)[:at], each, *shape(value)[at + 1 :]])
        return list(results)
    pieces, start = [], 0
    for each in sizes:
        pieces.append(slice_axis(value, at, start, start + each))
        start = start + each
    return pieces


def hsplit(x: Any, sections: Any) -> list[Any]:
    """Splits axis 1, and a vector's axis 0."""
    return split(x, sections, 0 if rank(x) == 1 else 1)


def vsplit(x: Any, sections: Any) -> list[Any]:
    """Splits axis 0."""
    return split(x, sections, 0)


def dsplit(x: Any, sections: Any) -> list[Any]:
    """Splits axis 2."""
    return split(x, sections, 2)


def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """Moves elements along axes, around the end; None rolls the flattened array."""
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), shape(x))
    shifts = list(shift) if isinstance(shift, Sequence) else [shift]
    axes = list(axis) if isinstance(axis, Sequence) else [axis]
    if len(shifts) == 1:
        shifts *= len(axes)
    if len(axes) == 1:
        axes *= len(shifts)
    for each, at in zip(shifts, axes, strict=True):
        x = _roll_axis(x, each, normalize_axis("roll", at, rank(x)))
    return x


def _roll_axis(x: Any, shift: int, axis: int) -> Any:
    amount = shape(x)[axis]
    if same(amount, 0):
        return x
    back = (-shift) % amount
    if same(back, 0):
        return x
    return concat(
        [slice_axis(x, axis, back, amount), slice_axis(x, axis, 0, back)], axis
    )


def tile(x: Any, repeats: Any) -> Any:
    """Repeats the whole array along each axis; missing leading axes are added."""
    counts = sizes_of(repeats)
    value = as_value(x)
    lead = len(counts) - rank(value)
    if lead > 0:
        value = reshape(value, [1] * lead + list(shape(value)))
    counts = [1] * -lead + counts
    if all(same(each, 1) for each in counts):
        return value
    if all(isinstance(each, int) for each in counts):
        wanted = [a * b for a, b in zip(shape(value), counts, strict=True)]
        return emit("tile", value, repeats=counts, like=wanted)
    return _tile_dynamic(value, counts)


def _tile_dynamic(value: Any, counts: Sequence[Any]) -> Any:
    """Stretches a new axis before each one, then merges the pairs."""
    old = shape(value)
    pairs = list(zip(counts, old, strict=True))
    spread = reshape(value, [each for size in old for each in (1, size)])
    spread = broadcast_to(spread, [each for pair in pairs for each in pair])
    return reshape(spread, [count * size for count, size in pairs])


def repeat(x: Any, repeats: int, axis: int | None = None) -> Any:
    """Repeats each element along an axis; None flattens first.

    Raises:
        InputError: `repeats` is not one number.
    """
    if not is_size(repeats):
        raise InputError(
            f"'repeat' needs one number of repeats, but got {repeats!r:.60}; use take "
            "with explicit indices"
        )
    if axis is None:
        return repeat(ravel(x), repeats, 0)
    at = normalize_axis("repeat", axis, rank(x))
    old = list(shape(x))
    spread = expand_dims(x, at + 1)
    spread = broadcast_to(spread, [*old[: at + 1], repeats, *old[at + 1 :]])
    return reshape(spread, [*old[:at], old[at] * repeats, *old[at + 1 :]])
