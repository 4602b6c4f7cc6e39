"""Reductions, extrema, running totals and sorting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ix.importer import builder as b
from ix.importer import promotion
from ix.importer.torch_export.call import Call, Handler, NotSupported

__all__ = ["REDUCTION"]


def _axes(x: Any, dim: Any) -> Any:
    """None for all axes, which torch also spells as an empty list."""
    if dim is None or (isinstance(dim, list | tuple) and not dim):
        return None
    if isinstance(dim, int):
        return [dim] if b.rank(x) else []
    return list(dim) if b.rank(x) else []


def _total(function: Callable[..., Any]) -> Handler:
    """Sums, products and means, in the dtype that torch gives."""

    def handler(
        call: Call, x: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None
    ) -> Any:
        return function(x, _axes(x, dim), keepdim, dtype=call.dtype)

    return handler


def _extremum(function: Callable[..., Any]) -> Handler:
    def handler(call: Call, x: Any, dim: Any = (), keepdim: bool = False) -> Any:
        return function(x, _axes(x, dim), keepdim)

    return handler


def _extremum_along(values: Callable[..., Any], indices: Callable[..., Any]) -> Handler:
    """max.dim, min.dim: values and where they are."""

    def handler(call: Call, x: Any, dim: int, keepdim: bool = False) -> Any:
        if not b.rank(x):
            return x, b.zeros([], "int64")
        best = values(x, [dim], keepdim)
        where = indices(x, dim, keepdim) if call.is_used(1) else None
        return best, where

    return handler


def _arg(function: Callable[..., Any]) -> Handler:
    def handler(
        call: Call, x: Any, dim: int | None = None, keepdim: bool = False
    ) -> Any:
        if not b.rank(x):
            return b.zeros([], "int64")
        return function(x, dim, keepdim)

    return handler


def _aminmax(call: Call, x: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    axes = _axes(x, dim)
    return b.amin(x, axes, keepdim), b.amax(x, axes, keepdim)


def _correction(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """dim, ddof, keepdim of the overloads of var and std."""
    if "correction" in kwargs or not args or not isinstance(args[0], bool):
        dim = args[0] if args else kwargs.get("dim")
        correction = kwargs.get("correction", args[1] if len(args) > 1 else None)
        unbiased = kwargs.get("unbiased", True)
        ddof = int(unbiased) if correction is None else correction
        if len(args) > 1 and isinstance(args[1], bool):  # (dim, unbiased, keepdim)
            ddof = int(args[1])
        keepdim = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
        return dim, ddof, keepdim
    return None, int(args[0]), False  # (unbiased)


def _variance(call: Call, x: Any, *args: Any, **kwargs: Any) -> Any:
    dim, ddof, keepdim = _correction(args, kwargs)
    return b.var(x, _axes(x, dim), keepdim, ddof)


def _deviation(call: Call, x: Any, *args: Any, **kwargs: Any) -> Any:
    return b.sqrt(_variance(call, x, *args, **kwargs))


def _variance_and_mean(call: Call, x: Any, *args: Any, **kwargs: Any) -> Any:
    dim, ddof, keepdim = _correction(args, kwargs)
    axes = _axes(x, dim)
    return b.var(x, axes, keepdim, ddof), b.mean(x, axes, keepdim)


def _deviation_and_mean(call: Call, x: Any, *args: Any, **kwargs: Any) -> Any:
    variance, mean = _variance_and_mean(call, x, *args, **kwargs)
    return b.sqrt(variance), mean


def _logsumexp(call: Call, x: Any, dim: Any, keepdim: bool = False) -> Any:
    return b.logsumexp(call.to(x), _axes(x, dim), keepdim)


def _norm(
    call: Call,
    x: Any,
    p: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> Any:
    """The p-norm of all elements of the given axes, as one vector."""
    value, axes = call.to(x), _axes(x, dim)
    order = 2.0 if p is None else float(p)
    if order == 2.0:
        return b.sqrt(b.sum(b.square(value), axes, keepdim))
    if order in (float("inf"), float("-inf")):
        extremum = b.amax if order > 0 else b.amin
        return extremum(b.abs(value), axes, keepdim)
    if order == 0.0:
        return b.sum(b.cast(b.ne(value, 0), call.dtype), axes, keepdim)
    if order == 1.0:
        return b.sum(b.abs(value), axes, keepdim)
    powers = b.sum(b.pow(b.abs(value), order), axes, keepdim)
    return b.pow(powers, 1 / order)


def _vector_norm(
    call: Call,
    x: Any,
    ord: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    dtype: Any = None,
) -> Any:
    return _norm(call, x, ord, dim, keepdim)


def _cumulative(function: Callable[..., Any]) -> Handler:
    def handler(call: Call, x: Any, dim: int, dtype: Any = None) -> Any:
        if not b.rank(x):
            return x
        return function(x, dim, dtype=call.dtype)

    return handler


def _logcumsumexp(call: Call, x: Any, dim: int) -> Any:
    top = b.amax(x, [dim], keepdims=True)
    return b.add(b.log(b.cumsum(b.exp(b.sub(x, top)), dim)), top)


def _topk(
    call: Call,
    x: Any,
    k: Any,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,
) -> Any:
    if not isinstance(k, int):
        raise NotSupported("a k that is known only when the program runs")
    return b.topk(x, k, dim, largest)


def _sort(call: Call, x: Any, dim: int = -1, descending: bool = False) -> Any:
    return b.sort_with_indices(x, dim, descending)


def _stable_sort(
    call: Call,
    x: Any,
    stable: Any = None,
    dim: int = -1,
    descending: bool = False,
) -> Any:
    return b.sort_with_indices(x, dim, descending)


def _argsort(call: Call, x: Any, dim: int = -1, descending: bool = False) -> Any:
    return b.argsort(x, dim, descending)


def _stable_argsort(
    call: Call, x: Any, stable: Any = None, dim: int = -1, descending: bool = False
) -> Any:
    return b.argsort(x, dim, descending)


def _kth_value(call: Call, x: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The k-th least along an axis and where it is."""
    axis = dim % b.rank(x)
    parts = [
        b.slice_axis(each, axis, k - 1, k) for each in b.sort_with_indices(x, axis)
    ]
    return tuple(each if keepdim else b.squeeze(each, axis) for each in parts)


