"""NumPy functions about order: sorting, searching, extrema's places, running totals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ix.errors import InputError
from ix.importer import builder as b
from ix.importer.builder.values import strong
from ix.importer.promotion import is_float, promote


def _sort(
    a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> Any:
    return b.sort(a, axis)


def _argsort(
    a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> Any:
    return b.argsort(a, axis)


def _partition(a: Any, kth: Any, axis: Any = -1, kind: Any = None) -> Any:
    return b.sort(a, axis)


def _argpartition(a: Any, kth: Any, axis: Any = -1, kind: Any = None) -> Any:
    return b.argsort(a, axis)


def _extremum_place(function: Callable[..., Any]) -> Callable[..., Any]:
    def rule(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        keep = keepdims is not np._NoValue and bool(keepdims)
        result = function(a, axis, keep and axis is not None)
        return b.reshape(result, [1] * b.rank(a)) if keep and axis is None else result

    return rule


def _cumulative(function: Callable[..., Any]) -> Callable[..., Any]:
    def rule(a: Any, axis: Any = None, dtype: Any = None) -> Any:
        return function(a, axis, dtype)

    return rule


def _cumulative_array_api(
    function: Callable[..., Any], start: float
) -> Callable[..., Any]:
    def rule(
        x: Any,
        /,
        *,
        axis: Any = None,
        dtype: Any = None,
        include_initial: bool = False,
    ) -> Any:
        if axis is None and b.rank(x) != 1:
            raise InputError("a cumulative function needs an axis, but got none")
        at = 0 if axis is None else axis
        total = function(x, at, dtype)
        if not include_initial:
            return total
        sizes = list(b.shape(total))
        sizes[at] = 1
        return b.concat([b.full(sizes, start, b.dtype(total)), total], at)

    return rule


def _searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """The number of elements of `a` that come before each of `v`."""
    if sorter is not None:
        raise InputError("np.searchsorted needs sorter=None; sort the array first")
    before = b.lt if side == "left" else b.le
    return b.sum(before(a, b.expand_dims(v, b.rank(v))), -1)


def _digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """The bin of each element; the bins are constant, rising or falling."""
    if not isinstance(bins, np.ndarray | list | tuple):
        return _searchsorted(bins, x, "left" if right else "right")
    edges = np.asarray(bins)
    if len(edges) > 1 and edges[0] > edges[-1]:
        count = _searchsorted(edges[::-1].copy(), x, "right" if right else "left")
        return b.sub(len(edges), count)
    return _searchsorted(edges, x, "left" if right else "right")


def _quantile(scale: float) -> Callable[..., Any]:
    def rule(
        a: Any,
        q: Any,
        axis: Any = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: bool = False,
    ) -> Any:
        if method != "linear":
            raise InputError(f"a quantile needs method='linear', but got {method!r}")
        if np.ndim(q):
            rows = [b.quantile(a, float(each) / scale, axis, keepdims) for each in q]
            target = promote([b.dtype(rows[0]), np.asarray(q).dtype])
            return b.cast(b.stack(rows), target)
        return b.quantile(a, float(q) / scale, axis, keepdims)

    return rule


def _median(
    a: Any, axis: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    return b.median(a, axis, keepdims)


def _diff(
    a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None
) -> Any:
    parts = [b.as_value(a)]
    for extra, place in ((prepend, 0), (append, len(parts))):
        if extra is not None and extra is not np._NoValue:
            parts.insert(place if place == 0 else len(parts), _edge(a, extra, axis))
    return b.diff(b.concat(parts, axis) if len(parts) > 1 else a, n, axis)


def _edge(a: Any, extra: Any, axis: int) -> Any:
    if b.rank(extra):
        return extra
    sizes = list(b.shape(a))
    sizes[axis] = 1
    return b.broadcast_to(strong(extra), sizes)


def _ediff1d(ary: Any) -> Any:
    return b.diff(b.ravel(ary))


def _gradient(f: Any, spacing: float = 1.0, axis: Any = None) -> Any:
    """Central differences along each axis, one-sided at the ends."""
    axes = range(b.rank(f)) if axis is None else [axis]
    results = tuple(_gradient_axis(f, spacing, at) for at in axes)
    return results[0] if len(results) == 1 else results


def _gradient_axis(f: Any, spacing: float, axis: int) -> Any:
    at = axis % b.rank(f)
    amount = b.size(f, at)
    first = b.slice_axis(f, at, 0, 1)
    second = b.slice_axis(f, at, 1, 2)
    before_last = b.slice_axis(f, at, amount - 2, amount - 1)
    last = b.slice_axis(f, at, amount - 1, amount)
    middle = b.sub(b.slice_axis(f, at, 2, amount), b.slice_axis(f, at, 0, amount - 2))
    return b.concat(
        [
            b.true_divide(b.sub(second, first), spacing),
            b.true_divide(middle, 2.0 * spacing),
            b.true_divide(b.sub(last, before_last), spacing),
        ],
        at,
    )


def _ignoring_nan(function: Callable[..., Any], neutral: float) -> Callable[..., Any]:
    def rule(a: Any, axis: Any = None, dtype: Any = None) -> Any:
        if not is_float(b.dtype(a)):
            return function(a, axis, dtype)
        return function(b.select(b.isnan(a), neutral, a), axis, dtype)

    return rule


def _place_ignoring_nan(
    function: Callable[..., Any], neutral: float
) -> Callable[..., Any]:
    place = _extremum_place(function)

    def rule(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
        if is_float(b.dtype(a)):
            a = b.select(b.isnan(a), neutral, a)
        return place(a, axis, keepdims=keepdims)

    return rule


def _unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple[Any, ...]:
    places: list[Any] = []
    for size in reversed(shape):
        places.insert(0, b.mod(indices, size))
        indices = b.floor_div(indices, size)
    return tuple(places)


ORDER: dict[Any, Callable[..., Any]] = {
    np.argmax: _extremum_place(b.argmax),
    np.argmin: _extremum_place(b.argmin),
    np.argpartition: _argpartition,
    np.argsort: _argsort,
    np.cumprod: _cumulative(b.cumprod),
    np.cumsum: _cumulative(b.cumsum),
    np.diff: _diff,
    np.digitize: _digitize,
    np.ediff1d: _ediff1d,
    np.gradient: _gradient,
    np.median: _median,
    np.nanargmax: _place_ignoring_nan(b.argmax, float("-inf")),
    np.nanargmin: _place_ignoring_nan(b.argmin, float("inf")),
    np.nancumprod: _ignoring_nan(b.cumprod, 1.0),
    np.nancumsum: _ignoring_nan(b.cumsum, 0.0),
    np.partition: _partition,
    np.percentile: _quantile(100.0),
    np.quantile: _quantile(1.0),
    np.searchsorted: _searchsorted,
    np.sort: _sort,
    np.unravel_index: _unravel_index,
}

if hasattr(np, "cumulative_sum"):  # NumPy 2.1
    ORDER[np.cumulative_sum] = _cumulative_array_api(b.cumsum, 0)
    ORDER[np.cumulative_prod] = _cumulative_array_api(b.cumprod, 1)
