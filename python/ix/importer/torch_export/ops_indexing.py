"""Indexing by tensors: gathers, scatters and updates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.builder.indexing import index_tuples
from ix.importer.builder.scattering import scatter_nd
from ix.importer.builder.values import all_same
from ix.importer.dims import DimExpr
from ix.importer.torch_export.call import Call, Handler, NotSupported

__all__ = ["INDEXING"]


def _embedding(call: Call, weight: Any, indices: Any, *args: Any) -> Any:
    return b.embedding(indices, weight)


def _index(call: Call, x: Any, indices: Sequence[Any]) -> Any:
    if any(each is not None and _is_mask(each) for each in indices):
        raise NotSupported("a mask as an index: the result's size depends on data")
    entries = [slice(None) if each is None else each for each in indices]
    return b.getitem(x, tuple(entries))


def _is_mask(index: Any) -> bool:
    return b.dtype(index) in (np.bool_, np.uint8)


def _index_select(call: Call, x: Any, dim: int, index: Any) -> Any:
    if not b.rank(x):
        return x
    return b.take(x, b.reshape(index, [-1]), dim)


def _take(call: Call, x: Any, index: Any) -> Any:
    return b.take(x, index, None)


def _gather(call: Call, x: Any, dim: int, index: Any, sparse_grad: bool = False) -> Any:
    """torch lets the index be smaller than x on the other axes."""
    if not b.rank(x):
        return b.reshape(x, call.shape)
    axis = dim % b.rank(x)
    for at, (size, wanted) in enumerate(zip(b.shape(x), call.shape, strict=True)):
        if at != axis and not all_same([size], [wanted]):
            x = b.slice_axis(x, at, 0, wanted)
    return b.take_along_axis(x, index, axis)


def _take_along_dim(call: Call, x: Any, indices: Any, dim: int | None = None) -> Any:
    return b.take_along_axis(x, indices, dim)


def _index_put(
    call: Call,
    x: Any,
    indices: Sequence[Any],
    values: Any,
    accumulate: bool = False,
    unsafe: bool = False,
) -> Any:
    given = [each for each in indices if each is not None]
    if any(_is_mask(each) for each in given):
        return _put_masked(call, x, indices, values, accumulate)
    axes = [at for at, each in enumerate(indices) if each is not None]
    others = [at for at in range(b.rank(x)) if at not in axes]
    order = [*axes, *others]
    front = b.transpose(x, order)
    sizes = b.shape(front)
    places = b.as_value(index_tuples(given, sizes[: len(axes)]))
    width = b.rank(places) - 1
    updates = call.to(values)
    contiguous = axes == list(range(axes[0], axes[0] + len(axes)))
    if contiguous and axes[0] and b.rank(updates) > b.rank(x) - len(axes):
        # torch puts the index axes where the indexed ones stood.
        lead = b.rank(updates) - (b.rank(x) - len(axes) - axes[0]) - width
        updates = b.moveaxis(
            updates, list(range(lead, lead + width)), list(range(width))
        )
    reduction = "add" if accumulate else "none"
    result = scatter_nd(front, places, updates, reduction)
    return b.transpose(result, [order.index(at) for at in range(b.rank(x))])


def _put_masked(
    call: Call, x: Any, indices: Sequence[Any], values: Any, accumulate: bool
) -> Any:
    """x[mask] = one value, the mask covering leading axes of x."""
    if len(indices) != 1 or b.size(values) != 1:
        raise NotSupported("a mask as an index, with more than one value")
    (mask,) = indices
    value = b.reshape(call.to(values), [])
    if b.rank(mask) < b.rank(x):
        extra = [1] * (b.rank(x) - b.rank(mask))
        mask = b.reshape(mask, [*b.shape(mask), *extra])
    return b.select(mask, b.add(x, value) if accumulate else value, x)


def _scatter(
    call: Call, x: Any, dim: int, index: Any, updates: Any, reduction: str
) -> Any:
    """put_along_axis, where the index may be smaller than x on the other axes."""
    if not b.rank(x):
        return call.to(updates) if reduction == "none" else _combine(x, updates)
    axis = dim % b.rank(x)
    places = b.shape(index)
    source = call.to(updates)
    if b.rank(source):
        for at, wanted in enumerate(places):
            if not all_same([b.shape(source)[at]], [wanted]):
                source = b.slice_axis(source, at, 0, wanted)
    rest = [at for at in range(b.rank(x)) if at != axis]
    if all(all_same([b.shape(x)[at]], [places[at]]) for at in rest):
        return b.scatter(x, index, source, axis, reduction)
    if any(isinstance(each, DimExpr) for each in places):
        raise NotSupported("an index of dynamic size that is smaller than the input")
    grid = list(np.indices(places))
    coordinates = [index if at == axis else each for at, each in enumerate(grid)]
    tuples = index_tuples(coordinates, b.shape(x))
    return scatter_nd(x, tuples, b.broadcast_to(source, places), reduction)


def _combine(x: Any, updates: Any) -> Any:
    raise NotSupported("a reduction into a tensor of rank 0")


def _scatter_value(call: Call, x: Any, dim: int, index: Any, value: Any) -> Any:
    return _scatter(call, x, dim, index, value, "none")


def _scatter_add(call: Call, x: Any, dim: int, index: Any, src: Any) -> Any:
    return _scatter(call, x, dim, index, src, "add")


def _scatter_reduce(
    call: Call,
    x: Any,
    dim: int,
    index: Any,
    src: Any,
    reduce: str,
    include_self: bool = True,
) -> Any:
    if reduce not in _REDUCTIONS or not include_self:
        raise NotSupported(f"reduce={reduce!r}, include_self={include_self}")
    return _scatter(call, x, dim, index, src, _REDUCTIONS[reduce])


_REDUCTIONS = {
    "sum": "add",
    "add": "add",
    "prod": "mul",
    "multiply": "mul",
    "amax": "max",
    "amin": "min",
}


def _index_fill(call: Call, x: Any, dim: int, index: Any, value: Any) -> Any:
    return _along(call, x, dim, index, value, "none")


def _index_copy(call: Call, x: Any, dim: int, index: Any, source: Any) -> Any:
    return _along(call, x, dim, index, source, "none")


def _index_add(
    call: Call, x: Any, dim: int, index: Any, source: Any, alpha: Any = 1
) -> Any:
    source = call.to(source)
    if alpha != 1:
        source = b.mul(source, call.to(alpha))
    return _along(call, x, dim, index, source, "add")


def _along(
    call: Call, x: Any, dim: int, index: Any, source: Any, reduction: str
) -> Any:
    """Whole slices along an axis."""
    axis = dim % b.rank(x)
    front = b.moveaxis(x, axis, 0)
    places = b.as_value(index_tuples([b.reshape(index, [-1])], b.shape(front)[:1]))
    updates = call.to(source)
    if b.rank(updates):
        updates = b.moveaxis(updates, axis, 0)
    return b.moveaxis(scatter_nd(front, places, updates, reduction), 0, axis)


def _slice_scatter(
    call: Call,
    x: Any,
    src: Any,
    dim: int = 0,
    start: Any = None,
    end: Any = None,
    step: int = 1,
) -> Any:
    entries: list[Any] = [slice(None)] * b.rank(x)
    entries[dim % b.rank(x)] = slice(start, end, step)
    return b.setitem(x, tuple(entries), src)


def _select_scatter(call: Call, x: Any, src: Any, dim: int, index: Any) -> Any:
    entries: list[Any] = [slice(None)] * b.rank(x)
    entries[dim % b.rank(x)] = index
    return b.setitem(x, tuple(entries), src)


def _copy(call: Call, x: Any, src: Any, non_blocking: bool = False) -> Any:
    return b.broadcast_to(call.to(src), call.shape)


def _bucketize(
    call: Call, x: Any, boundaries: Any, out_int32: bool = False, right: bool = False
) -> Any:
    """How many boundaries lie below x (at or below it, if right)."""
    values = b.expand_dims(b.as_value(x), b.rank(x))
    compare = b.le if right else b.lt
    return b.sum(compare(boundaries, values), [-1])


def _search_sorted(
    call: Call,
    boundaries: Any,
    x: Any,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    if b.rank(boundaries) != 1 or sorter is not None:
        raise NotSupported("boundaries of more than one axis, or a sorter")
    return _bucketize(call, x, boundaries, right=right or side == "right")


def _histogram(
    call: Call, x: Any, bins: int = 100, min: float = 0, max: float = 0
) -> Any:
    """How many elements lie in each of `bins` equal parts of [min, max]."""
    if min >= max:
        raise NotSupported("a range that depends on data")
    values = b.cast(b.reshape(x, [-1, 1]), np.float32)
    scaled = b.mul(b.sub(values, float(min)), bins / (max - min))
    place = b.select(b.eq(values, float(max)), float(bins - 1), b.floor(scaled))
    hits = b.eq(place, np.arange(bins, dtype=np.float32))
    return b.sum(hits, [0])


def _masked_scatter(call: Call, x: Any, mask: Any, source: Any) -> Any:
    """The elements of `source`, in order, at the true places of the mask."""
    true = b.reshape(b.broadcast_to(mask, call.shape), [-1])
    place = b.sub(b.cumsum(true, 0), 1)
    last = b.size(source) - 1
    taken = b.take(b.ravel(source), b.clip(place, np.int64(0), last), 0)
    flat = b.reshape(b.broadcast_to(x, call.shape), [-1])
    return b.reshape(b.select(true, call.to(taken), flat), call.shape)


def _is_in(
    call: Call,
    elements: Any,
    test_elements: Any,
    assume_unique: bool = False,
    invert: bool = False,
) -> Any:
    values = b.expand_dims(elements, b.rank(elements))
    found = b.any(b.eq(values, b.ravel(test_elements)), [-1])
    return b.logical_not(found) if invert else found


def _depends_on_data(call: Call, *args: Any, **kwargs: Any) -> Any:
    raise NotSupported("its result's size or value depends on data")


def _names(text: str, handler: Handler) -> dict[str, Handler]:
    return {f"aten.{name}": handler for name in text.split()}


INDEXING: dict[str, Handler] = {
    "aten.embedding.default": _embedding,
    **_names("index.Tensor _unsafe_index.Tensor", _index),
    "aten.index_select.default": _index_select,
    "aten.take.default": _take,
    "aten.gather.default": _gather,
    "aten.take_along_dim.default": _take_along_dim,
    **_names(
        "index_put.default _unsafe_index_put.default _index_put_impl.default",
        _index_put,
    ),
    **_names("scatter.src scatter.value", _scatter_value),
    "aten.scatter_add.default": _scatter_add,
    **_names("scatter_reduce.two scatter.reduce scatter.value_reduce", _scatter_reduce),
    **_names("index_fill.int_Scalar index_fill.int_Tensor", _index_fill),
    "aten.index_copy.default": _index_copy,
    "aten.index_add.default": _index_add,
    "aten.slice_scatter.default": _slice_scatter,
    "aten.select_scatter.default": _select_scatter,
    "aten.copy.default": _copy,
    **_names("bucketize.Tensor bucketize.Scalar", _bucketize),
    **_names("searchsorted.Tensor searchsorted.Scalar", _search_sorted),
    "aten.histc.default": _histogram,
    "aten.masked_scatter.default": _masked_scatter,
    "aten.isin.Tensor_Tensor": _is_in,
    **_names(
        "nonzero.default masked_select.default _unique2.default unique_dim.default "
        "unique_consecutive.default _local_scalar_dense.default item.default "
        "repeat_interleave.Tensor repeat_interleave.self_Tensor",
        _depends_on_data,
    ),
}
