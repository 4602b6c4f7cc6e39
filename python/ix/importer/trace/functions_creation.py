"""NumPy functions that create arrays: from sizes, from nested lists, by padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ix.errors import InputError
from ix.importer import builder as b
from ix.importer.promotion import promote


def _asarray(a: Any, dtype: Any = None, order: Any = None, **unused: Any) -> Any:
    """np.array, np.asarray, … with `like=`: nested lists of arrays are stacked."""
    if isinstance(a, list | tuple):
        value = b.stack([_asarray(each) for each in a])
    else:
        value = b.as_value(a)
    return value if dtype is None else b.cast(value, dtype)


def _full(
    shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C", **unused: Any
) -> Any:
    return b.full(shape, fill_value, dtype)


def _zeros(shape: Any, dtype: Any = float, order: Any = "C", **unused: Any) -> Any:
    return b.zeros(shape, dtype)


def _ones(shape: Any, dtype: Any = None, order: Any = "C", **unused: Any) -> Any:
    return b.ones(shape, float if dtype is None else dtype)


def _like(value: Any) -> Callable[..., Any]:
    def rule(
        a: Any,
        dtype: Any = None,
        order: Any = "K",
        subok: bool = True,
        shape: Any = None,
        **unused: Any,
    ) -> Any:
        return b.full_like(a, value, dtype, shape)

    return rule


def _full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: Any = "K",
    subok: bool = True,
    shape: Any = None,
    **unused: Any,
) -> Any:
    return b.full_like(a, fill_value, dtype, shape)


def _arange(
    start: Any, stop: Any = None, step: Any = None, dtype: Any = None, **unused: Any
) -> Any:
    return b.arange(start, stop, step, dtype)


def _eye(
    N: Any,
    M: Any = None,
    k: int = 0,
    dtype: Any = float,
    order: Any = "C",
    **unused: Any,
) -> Any:
    return b.eye(N, M, k, dtype)


def _linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, *, dtype: Any = None
) -> Any:
    return b.linspace(start, stop, num, endpoint, dtype)


def _logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: float = 10.0,
    dtype: Any = None,
) -> Any:
    result = b.pow(base, b.linspace(start, stop, num, endpoint))
    return result if dtype is None else b.cast(result, dtype)


def _vander(x: Any, N: Any = None, increasing: bool = False) -> Any:
    count = b.size(x, 0) if N is None else N
    powers = np.arange(count) if increasing else np.arange(count)[::-1]
    kind = promote([b.dtype(x), np.dtype(np.int64)])
    return b.cast(b.pow(b.expand_dims(x, -1), powers.astype(kind)), kind)


def _meshgrid(
    *xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy"
) -> tuple[Any, ...]:
    if sparse:
        raise InputError("np.meshgrid needs sparse=False; broadcasting does the rest")
    return tuple(b.meshgrid(*xi, indexing=indexing))


def _diagflat(v: Any, k: int = 0) -> Any:
    return b.diag(b.ravel(v), k)


def _tri(N: Any, M: Any = None, k: int = 0, dtype: Any = float) -> Any:
    return b.tri(N, M, k, dtype)


def _pad(array: Any, pad_width: Any, mode: str = "constant", **options: Any) -> Any:
    value = options.pop("constant_values", 0)
    if options:
        raise InputError(
            f"np.pad needs default options, but got {', '.join(options)}; ix has "
            "constant_values for mode='constant'"
        )
    if isinstance(pad_width, dict):
        widths = [(0, 0)] * b.rank(array)
        for axis, pair in pad_width.items():
            widths[axis] = (pair, pair) if isinstance(pair, int) else tuple(pair)
        pad_width = widths
    if np.ndim(value):
        raise InputError("np.pad needs one number as constant_values, but got several")
    return b.pad(array, pad_width, mode, value)


CREATION: dict[Any, Callable[..., Any]] = {
    np.arange: _arange,
    np.array: _asarray,
    np.asanyarray: _asarray,
    np.asarray: _asarray,
    np.ascontiguousarray: _asarray,
    np.diag: lambda v, k=0: b.diag(v, k),
    np.diagflat: _diagflat,
    np.empty: _zeros,
    np.empty_like: _like(0),
    np.eye: _eye,
    np.full: _full,
    np.full_like: _full_like,
    np.identity: lambda n, dtype=float: b.eye(n, dtype=dtype),
    np.linspace: _linspace,
    np.logspace: _logspace,
    np.meshgrid: _meshgrid,
    np.ones: _ones,
    np.ones_like: _like(1),
    np.pad: _pad,
    np.tri: _tri,
    np.tril: lambda m, k=0: b.tril(m, k),
    np.triu: lambda m, k=0: b.triu(m, k),
    np.vander: _vander,
    np.zeros: _zeros,
    np.zeros_like: _like(0),
}
