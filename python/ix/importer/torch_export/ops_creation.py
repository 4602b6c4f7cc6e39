"""Tensors made of sizes and numbers, and masks made of positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ix.importer import builder as b
from ix.importer.dims import DimExpr
from ix.importer.torch_export.call import Call, Handler, NotSupported
from ix.importer.torch_export.dtypes import torch_dtype

__all__ = ["CREATION"]


def _filled(number: Any) -> Handler:
    def handler(call: Call, *args: Any, **kwargs: Any) -> Any:
        return b.full(call.shape, np.asarray(number).astype(call.dtype))

    return handler


def _full(call: Call, size: Any, fill_value: Any, **kwargs: Any) -> Any:
    return b.broadcast_to(call.to(fill_value), call.shape)


def _new_full(call: Call, x: Any, size: Any, fill_value: Any, **kwargs: Any) -> Any:
    return b.broadcast_to(call.to(fill_value), call.shape)


def _scalar_tensor(call: Call, s: Any, **kwargs: Any) -> Any:
    return call.to(s)


def _arange(call: Call, end: Any, **kwargs: Any) -> Any:
    return _range(call, 0, end, 1)


def _arange_start(call: Call, start: Any, end: Any, **kwargs: Any) -> Any:
    return _range(call, start, end, 1)


def _arange_step(call: Call, start: Any, end: Any, step: Any = 1, **kwargs: Any) -> Any:
    return _range(call, start, end, step)


def _range(call: Call, start: Any, end: Any, step: Any) -> Any:
    """Static bounds: torch's own numbers. A dynamic count: start + i · step."""
    if not any(isinstance(each, DimExpr) for each in (start, end, step)):
        dtype = torch_dtype(call.dtype)
        return b.as_value(torch.arange(start, end, step, dtype=dtype))
    positions = b.iota(call.shape, 0, np.int64)
    scaled = b.mul(call.to(positions), call.to(step))
    return b.add(scaled, call.to(start))


def _linspace(call: Call, start: Any, end: Any, steps: int, **kwargs: Any) -> Any:
    dtype = torch_dtype(call.dtype)
    return b.as_value(torch.linspace(start, end, steps, dtype=dtype))


def _eye(call: Call, n: Any, m: Any = None, **kwargs: Any) -> Any:
    return b.eye(*call.shape, dtype=call.dtype)


def _triangle(function: Any) -> Handler:
    def handler(call: Call, x: Any, diagonal: int = 0) -> Any:
        return function(x, diagonal)

    return handler


def _triangle_indices(function: Any) -> Handler:
    def handler(call: Call, row: int, col: int, offset: int = 0, **kwargs: Any) -> Any:
        return b.as_value(function(row, col, offset))

    return handler


def _one_hot(call: Call, x: Any, num_classes: int = -1) -> Any:
    if num_classes < 1:
        raise NotSupported("a number of classes that depends on data")
    return b.one_hot(x, num_classes, on=1, off=0, dtype=np.int64)


def _random(call: Call, *args: Any, **kwargs: Any) -> Any:
    raise NotSupported("random numbers; draw them outside and pass them as an input")


def _names(text: str, handler: Handler) -> dict[str, Handler]:
    return {f"aten.{name}": handler for name in text.split()}


CREATION: dict[str, Handler] = {
    **_names(
        "zeros.default zeros_like.default new_zeros.default empty.memory_format "
        "empty_like.default new_empty.default empty_strided.default "
        "new_empty_strided.default empty_permuted.default zero.default",
        _filled(0),
    ),
    **_names("ones.default ones_like.default new_ones.default", _filled(1)),
    **_names("full.default full_like.default fill.Scalar fill.Tensor", _full),
    "aten.new_full.default": _new_full,
    "aten.scalar_tensor.default": _scalar_tensor,
    "aten.arange.default": _arange,
    "aten.arange.start": _arange_start,
    "aten.arange.start_step": _arange_step,
    "aten.linspace.default": _linspace,
    **_names("eye.default eye.m", _eye),
    "aten.tril.default": _triangle(b.tril),
    "aten.triu.default": _triangle(b.triu),
    "aten.tril_indices.default": _triangle_indices(torch.tril_indices),
    "aten.triu_indices.default": _triangle_indices(torch.triu_indices),
    "aten.one_hot.default": _one_hot,
    **_names(
        "rand.default randn.default rand_like.default randn_like.default "
        "randint.default randint.low randperm.default bernoulli.default "
        "bernoulli.p multinomial.default normal.Tensor_Tensor uniform.default",
        _random,
    ),
}
