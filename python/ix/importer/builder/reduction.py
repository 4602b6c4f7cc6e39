"""Reductions, extrema, running totals and sorting, with NumPy's result dtypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ix.errors import InputError
from ix.importer import promotion
from ix.importer.builder import elementwise as e
from ix.importer.builder.movement import ravel, reshape, slice_axis, squeeze
from ix.importer.builder.values import (
    as_value,
    cast,
    dtype,
    emit,
    normalize_axes,
    normalize_axis,
    note_shape,
    rank,
    shape,
    size_value,
)
from ix.importer.dims import DimExpr, minimum, product
from ix.importer.program import dtype_of
from ix.importer.promotion import BOOL, FLOAT32

__all__ = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "argsort",
    "average",
    "count_nonzero",
    "cumprod",
    "cumsum",
    "diff",
    "logsumexp",
    "mean",
    "median",
    "norm",
    "prod",
    "ptp",
    "quantile",
    "reduce_all",
    "reduce_any",
    "reduce_max",
    "reduce_mean",
    "reduce_min",
    "reduce_prod",
    "reduce_sum",
    "sort",
    "sort_with_indices",
    "std",
    "sum",
    "topk",
    "var",
]


def reduced(sizes: Sequence[Any], axes: Sequence[int], keepdims: bool) -> list[Any]:
    """The sizes without `axes`, or with 1 there."""
    if keepdims:
        return [1 if axis in axes else each for axis, each in enumerate(sizes)]
    return [each for axis, each in enumerate(sizes) if axis not in axes]


def _reduce(mnemonic: str, value: Any, axis: Any, keepdims: bool) -> Any:
    axes = normalize_axes(mnemonic, axis, rank(value))
    if not axes:
        return value
    like = reduced(shape(value), axes, keepdims)
    return emit(mnemonic, value, axes=axes, keepdims=bool(keepdims), like=like)


def sum(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """Σ x; narrow integers and bool sum in int64 unless `dtype` says otherwise."""
    value = _accumulated(x, dtype)
    return _reduce("reduce_sum", value, axis, keepdims)


def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """Π x; narrow integers and bool multiply in int64 unless `dtype` says otherwise."""
    value = _accumulated(x, dtype)
    return _reduce("reduce_prod", value, axis, keepdims)


def _accumulated(x: Any, wanted: Any) -> Any:
    value = as_value(x)
    target = promotion.sum_dtype(dtype(value)) if wanted is None else wanted
    return cast(value, target)


def mean(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The mean; of integers in float64."""
    return _reduce("reduce_mean", _floating(x, dtype), axis, keepdims)


def _floating(x: Any, wanted: Any) -> Any:
    value = as_value(x)
    target = promotion.mean_dtype(dtype(value)) if wanted is None else wanted
    return cast(value, target)


