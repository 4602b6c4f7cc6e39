"""Functions that rearrange axes and elements: reshape, transpose, broadcast, concat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ix.errors import InputError
from ix.importer.builder.values import (
    all_same,
    as_value,
    broadcast_shapes,
    dtype,
    emit,
    index_list,
    normalize_axes,
    normalize_axis,
    rank,
    shape,
    size,
    tensor_type,
)
from ix.importer.dims import ceil_divide, is_size, product, same

__all__ = [
    "broadcast_arrays",
    "broadcast_to",
    "expand",
    "expand_dims",
    "flatten",
    "flip",
    "matrix_transpose",
    "moveaxis",
    "ravel",
    "reshape",
    "rollaxis",
    "slice",
    "slice_axis",
    "squeeze",
    "swapaxes",
    "transpose",
    "unsqueeze",
]


def sizes_of(shape_like: Any) -> list[Any]:
    """A shape argument, one size or several, as a list of ints and `DimExpr`s."""
    if is_size(shape_like):
        return [shape_like]
    return list(shape_like)


def reshape(x: Any, *new_shape: Any) -> Any:
    """The elements in row-major order under another shape; one size may be −1.

    Args:
        new_shape: Sizes, or one sequence of them; ints or `DimExpr`s.

    Raises:
        InputError: The numbers of elements differ.
    """
    value = as_value(x)
    wanted = sizes_of(new_shape[0] if len(new_shape) == 1 else new_shape)
    old = shape(value)
    wanted = _resolved(old, wanted)
    if all_same(old, wanted):
        return value
    return emit("reshape", value, shape=index_list(wanted), like=wanted)


def _resolved(old: Sequence[Any], wanted: list[Any]) -> list[Any]:
    """The wanted sizes with −1 replaced, checked against the number of elements."""
    unknown = [axis for axis, each in enumerate(wanted) if same(each, -1)]
    total = product(old)
    if len(unknown) > 1:
        raise InputError(f"'reshape' needs at most one -1, but got {tuple(wanted)}")
    if unknown:
        rest = product(each for each in wanted if not same(each, -1))
        wanted = list(wanted)
        wanted[unknown[0]] = _quotient(old, wanted, total, rest)
    count = product(wanted)
    if isinstance(total, int) and isinstance(count, int) and total != count:
        raise InputError(
            f"'reshape' needs a shape of {total} elements, but {tuple(wanted)} has "
            f"{count}"
        )
    return wanted


def _quotient(old: Sequence[Any], wanted: list[Any], total: Any, rest: Any) -> Any:
    if isinstance(rest, int) and rest == 0:
        raise InputError(f"'reshape' cannot find the -1 of {tuple(wanted)} beside a 0")
    if isinstance(total, int) and isinstance(rest, int) and total % rest:
        raise InputError(
            f"'reshape' needs {total} elements to divide by {rest}, but a tensor of "
            f"shape {tuple(old)} does not fit {tuple(wanted)}"
        )
    return total // rest


def flatten(x: Any, start_axis: int = 0, end_axis: int = -1) -> Any:
    """Merges the axes from `start_axis` to `end_axis`, inclusive, into one."""
    sizes = list(shape(x))
    if not sizes:
        return reshape(x, [1])
    start = normalize_axis("flatten", start_axis, len(sizes))
    end = normalize_axis("flatten", end_axis, len(sizes))
    return reshape(
        x, [*sizes[:start], product(sizes[start : end + 1]), *sizes[end + 1 :]]
    )


def ravel(x: Any) -> Any:
    """One axis with all elements, in row-major order."""
    return reshape(x, [size(x)])


def squeeze(x: Any, axis: Any = None) -> Any:
    """Removes axes of size 1: the given ones, or every static one.

    Raises:
        InputError: A given axis has a static size other than 1.
    """
    sizes = shape(x)
    if axis is None:
        axes = [at for at, each in enumerate(sizes) if same(each, 1)]
    else:
        axes = normalize_axes("squeeze", axis, len(sizes))
    for at in axes:
        if isinstance(sizes[at], int) and sizes[at] != 1:
            raise InputError(
                f"'squeeze' needs size 1 on axis {at}, but it is {sizes[at]}"
            )
    return reshape(x, [each for at, each in enumerate(sizes) if at not in axes])


def expand_dims(x: Any, axis: Any) -> Any:
    """Inserts axes of size 1 at the given places of the result."""
    count = len(axis) if isinstance(axis, Sequence) else 1
    axes = normalize_axes("expand_dims", axis, rank(x) + count)
    sizes = iter(shape(x))
    return reshape(
        x, [1 if at in axes else next(sizes) for at in range(rank(x) + count)]
    )


unsqueeze = expand_dims


def transpose(x: Any, permutation: Sequence[int] | None = None) -> Any:
    """Permutes the axes; None reverses them.

    Raises:
        InputError: The permutation does not name every axis once.
    """
    value = as_value(x)
    count = rank(value)
    if permutation is None:
        axes = list(range(count))[::-1]
    else:
        axes = [normalize_axis("transpose", axis, count) for axis in permutation]
    if sorted(axes) != list(range(count)):
        raise InputError(
            f"'transpose' needs every axis of rank {count} once, but got {permutation}"
        )
    if axes == list(range(count)):
        return value
    sizes = shape(value)
    return emit(
        "transpose", value, permutation=axes, like=[sizes[axis] for axis in axes]
    )


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Exchanges two axes."""
    axes = list(range(rank(x)))
    a = normalize_axis("swapaxes", axis1, len(axes))
    b = normalize_axis("swapaxes", axis2, len(axes))
    axes[a], axes[b] = axes[b], axes[a]
    return transpose(x, axes)


