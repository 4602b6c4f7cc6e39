"""NumPy semantics of the ops of `reduction.py`."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ix.dialects.ix.reference_elementwise import wrapped
from ix.dialects.ix.reference_precision import Array, is_float, rounded, widened

__all__ = ["REDUCTION"]

Attributes = dict[str, Any]


def _reduce(
    function: Callable[..., Any],
) -> Callable[[Sequence[Array], Attributes, Any], list[Array]]:
    """A NumPy reduction as a reference; integers wrap in their own type."""

    def reference(
        operands: Sequence[Array], attributes: Attributes, _: Any
    ) -> list[Array]:
        (x,) = operands
        axes = tuple(attributes["axes"])
        keepdims = bool(attributes["keepdims"])
        wide = widened(x)
        extra = {} if function in (np.max, np.min) else {"dtype": wide.dtype}
        with np.errstate(all="ignore"):
            y = function(wide, axis=axes, keepdims=keepdims, **extra)
        return [wrapped(y, x.dtype)]

    return reference


def _logical(
    function: Callable[..., Any],
) -> Callable[[Sequence[Array], Attributes, Any], list[Array]]:
    def reference(
        operands: Sequence[Array], attributes: Attributes, _: Any
    ) -> list[Array]:
        (x,) = operands
        axes = tuple(attributes["axes"])
        y = function(x, axis=axes, keepdims=bool(attributes["keepdims"]))
        return [np.asarray(y, dtype=np.bool_)]

    return reference


def _arg(
    function: Callable[..., Any],
) -> Callable[[Sequence[Array], Attributes, Any], list[Array]]:
    """argmax or argmin; NaN wins, then the first or the last of equals."""

    def reference(
        operands: Sequence[Array], attributes: Attributes, _: Any
    ) -> list[Array]:
        x = widened(operands[0])
        axis, keepdims = int(attributes["axis"]), bool(attributes["keepdims"])
        if attributes["select_last"]:
            reverse = function(np.flip(x, axis), axis=axis, keepdims=keepdims)
            y = x.shape[axis] - 1 - reverse
        else:
            y = function(x, axis=axis, keepdims=keepdims)
        return [np.asarray(y, dtype=np.int64)]

    return reference


def _cumulative(
    function: Callable[..., Any], neutral: int
) -> Callable[[Sequence[Array], Attributes, Any], list[Array]]:
    def reference(
        operands: Sequence[Array], attributes: Attributes, _: Any
    ) -> list[Array]:
        (x,) = operands
        axis = int(attributes["axis"])
        wide = widened(x)
        if attributes["reverse"]:
            wide = np.flip(wide, axis)
        if attributes["exclusive"] and wide.shape[axis]:
            first = np.full_like(np.take(wide, [0], axis), neutral)
            wide = np.concatenate([first, np.delete(wide, -1, axis)], axis)
        with np.errstate(all="ignore"):
            y = function(wide, axis=axis, dtype=wide.dtype)
        if attributes["reverse"]:
            y = np.flip(y, axis)
        return [wrapped(y, x.dtype)]

    return reference


def _order(x: Array, axis: int, descending: bool) -> Array:
    """Indices that sort stably; NaN counts as greater than every number."""
    wide = widened(x)
    if not descending:
        return np.argsort(wide, axis=axis, kind="stable")
    # Sorting the reversed axis upwards and reading it backwards keeps equals in order.
    upwards = np.argsort(np.flip(wide, axis), axis=axis, kind="stable")
    return np.asarray(x.shape[axis] - 1 - np.flip(upwards, axis))


def sort(operands: Sequence[Array], attributes: Attributes, _: Any) -> list[Array]:
    (x,) = operands
    axis = int(attributes["axis"])
    indices = _order(x, axis, bool(attributes["descending"])).astype(np.int64)
    return [np.take_along_axis(x, indices, axis), indices]


def topk(operands: Sequence[Array], attributes: Attributes, _: Any) -> list[Array]:
    (x,) = operands
    axis = int(attributes["axis"])
    order = _order(x, axis, bool(attributes["largest"])).astype(np.int64)
    indices = np.take(order, np.arange(int(attributes["k"])), axis)
    return [np.take_along_axis(x, indices, axis), indices]


def reduce_mean(
    operands: Sequence[Array], attributes: Attributes, _: Any
) -> list[Array]:
    (x,) = operands
    assert is_float(x.dtype)
    axes, keepdims = tuple(attributes["axes"]), bool(attributes["keepdims"])
    count = np.prod([x.shape[axis] for axis in axes], dtype=np.float64)
    with np.errstate(all="ignore"):
        total = np.sum(widened(x), axis=axes, keepdims=keepdims)
        return [rounded(total / count, x.dtype)]


REDUCTION = {
    "ix.reduce_sum": _reduce(np.sum),
    "ix.reduce_prod": _reduce(np.prod),
    "ix.reduce_max": _reduce(np.max),
    "ix.reduce_min": _reduce(np.min),
    "ix.reduce_mean": reduce_mean,
    "ix.reduce_any": _logical(np.any),
    "ix.reduce_all": _logical(np.all),
    "ix.argmax": _arg(np.argmax),
    "ix.argmin": _arg(np.argmin),
    "ix.cumsum": _cumulative(np.cumsum, 0),
    "ix.cumprod": _cumulative(np.cumprod, 1),
    "ix.sort": sort,
    "ix.topk": topk,
}
"""Op name → (operands, attributes as Python values, result types) → results."""