def _median(call: Call, x: Any, dim: int, keepdim: bool = False) -> Any:
    """The lower of the two middles, which is what torch calls the median."""
    count = b.shape(x)[dim]
    if not isinstance(count, int):
        raise NotSupported("an axis of dynamic size")
    return _kth_value(call, x, (count + 1) // 2, dim, keepdim)


def _diff(
    call: Call,
    x: Any,
    n: int = 1,
    dim: int = -1,
    prepend: Any = None,
    append: Any = None,
) -> Any:
    parts = [each for each in (prepend, x, append) if each is not None]
    value = b.concat(parts, dim) if len(parts) > 1 else x
    return b.diff(value, n, dim)


def _count_nonzero(call: Call, x: Any, dim: Any = None) -> Any:
    return b.count_nonzero(x, _axes(x, dim))


def _nansum(
    call: Call, x: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Any:
    value = call.to(x)
    if promotion.is_float(call.dtype):
        value = b.select(b.isnan(value), 0.0, value)
    return b.sum(value, _axes(x, dim), keepdim, dtype=call.dtype)


def _names(text: str, handler: Handler) -> dict[str, Handler]:
    return {f"aten.{name}": handler for name in text.split()}


REDUCTION: dict[str, Handler] = {
    **_names("sum.dim_IntList", _total(b.sum)),
    **_names(
        "sum.default",
        lambda call, x, dtype=None: b.sum(x, None, dtype=call.dtype),
    ),
    **_names("mean.dim", _total(b.mean)),
    **_names(
        "mean.default",
        lambda call, x, dtype=None: b.mean(x, None, dtype=call.dtype),
    ),
    **_names("prod.dim_int", _total(b.prod)),
    **_names(
        "prod.default",
        lambda call, x, dtype=None: b.prod(x, None, dtype=call.dtype),
    ),
    **_names("amax.default max.default", _extremum(b.amax)),
    **_names("amin.default min.default", _extremum(b.amin)),
    "aten.max.dim": _extremum_along(b.amax, b.argmax),
    "aten.min.dim": _extremum_along(b.amin, b.argmin),
    **_names("any.default any.dim any.dims", _extremum(b.any)),
    **_names("all.default all.dim all.dims", _extremum(b.all)),
    "aten.argmax.default": _arg(b.argmax),
    "aten.argmin.default": _arg(b.argmin),
    "aten.aminmax.default": _aminmax,
    **_names("var.correction var.dim var.default", _variance),
    **_names("std.correction std.dim std.default", _deviation),
    **_names("var_mean.correction var_mean.dim var_mean.default", _variance_and_mean),
    **_names("std_mean.correction std_mean.dim std_mean.default", _deviation_and_mean),
    "aten.logsumexp.default": _logsumexp,
    **_names("norm.Scalar norm.ScalarOpt_dim norm.ScalarOpt_dim_dtype", _norm),
    "aten.linalg_vector_norm.default": _vector_norm,
    "aten.cumsum.default": _cumulative(b.cumsum),
    "aten.cumprod.default": _cumulative(b.cumprod),
    "aten.logcumsumexp.default": _logcumsumexp,
    "aten.topk.default": _topk,
    "aten.sort.default": _sort,
    "aten.sort.stable": _stable_sort,
    "aten.argsort.default": _argsort,
    "aten.argsort.stable": _stable_argsort,
    "aten.msort.default": lambda call, x: b.sort(x, 0),
    "aten.kthvalue.default": _kth_value,
    "aten.median.dim": _median,
    "aten.diff.default": _diff,
    **_names("count_nonzero.default count_nonzero.dim_IntList", _count_nonzero),
    "aten.nansum.default": _nansum,
}
