"""NumPy semantics of the ops of `movement.py`, `slicing.py` and `indexing.py`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ix.dialects.ix.reference_elementwise import wide, wrapped
from ix.dialects.ix.reference_precision import Array
from ix.dialects.ix.shapes import numpy_dtype
from ix.mlir import DYNAMIC

__all__ = ["MOVEMENT"]

Attributes = dict[str, Any]
Operands = Sequence[Array]
Entry = Callable[[Operands, Attributes, Sequence[Any]], list[Array]]


def sized(listed: Sequence[int], operands: Iterator[Array]) -> list[int]:
    """A list attribute with the next operand in place of each DYNAMIC."""
    return [int(next(operands)) if size == DYNAMIC else size for size in listed]


def broadcast(operands: Operands, attributes: Attributes, _: Any) -> list[Array]:
    shape = sized(attributes["shape"], iter(operands[1:]))
    return [np.broadcast_to(operands[0], shape).copy()]


def reshape(operands: Operands, attributes: Attributes, _: Any) -> list[Array]:
    return [operands[0].reshape(sized(attributes["shape"], iter(operands[1:])))]


def transpose(operands: Operands, attributes: Attributes, _: Any) -> list[Array]:
    return [operands[0].transpose(attributes["permutation"]).copy()]


def concat(operands: Operands, attributes: Attributes, _: Any) -> list[Array]:
    return [np.concatenate(list(operands), axis=attributes["axis"])]


def slice_(operands: Operands, attributes: Attributes, _: Any) -> list[Array]:
    bounds = iter(operands[1:])
    starts = sized(attributes["starts"], bounds)
    limits = sized(attributes["limits"], bounds)
    taken = map(slice, starts, limits, attributes["strides"])
    return [operands[0][tuple(taken)].copy()]


def split(operands: Operands, attributes: Attributes, _: Any) -> list[Array]:
    ends = np.cumsum(attributes["sizes"])[:-1]
    return list(np.split(operands[0], ends, axis=attributes["axis"]))


def pad(operands: Operands, attributes: Attributes, _: Any) -> list[Array]:
    if not attributes["low"]:
        return [operands[0].copy()]
    widths = list(zip(attributes["low"], attributes["high"], strict=True))
    if attributes["mode"] != "constant":
        return [np.pad(operands[0], widths, mode=attributes["mode"])]
    return [np.pad(operands[0], widths, constant_values=operands[1][()])]


def flip(operands: Operands, attributes: Attributes, _: Any) -> list[Array]:
    return [np.flip(operands[0], attributes["axes"]).copy()]


def tile(operands: Operands, attributes: Attributes, _: Any) -> list[Array]:
    return [np.tile(operands[0], attributes["repeats"])]


def iota(
    operands: Operands, attributes: Attributes, result_types: Sequence[Any]
) -> list[Array]:
    type_, axis = result_types[0], attributes["axis"]
    shape = sized(type_.shape, iter(operands))
    counted = np.arange(shape[axis]).reshape([-1] + [1] * (len(shape) - axis - 1))
    result = np.broadcast_to(counted, shape)
    return [wrapped(result, numpy_dtype(type_.element_type))]


def dim(operands: Operands, attributes: Attributes, _: Any) -> list[Array]:
    return [np.array(operands[0].shape[attributes["axis"]], np.int64)]


def _places(indices: Array, sizes: Any) -> Array:
    """Indices from 0 on; beyond an end, the place at that end.

    Args:
        sizes: Of the axis that is indexed, or of one for each of the last axis.
    """
    places = indices.astype(np.int64)
    sizes = np.asarray(sizes, np.int64)
    return np.clip(np.where(places < 0, places + sizes, places), 0, sizes - 1)


def gather(operands: Operands, attributes: Attributes, _: Any) -> list[Array]:
    (source, indices), axis = operands, attributes["axis"]
    return [np.take(source, _places(indices, source.shape[axis]), axis)]


def take_along_axis(operands: Operands, attributes: Attributes, _: Any) -> list[Array]:
    axis = attributes["axis"]
    source, indices = operands[0], _places(operands[1], operands[0].shape[axis])
    kept = np.broadcast_shapes(
        *((*a.shape[:axis], 1, *a.shape[axis + 1 :]) for a in (source, indices))
    )
    full = [
        np.broadcast_to(a, (*kept[:axis], a.shape[axis], *kept[axis + 1 :]))
        for a in (source, indices)
    ]
    return [np.take_along_axis(full[0], full[1], axis)]


def gather_nd(operands: Operands, attributes: Attributes, _: Any) -> list[Array]:
    (source, indices), batch = operands, attributes["batch_dims"]
    indexed = source.shape[batch : batch + indices.shape[-1]]
    indices = _places(indices, indexed)
    inner = indices.shape[batch:-1]
    grids = np.meshgrid(*map(np.arange, source.shape[:batch]), indexing="ij")
    places = [grid.reshape(grid.shape + (1,) * len(inner)) for grid in grids]
    return [source[(*places, *np.moveaxis(indices, -1, 0))].copy()]


_COMBINE: dict[str, Callable[[Any, Any], Any]] = {
    "none": lambda old, new: new,
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}


def _written(
    target: Array, places: Iterator[Any], values: Iterator[Any], reduction: str
) -> list[Array]:
    """Combines values into a copy one after the other, rounding after each."""
    result = target.copy()
    combine = _COMBINE[reduction]
    with np.errstate(all="ignore"):
        for place, value in zip(places, values, strict=True):
            new = np.asarray(value)
            if reduction != "none":
                old = np.asarray(result[place])
                new = wrapped(combine(wide(old), wide(new)), target.dtype)
            result[place] = new
    return [result]


def scatter(operands: Operands, attributes: Attributes, _: Any) -> list[Array]:
    target, indices, updates = operands
    axis = attributes["axis"]
    indices = _places(indices, target.shape[axis])

    def places() -> Iterator[Any]:
        for position in np.ndindex(*indices.shape):
            index = int(indices[position])
            yield (*position[:axis], index, *position[axis + 1 :])

    values = (updates[position] for position in np.ndindex(*indices.shape))
    return _written(target, places(), values, attributes["reduction"])


def scatter_nd(operands: Operands, attributes: Attributes, _: Any) -> list[Array]:
    target, indices, updates = operands
    indices = _places(indices, target.shape[: indices.shape[-1]])
    positions = list(np.ndindex(*indices.shape[:-1]))
    places = (tuple(map(int, indices[position])) for position in positions)
    values = (updates[position] for position in positions)
    return _written(target, places, values, attributes["reduction"])


MOVEMENT: dict[str, Entry] = {
    "ix.broadcast": broadcast,
    "ix.reshape": reshape,
    "ix.transpose": transpose,
    "ix.concat": concat,
    "ix.slice": slice_,
    "ix.split": split,
    "ix.pad": pad,
    "ix.flip": flip,
    "ix.tile": tile,
    "ix.iota": iota,
    "ix.dim": dim,
    "ix.gather": gather,
    "ix.take_along_axis": take_along_axis,
    "ix.gather_nd": gather_nd,
    "ix.scatter": scatter,
    "ix.scatter_nd": scatter_nd,
}
"""Op name → (operands, attributes as Python values, result types) → results."""