def amax(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The greatest element; NaN where there is one."""
    return _extremum("reduce_max", "reduce_any", x, axis, keepdims)


def amin(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The least element; NaN where there is one."""
    return _extremum("reduce_min", "reduce_all", x, axis, keepdims)


def _extremum(mnemonic: str, of_bool: str, x: Any, axis: Any, keepdims: bool) -> Any:
    value = as_value(x)
    name = of_bool if dtype(value) == BOOL else mnemonic
    return _reduce(name, value, axis, keepdims)


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether one element is nonzero."""
    return _reduce("reduce_any", e.truth(as_value(x)), axis, keepdims)


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether all elements are nonzero."""
    return _reduce("reduce_all", e.truth(as_value(x)), axis, keepdims)


def count_nonzero(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The number of nonzero elements, int64."""
    return sum(e.truth(as_value(x)), axis, keepdims)


def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The greatest element minus the least."""
    return e.sub(amax(x, axis, keepdims), amin(x, axis, keepdims))


def average(
    x: Any, axis: Any = None, weights: Any = None, keepdims: bool = False
) -> Any:
    """The mean, with weights of the shape of x or of its one axis."""
    if weights is None:
        return mean(x, axis, keepdims)
    if rank(weights) == 1 and rank(x) > 1:
        at = normalize_axis("average", axis, rank(x))
        sizes: list[Any] = [1] * rank(x)
        sizes[at] = shape(weights)[0]
        weights = reshape(weights, sizes)
    weighted = sum(e.mul(_floating(x, None), weights), axis, keepdims)
    total = sum(e.mul(e.add(e.mul(x, 0), 1), weights), axis, keepdims)
    return e.true_divide(weighted, total)


def var(
    x: Any,
    axis: Any = None,
    keepdims: bool = False,
    ddof: int = 0,
    dtype: Any = None,
) -> Any:
    """The mean squared distance from the mean, over n − ddof elements.

    float16 and bfloat16 compute in float32 and round once.
    """
    value = _floating(x, dtype)
    result = dtype_of(value)
    value_dtype = FLOAT32 if result.itemsize < FLOAT32.itemsize else result
    value = cast(value, value_dtype)
    axes = normalize_axes("var", axis, rank(value))
    squares = e.square(e.sub(value, mean(value, axes, keepdims=True)))
    if not ddof:
        return cast(mean(squares, axes, keepdims), result)
    count = product(shape(value)[at] for at in axes) - ddof
    total = sum(squares, axes, keepdims)
    if isinstance(count, DimExpr):
        divisor = size_value(count, value_dtype)
    else:
        divisor = float(count if count > 0 else 0)
    return cast(e.true_divide(total, divisor), result)


def std(
    x: Any,
    axis: Any = None,
    keepdims: bool = False,
    ddof: int = 0,
    dtype: Any = None,
) -> Any:
    """√var."""
    return e.sqrt(var(x, axis, keepdims, ddof, dtype))


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log Σ eˣ, without overflow; −∞ where every element is."""
    value = _floating(x, None)
    top = amax(value, axis, keepdims=True)
    safe = e.select(e.isfinite(top), top, 0.0)
    total = sum(e.exp(e.sub(value, safe)), axis, keepdims=True)
    result = e.add(e.log(total), safe)
    if keepdims:
        return result
    return squeeze(result, normalize_axes("logsumexp", axis, rank(value)))


def norm(x: Any, order: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The vector p-norm along an axis, or the Frobenius norm over several (or all).

    Raises:
        InputError: A matrix norm other than Frobenius.
    """
    value = _floating(x, None)
    axes = normalize_axes("norm", axis, rank(value))
    if len(axes) == 1 or (order in (None, "fro", 2) and axis is None):
        return _vector_norm(value, order, axes, keepdims)
    if order in (None, "fro"):
        return _vector_norm(value, 2, axes, keepdims)
    raise InputError(
        f"'norm' needs a vector norm or the Frobenius norm, but got {order!r} over "
        f"axes {axes}"
    )


def _vector_norm(value: Any, order: Any, axes: list[int], keepdims: bool) -> Any:
    if order in (None, 2, "fro"):
        return e.sqrt(sum(e.square(value), axes, keepdims))
    if order == float("inf"):
        return amax(e.abs(value), axes, keepdims)
    if order == float("-inf"):
        return amin(e.abs(value), axes, keepdims)
    if order == 0:
        return sum(cast(e.ne(value, 0), dtype(value)), axes, keepdims)
    if order == 1:
        return sum(e.abs(value), axes, keepdims)
    return e.pow(sum(e.pow(e.abs(value), float(order)), axes, keepdims), 1 / order)


def _arg(mnemonic: str) -> Callable[..., Any]:
    def function(
        x: Any,
        axis: int | None = None,
        keepdims: bool = False,
        select_last: bool = False,
    ) -> Any:
        value = as_value(x)
        if dtype(value) == BOOL:
            value = cast(value, promotion.INT8)
        count = rank(value)
        if axis is None:
            value, at = ravel(value), 0
        else:
            at = normalize_axis(mnemonic, axis, count)
        result = emit(
            mnemonic,
            value,
            axis=at,
            keepdims=bool(keepdims and axis is not None),
            select_last=bool(select_last),
            like=reduced(shape(value), [at], keepdims and axis is not None),
        )
        return reshape(result, [1] * count) if keepdims and axis is None else result

    text = "Where the extremum is, int64; axis None: in the flattened array."
    return e.documented(function, mnemonic, text)


argmax = _arg("argmax")
argmin = _arg("argmin")


def _cumulative(mnemonic: str) -> Callable[..., Any]:
    def function(
        x: Any,
        axis: int | None = None,
        dtype: Any = None,
        exclusive: bool = False,
        reverse: bool = False,
    ) -> Any:
        value = _accumulated(x, dtype)
        if axis is None:
            value, axis = ravel(value), 0
        at = normalize_axis(mnemonic, axis, rank(value))
        return emit(
            mnemonic,
            value,
            axis=at,
            exclusive=bool(exclusive),
            reverse=bool(reverse),
            like=shape(value),
        )

    return e.documented(function, mnemonic, "along an axis; None flattens first.")


cumsum = _cumulative("cumsum")
cumprod = _cumulative("cumprod")


def topk(x: Any, k: int, axis: int = -1, largest: bool = True) -> tuple[Any, Any]:
    """The k greatest (or least) along an axis, in order; values and int64 indices.

    Raises:
        InputError: k is larger than the axis.
    """
    value = as_value(x)
    at = normalize_axis("topk", axis, rank(value))
    values, indices = emit("topk", value, k=int(k), axis=at, largest=bool(largest))
    sizes = [*shape(value)[:at], int(k), *shape(value)[at + 1 :]]
    return note_shape(values, sizes), note_shape(indices, sizes)


def _sorted(x: Any, axis: int | None, descending: bool) -> tuple[Any, Any]:
    value = as_value(x)
    if axis is None:
        value, axis = ravel(value), 0
    at = normalize_axis("sort", axis, rank(value))
    of_bool = dtype(value) == BOOL
    if of_bool:
        value = cast(value, promotion.INT8)
    values, indices = emit("sort", value, axis=at, descending=bool(descending))
    values = note_shape(values, shape(value))
    return cast(values, BOOL) if of_bool else values, note_shape(indices, shape(value))


def sort(x: Any, axis: int | None = -1, descending: bool = False) -> Any:
    """Sorts along an axis, stably; NaN counts as the greatest. None flattens."""
    return _sorted(x, axis, descending)[0]


def argsort(x: Any, axis: int | None = -1, descending: bool = False) -> Any:
    """The int64 indices that sort an axis, stably."""
    return _sorted(x, axis, descending)[1]


def sort_with_indices(
    x: Any, axis: int = -1, descending: bool = False
) -> tuple[Any, Any]:
    """Sorted values and where they came from."""
    return _sorted(x, axis, descending)


def median(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
    """The middle of the sorted elements, or the mean of the two; NaN if one is."""
    return quantile(x, 0.5, axis, keepdims)


def quantile(x: Any, q: float, axis: int | None = None, keepdims: bool = False) -> Any:
    """The q-quantile, 0 ≤ q ≤ 1, with linear interpolation; axes of static size.

    Raises:
        InputError: q is no number in [0, 1], or the axis is dynamic.
    """
    value = _floating(x, None)
    count = rank(value)
    if axis is None:
        value, at = ravel(value), 0
    else:
        at = normalize_axis("quantile", axis, count)
    amount = shape(value)[at]
    if isinstance(amount, DimExpr) or not 0 <= q <= 1:
        raise InputError(
            "'quantile' needs one q in [0, 1] and an axis of static size, but got "
            f"q = {q} and size {amount}"
        )
    ordered = sort(value, at)
    place = q * (amount - 1)
    low = int(place)
    high = minimum(low + 1, amount - 1)
    below = slice_axis(ordered, at, low, low + 1)
    above = slice_axis(ordered, at, high, high + 1)
    last = slice_axis(ordered, at, amount - 1, amount)
    fraction = place - low
    result = below
    if fraction:
        result = e.add(below, e.mul(e.sub(above, below), fraction))
    result = e.select(e.isnan(last), last, result)
    if not keepdims:
        return squeeze(result, at)
    return reshape(result, [1] * count) if axis is None else result


def diff(x: Any, n: int = 1, axis: int = -1) -> Any:
    """The n-th differences of neighbours along an axis."""
    value = as_value(x)
    at = normalize_axis("diff", axis, rank(value))
    for _ in range(n):
        amount = shape(value)[at]
        after = slice_axis(value, at, 1, amount)
        before = slice_axis(value, at, 0, amount - 1)
        unequal = dtype(value) == BOOL
        value = (e.ne if unequal else e.sub)(after, before)
    return value


# By the names of the ops.
reduce_all = all
reduce_any = any
reduce_max = amax
reduce_mean = mean
reduce_min = amin
reduce_prod = prod
reduce_sum = sum
