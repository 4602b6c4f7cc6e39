"""Softmax, normalisations and dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer import promotion
from ix.importer.dims import product
from ix.importer.torch_export.call import Call, Handler, NotSupported

__all__ = ["NORMALIZATION"]


def _softmax(call: Call, x: Any, dim: int, *args: Any, **kwargs: Any) -> Any:
    return b.softmax(call.to(x), dim)


def _log_softmax(call: Call, x: Any, dim: int, *args: Any, **kwargs: Any) -> Any:
    return b.log_softmax(call.to(x), dim)


def _safe_softmax(call: Call, x: Any, dim: int, dtype: Any = None) -> Any:
    """Rows of −∞ give zeros, not NaN."""
    value = call.to(x)
    nothing = b.all(b.eq(value, call.to(-np.inf)), [dim], keepdims=True)
    return b.select(nothing, call.to(0), b.softmax(value, dim))


def _layer_norm(
    call: Call,
    x: Any,
    normalized_shape: Sequence[Any],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    return b.layer_norm(x, weight, bias, b.rank(x) - len(normalized_shape), eps)


def _native_layer_norm(
    call: Call,
    x: Any,
    normalized_shape: Sequence[Any],
    weight: Any,
    bias: Any,
    eps: float,
) -> Any:
    axis = b.rank(x) - len(normalized_shape)
    result = b.layer_norm(x, weight, bias, axis, eps)
    return result, *_moments(call, x, range(axis, b.rank(x)), eps, keepdims=True)


def _moments(
    call: Call, x: Any, axes: Sequence[int], eps: float, keepdims: bool
) -> tuple[Any, Any]:
    """The mean and 1 / √(variance + ε), where something reads them."""
    if not call.is_used(1) and not call.is_used(2):
        return None, None
    value = b.cast(x, np.float32) if b.dtype(x).itemsize < 4 else x
    mean = b.mean(value, list(axes), keepdims)
    return mean, b.rsqrt(b.add(b.var(value, list(axes), keepdims), eps))


def _rms_norm(
    call: Call,
    x: Any,
    normalized_shape: Sequence[Any],
    weight: Any = None,
    eps: float | None = None,
) -> Any:
    if eps is None:  # torch takes the epsilon of the dtype
        eps = float(machine_epsilon(call.dtype))
    return b.rms_norm(x, weight, b.rank(x) - len(normalized_shape), eps)


def machine_epsilon(dtype: np.dtype[Any]) -> Any:
    """The distance from 1 to the next number of a float dtype."""
    import ml_dtypes

    return ml_dtypes.finfo(dtype).eps


def _fused_rms_norm(
    call: Call, x: Any, normalized_shape: Sequence[Any], weight: Any, eps: Any
) -> Any:
    return _rms_norm(call, x, normalized_shape, weight, eps), None


def _batch_norm(
    call: Call,
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = False,
) -> Any:
    if training or running_mean is None:
        raise NotSupported("batch statistics; call .eval() on the module")
    return _affine_batch_norm(x, weight, bias, running_mean, running_var, eps)


def _affine_batch_norm(
    x: Any, weight: Any, bias: Any, mean: Any, variance: Any, eps: float
) -> Any:
    scale = b.ones(b.shape(mean), b.dtype(x)) if weight is None else weight
    shift = b.zeros(b.shape(mean), b.dtype(x)) if bias is None else bias
    return b.batch_norm(x, scale, shift, mean, variance, 1, eps)


def _native_batch_norm(call: Call, *args: Any) -> Any:
    return _batch_norm(call, *args), None, None


def _inference_batch_norm(
    call: Call,
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    momentum: float,
    eps: float,
) -> Any:
    result = _affine_batch_norm(x, weight, bias, running_mean, running_var, eps)
    return result, None, None


def _group_norm(
    call: Call,
    x: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:
    return b.group_norm(x, num_groups, *_pair(x, weight, bias), eps)


def _pair(x: Any, weight: Any, bias: Any) -> tuple[Any, Any]:
    """Scale and bias; a bias alone gets a scale of ones."""
    if weight is None and bias is not None:
        weight = b.ones(b.shape(bias), b.dtype(x))
    return weight, bias


def _native_group_norm(
    call: Call,
    x: Any,
    weight: Any,
    bias: Any,
    n: Any,
    c: Any,
    hxw: Any,
    group: int,
    eps: float,
) -> Any:
    result = _group_norm(call, x, group, weight, bias, eps)
    if not call.is_used(1) and not call.is_used(2):
        return result, None, None
    sizes = b.shape(x)
    flat = b.reshape(x, [sizes[0], group, product(sizes[1:]) // group])
    return result, *_moments(call, flat, [2], eps, keepdims=False)


def _instance_norm(
    call: Call,
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = False,
) -> Any:
    if not use_input_stats:
        return _affine_batch_norm(x, weight, bias, running_mean, running_var, eps)
    return b.instance_norm(x, *_pair(x, weight, bias), eps)


def _dropout(call: Call, x: Any, p: float = 0.5, train: bool = False) -> Any:
    if train and p:
        raise NotSupported("dropout of training; call .eval() on the module")
    return x


def _native_dropout(call: Call, x: Any, p: float, train: bool | None) -> Any:
    if train is not False and p:
        raise NotSupported("dropout of training; call .eval() on the module")
    return x, b.ones(b.shape(x), promotion.BOOL)


def _names(text: str, handler: Handler) -> dict[str, Handler]:
    return {f"aten.{name}": handler for name in text.split()}


NORMALIZATION: dict[str, Handler] = {
    **_names("_softmax.default softmax.int", _softmax),
    **_names("_log_softmax.default log_softmax.int", _log_softmax),
    "aten._safe_softmax.default": _safe_softmax,
    "aten.layer_norm.default": _layer_norm,
    "aten.native_layer_norm.default": _native_layer_norm,
    "aten.rms_norm.default": _rms_norm,
    "aten._fused_rms_norm.default": _fused_rms_norm,
    "aten.batch_norm.default": _batch_norm,
    **_names(
        "native_batch_norm.default _native_batch_norm_legit.default", _native_batch_norm
    ),
    "aten._native_batch_norm_legit_no_training.default": _inference_batch_norm,
    "aten.group_norm.default": _group_norm,
    "aten.native_group_norm.default": _native_group_norm,
    "aten.instance_norm.default": _instance_norm,
    **_names(
        "dropout.default feature_dropout.default alpha_dropout.default "
        "feature_alpha_dropout.default",
        _dropout,
    ),
    "aten.native_dropout.default": _native_dropout,
}