def matrix_transpose(x: Any) -> Any:
    """Exchanges the last two axes."""
    return swapaxes(x, -1, -2)


def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """Moves axes to other places; the others keep their order."""
    count = rank(x)
    sources = source if isinstance(source, Sequence) else [source]
    targets = destination if isinstance(destination, Sequence) else [destination]
    if len(sources) != len(targets):
        raise InputError(
            f"'moveaxis' needs as many destinations as sources, but got {targets} "
            f"for {sources}"
        )
    moved = [normalize_axis("moveaxis", axis, count) for axis in sources]
    places = [normalize_axis("moveaxis", axis, count) for axis in targets]
    order = [axis for axis in range(count) if axis not in moved]
    for place, axis in sorted(zip(places, moved, strict=True)):
        order.insert(place, axis)
    return transpose(x, order)


def rollaxis(x: Any, axis: int, start: int = 0) -> Any:
    """Moves an axis before the one at `start`."""
    count = rank(x)
    axis = normalize_axis("rollaxis", axis, count)
    start = start + count if start < 0 else start
    return moveaxis(x, axis, start - 1 if axis < start else start)


def broadcast_to(x: Any, new_shape: Any) -> Any:
    """Stretches axes of size 1, and new leading axes, to the given sizes.

    Raises:
        InputError: The shape of x does not stretch to it.
    """
    value = as_value(x)
    wanted = tuple(sizes_of(new_shape))
    result = broadcast_shapes("broadcast_to", shape(value), wanted)
    if not all_same(result, wanted):
        raise InputError(
            f"'broadcast_to' needs a shape that stretches to {wanted}, but it is "
            f"{shape(value)}"
        )
    if all_same(shape(value), wanted):
        return value
    return emit("broadcast", value, shape=index_list(wanted), like=wanted)


def expand(x: Any, new_shape: Any) -> Any:
    """`broadcast_to` where a −1 (torch), or a 1 (ONNX), keeps the size of x."""
    wanted = sizes_of(new_shape)
    lead = len(wanted) - rank(x)
    kept = [
        1
        if same(each, -1) and at < lead
        else shape(x)[at - lead]
        if same(each, -1)
        else each
        for at, each in enumerate(wanted)
    ]
    return broadcast_to(x, broadcast_shapes("expand", shape(x), kept))


def broadcast_arrays(*arrays: Any) -> list[Any]:
    """All arrays stretched to the shape that they broadcast to."""
    wanted = broadcast_shapes("broadcast_arrays", *(shape(each) for each in arrays))
    return [broadcast_to(each, wanted) for each in arrays]


def slice_axis(x: Any, axis: int, start: Any, limit: Any, stride: int = 1) -> Any:
    """x[…, start:limit:stride, …] with bounds inside of the axis; stride ≥ 1."""
    starts: list[Any] = [0] * rank(x)
    limits = list(shape(x))
    strides = [1] * rank(x)
    starts[axis], limits[axis], strides[axis] = start, limit, stride
    return slice(x, starts, limits, strides)


def slice(
    x: Any, starts: Sequence[Any], limits: Sequence[Any], strides: Sequence[int]
) -> Any:
    """x[s0:l0:k0, s1:l1:k1, …] with 0 ≤ start ≤ limit ≤ size and stride ≥ 1.

    Bounds are ints or `DimExpr`s; an axis whose result has a static size gets it.
    """
    value = as_value(x)
    old = shape(value)
    wanted = [
        ceil_divide(limit - start, stride)
        for start, limit, stride in zip(starts, limits, strides, strict=True)
    ]
    if all_same(old, wanted):
        return value
    return emit(
        "slice",
        value,
        starts=index_list(starts),
        limits=index_list(limits),
        strides=list(strides),
        result=tensor_type(wanted, dtype(value)),
        like=wanted,
    )


def flip(x: Any, axis: Any = None) -> Any:
    """Reverses axes; None reverses all."""
    value = as_value(x)
    axes = normalize_axes("flip", axis, rank(value))
    return emit("flip", value, axes=axes, like=shape(value)) if axes else value
