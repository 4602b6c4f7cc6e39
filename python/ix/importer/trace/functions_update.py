"""NumPy functions that write into an array: they give the tracer a new value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ix.errors import InputError
from ix.importer import builder as b
from ix.importer.trace.tracer import Tracer, unwrapped


def _target(name: str, array: Any) -> Tracer:
    if not isinstance(array, Tracer):
        raise InputError(
            f"np.{name} needs an array that is traced to write into, but it is "
            f"{type(array).__name__}; create it with like=, as np.zeros(shape, like=x)"
        )
    return array


def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    target = _target("copyto", dst)
    update = b.broadcast_to(b.as_value(unwrapped(src)), target.shape)
    if where is not True:
        update = b.select(unwrapped(where), update, target.value)
    target.assign(update)


def _put_along_axis(arr: Any, indices: Any, values: Any, axis: int = -1) -> None:
    target = _target("put_along_axis", arr)
    places, updates = unwrapped(indices), unwrapped(values)
    target.overwrite(b.scatter(target.value, places, updates, axis))


def _putmask(a: Any, mask: Any, values: Any) -> None:
    _copyto(a, values, where=mask)


def _fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    target = _target("fill_diagonal", a)
    if target.ndim != 2 or wrap:
        raise InputError("np.fill_diagonal needs a matrix and wrap=False")
    mask = b.eye(*target.shape, dtype=bool)
    fill = b.as_value(unwrapped(val), target.dtype)
    target.assign(b.select(mask, fill, target.value))


UPDATE: dict[Any, Callable[..., None]] = {
    np.copyto: _copyto,
    np.fill_diagonal: _fill_diagonal,
    np.put_along_axis: _put_along_axis,
    np.putmask: _putmask,
}
"""NumPy function → the function on tracers."""
