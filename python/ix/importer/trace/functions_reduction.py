"""NumPy functions that reduce axes, with `where=` and `initial=`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from ix.errors import InputError
from ix.importer import builder as b
from ix.importer.builder.values import normalize_axes
from ix.importer.promotion import is_float, mean_dtype

_NONE = np._NoValue


def _masked(a: Any, where: Any, neutral: Any) -> Any:
    """a, with the neutral element where the mask is false."""
    if where is True or where is _NONE:
        return a
    a, mask = b.broadcast_arrays(a, where)
    return b.select(mask, a, neutral)


def _kept(keepdims: Any) -> bool:
    return keepdims is not _NONE and bool(keepdims)


def _sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    keepdims: Any = False,
    initial: Any = _NONE,
    where: Any = True,
) -> Any:
    result = b.sum(_masked(a, where, 0), axis, _kept(keepdims), dtype)
    return result if initial is _NONE else b.add(result, initial)


def _prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    keepdims: Any = False,
    initial: Any = _NONE,
    where: Any = True,
) -> Any:
    result = b.prod(_masked(a, where, 1), axis, _kept(keepdims), dtype)
    return result if initial is _NONE else b.mul(result, initial)


def _extremum(
    reduce: Callable[..., Any], combine: Callable[..., Any]
) -> Callable[..., Any]:
    def rule(
        a: Any,
        axis: Any = None,
        keepdims: Any = False,
        initial: Any = _NONE,
        where: Any = True,
    ) -> Any:
        if where is not True and initial is _NONE:
            raise InputError(
                "a maximum or minimum with where= needs initial=, but got none"
            )
        result = reduce(_masked(a, where, initial), axis, _kept(keepdims))
        return result if initial is _NONE else combine(result, initial)

    return rule


def _logical(reduce: Callable[..., Any], neutral: bool) -> Callable[..., Any]:
    def rule(a: Any, axis: Any = None, keepdims: Any = False, where: Any = True) -> Any:
        if where is not True:
            a = _masked(b.ne(a, 0), where, neutral)
        return reduce(a, axis, _kept(keepdims))

    return rule


def _mean(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    keepdims: Any = False,
    where: Any = True,
) -> Any:
    if where is True or where is _NONE:
        return b.mean(a, axis, _kept(keepdims), dtype)
    values, mask = b.broadcast_arrays(a, where)
    target = mean_dtype(b.dtype(values)) if dtype is None else dtype
    total = b.sum(_masked(values, mask, 0), axis, _kept(keepdims), target)
    return b.true_divide(total, b.cast(b.sum(mask, axis, _kept(keepdims)), target))


def _deviation(function: Callable[..., Any]) -> Callable[..., Any]:
    def rule(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        ddof: int = 0,
        keepdims: Any = False,
        *,
        correction: Any = _NONE,
    ) -> Any:
        ddof = ddof if correction is _NONE else correction
        return function(a, axis, _kept(keepdims), ddof, dtype)

    return rule


def _average(
    a: Any,
    axis: Any = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: Any = False,
) -> Any:
    if returned:
        raise InputError("np.average needs returned=False; sum the weights apart")
    return b.average(a, axis, weights, _kept(keepdims))


def _ignoring_nan(
    function: Callable[..., Any], neutral: Callable[[Any], Any], none_is_nan: bool
) -> Callable[..., Any]:
    """The reduction of the elements that are numbers; NaN where none is, if asked."""

    def rule(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
        options = {} if dtype is None else {"dtype": dtype}
        if not is_float(b.dtype(a)):
            return function(a, axis, _kept(keepdims), **options)
        missing = b.isnan(a)
        filled = b.select(missing, neutral(b.dtype(a)), a)
        result = function(filled, axis, _kept(keepdims), **options)
        if not none_is_nan:
            return result
        return b.select(b.all(missing, axis, _kept(keepdims)), float("nan"), result)

    return rule


def _infinity(sign: float) -> Callable[[Any], Any]:
    """±∞, or the extreme of a type that has none."""

    def neutral(dtype: Any) -> Any:
        info = ml_dtypes.finfo(dtype)
        return sign * (float("inf") if dtype != ml_dtypes.float8_e4m3fn else info.max)

    return neutral


def _nanmean(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = False) -> Any:
    present = b.logical_not(b.isnan(a))
    return _mean(a, axis, dtype, keepdims, where=present)


def _nanvar(
    a: Any, axis: Any = None, dtype: Any = None, ddof: int = 0, keepdims: Any = False
) -> Any:
    present = b.logical_not(b.isnan(a))
    center = _mean(a, axis, dtype, True, where=present)
    squares = b.square(b.sub(b.select(present, a, center), center))
    count = b.sum(present, axis, _kept(keepdims))
    total = b.sum(squares, axis, _kept(keepdims))
    return b.true_divide(total, b.cast(b.sub(count, ddof), b.dtype(total)))


def _nanstd(*args: Any, **kwargs: Any) -> Any:
    return b.sqrt(_nanvar(*args, **kwargs))


def _cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: Any = None
) -> Any:
    """The covariance of the rows of a matrix (columns without rowvar)."""
    rows = b.at_least(b.as_value(m), 2)
    rows = rows if rowvar or b.rank(m) < 2 else b.transpose(rows)
    if y is not None:
        rows = b.concat([rows, b.at_least(b.as_value(y), 2)], 0)
    rows = b.cast(rows, np.result_type(b.dtype(rows), np.float64))
    ddof = (0 if bias else 1) if ddof is None else ddof
    centered = b.sub(rows, b.mean(rows, 1, keepdims=True))
    product = b.matmul(centered, b.transpose(centered))
    result = b.true_divide(product, b.size(rows, 1) - ddof)
    return b.squeeze(result) if b.shape(result) == (1, 1) else result


def _corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    covariance = _cov(x, y, rowvar)
    if not b.rank(covariance):
        return b.true_divide(covariance, covariance)
    deviation = b.sqrt(b.diagonal(covariance))
    scaled = b.true_divide(covariance, b.expand_dims(deviation, 1))
    return b.clip(b.true_divide(scaled, deviation), -1.0, 1.0)


def _trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Any:
    width = dx if x is None else b.diff(x, 1, axis if b.rank(x) == b.rank(y) else -1)
    (at,) = normalize_axes("trapezoid", axis, b.rank(y))
    if x is not None and b.rank(x) == 1:
        sizes: list[Any] = [1] * b.rank(y)
        sizes[at] = -1
        width = b.reshape(width, sizes)
    amount = b.size(y, at)
    low = b.slice_axis(y, at, 0, amount - 1)
    high = b.slice_axis(y, at, 1, amount)
    return b.sum(b.true_divide(b.mul(width, b.add(low, high)), 2.0), at)


def _trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None
) -> Any:
    return b.sum(b.diagonal(a, offset, axis1, axis2), -1, dtype=dtype)


def _ptp(a: Any, axis: Any = None, keepdims: Any = False) -> Any:
    return b.ptp(a, axis, _kept(keepdims))


def _count_nonzero(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    return b.count_nonzero(a, axis, _kept(keepdims))


_max = _extremum(b.amax, b.max)
_min = _extremum(b.amin, b.min)

REDUCTION: dict[Any, Callable[..., Any]] = {
    np.all: _logical(b.all, True),
    np.amax: _max,
    np.amin: _min,
    np.any: _logical(b.any, False),
    np.average: _average,
    np.corrcoef: _corrcoef,
    np.count_nonzero: _count_nonzero,
    np.cov: _cov,
    np.max: _max,
    np.mean: _mean,
    np.min: _min,
    np.nanmax: _ignoring_nan(b.amax, _infinity(-1.0), True),
    np.nanmean: _nanmean,
    np.nanmin: _ignoring_nan(b.amin, _infinity(1.0), True),
    np.nanprod: _ignoring_nan(b.prod, lambda dtype: 1.0, False),
    np.nanstd: _nanstd,
    np.nansum: _ignoring_nan(b.sum, lambda dtype: 0.0, False),
    np.nanvar: _nanvar,
    np.prod: _prod,
    np.ptp: _ptp,
    np.std: _deviation(b.std),
    np.sum: _sum,
    np.trace: _trace,
    np.var: _deviation(b.var),
}

if hasattr(np, "trapezoid"):  # NumPy 2
    REDUCTION[np.trapezoid] = _trapezoid
if hasattr(np.linalg, "trace"):
    REDUCTION[np.linalg.trace] = lambda x, offset=0, dtype=None: _trace(
        x, offset, -2, -1, dtype
    )
