"""The methods and attributes of ndarray that a tracer has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ix.errors import InputError
from ix.importer import builder as b
from ix.importer.builder.values import weak_type
from ix.importer.trace.tracer import Tracer

Method = Callable[..., Any]


def _through(function: Any) -> Method:
    """The method that calls a NumPy function, which comes back to the tracer."""

    def method(self: Tracer, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__doc__ = f"As `numpy.{function.__name__}`."
    return method


def reshape(
    self: Tracer, *shape: Any, order: str = "C", copy: bool | None = None
) -> Any:
    """As `ndarray.reshape`, in C order."""
    if order not in ("C", "A"):
        raise InputError(
            f"'reshape' needs order='C', but got {order!r}; transpose first"
        )
    before = self.shape
    result = b.reshape(self.value, *shape)
    return Tracer(result, self, lambda value: b.reshape(value, before))


def transpose(self: Tracer, *axes: Any) -> Any:
    """As `ndarray.transpose`: axes as a tuple, one by one, or none."""
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], tuple | list)):
        axes = () if axes[0] is None else tuple(axes[0])
    result = b.transpose(self.value, axes or None)
    order = [axis % self.ndim for axis in axes] or list(range(self.ndim))[::-1]
    back = sorted(range(len(order)), key=order.__getitem__)
    return Tracer(result, self, lambda value: b.transpose(value, back))


def astype(self: Tracer, dtype: Any, *args: Any, **kwargs: Any) -> Any:
    """As `ndarray.astype`; the other arguments change nothing here."""
    same = np.dtype(dtype) == self.dtype and kwargs.get("copy") is False
    if same and weak_type(self.value) is None:
        return self
    return Tracer(b.cast(self.value, dtype))


def copy(self: Tracer, order: str = "C") -> Any:
    """The same elements in memory of their own."""
    return Tracer(self.value)


def fill(self: Tracer, value: Any) -> None:
    """Sets every element."""
    self[...] = value


def sort(self: Tracer, axis: int = -1, kind: Any = None, *, stable: Any = None) -> None:
    """Sorts in place."""
    self.overwrite(b.sort(self.value, axis))


def _needs_elements(name: str, remedy: str) -> Method:
    def method(self: Tracer, *args: Any, **kwargs: Any) -> Any:
        self._refuse(f"the elements of an array (.{name}())", remedy)

    return method


METHODS: dict[str, Method] = {
    "all": _through(np.all),
    "any": _through(np.any),
    "argmax": _through(np.argmax),
    "argmin": _through(np.argmin),
    "argsort": _through(np.argsort),
    "astype": astype,
    "clip": _through(np.clip),
    "conj": copy,
    "conjugate": copy,
    "copy": copy,
    "__array_namespace__": lambda self, api_version=None: np,
    "cumprod": _through(np.cumprod),
    "cumsum": _through(np.cumsum),
    "diagonal": _through(np.diagonal),
    "dot": _through(np.dot),
    "fill": fill,
    "flatten": lambda self, order="C": Tracer(b.ravel(self.value)),
    "item": _needs_elements("item", "keep it as an array, or return it"),
    "max": _through(np.max),
    "mean": _through(np.mean),
    "min": _through(np.min),
    "nonzero": _needs_elements("nonzero", "use np.where(mask, x, y)"),
    "prod": _through(np.prod),
    "ravel": _through(np.ravel),
    "repeat": _through(np.repeat),
    "reshape": reshape,
    "round": _through(np.round),
    "sort": sort,
    "squeeze": _through(np.squeeze),
    "std": _through(np.std),
    "sum": _through(np.sum),
    "swapaxes": _through(np.swapaxes),
    "take": _through(np.take),
    "tobytes": _needs_elements("tobytes", "return the array"),
    "tolist": _needs_elements("tolist", "iterate over the rows, or return the array"),
    "trace": _through(np.trace),
    "transpose": transpose,
    "var": _through(np.var),
}

PROPERTIES: dict[str, Method] = {
    "T": lambda self: transpose(self),
    "mT": lambda self: Tracer(b.matrix_transpose(self.value), self, b.matrix_transpose),
    "real": lambda self: self,
    "device": lambda self: "cpu",
    "imag": lambda self: Tracer(b.zeros_like(self.value)),
}
