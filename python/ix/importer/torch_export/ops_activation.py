"""Activation functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ix.importer import builder as b
from ix.importer.torch_export.call import Call, Handler, NotSupported

__all__ = ["ACTIVATION"]


def _plain(function: Callable[[Any], Any]) -> Handler:
    def handler(call: Call, x: Any) -> Any:
        return function(call.to(x))

    return handler


def _gelu(call: Call, x: Any, approximate: str = "none") -> Any:
    return b.gelu(x, approximate)


def _softplus(call: Call, x: Any, beta: Any = 1, threshold: Any = 20) -> Any:
    """log(1 + e^(β x)) / β, and x itself above the threshold."""
    inner = x if beta == 1 else b.mul(x, float(beta))
    soft = b.softplus(inner)
    soft = soft if beta == 1 else b.div(soft, call.to(beta))
    if threshold == 20:
        return soft  # equal there to the last digit of f32
    return b.select(b.gt(inner, call.to(threshold)), x, soft)


def _elu(
    call: Call, x: Any, alpha: Any = 1, scale: Any = 1, input_scale: Any = 1
) -> Any:
    if input_scale != 1:
        raise NotSupported("input_scale other than 1")
    value = b.elu(x, float(alpha))
    return value if scale == 1 else b.mul(value, float(scale))


def _leaky_relu(call: Call, x: Any, negative_slope: Any = 0.01) -> Any:
    return b.leaky_relu(x, float(negative_slope))


def _prelu(call: Call, x: Any, weight: Any) -> Any:
    return b.prelu(x, weight)


def _prelu_kernel(call: Call, x: Any, weight: Any) -> Any:
    return b.select(b.gt(x, call.to(0)), x, b.mul(x, weight))


def _hardtanh(call: Call, x: Any, min_val: Any = -1, max_val: Any = 1) -> Any:
    return b.clip(x, call.to(min_val), call.to(max_val))


def _threshold(call: Call, x: Any, threshold: Any, value: Any) -> Any:
    return b.select(b.le(x, call.to(threshold)), call.to(value), x)


def _shrink(function: Callable[[Any, float], Any]) -> Handler:
    def handler(call: Call, x: Any, lambd: Any = 0.5) -> Any:
        return function(x, float(lambd))

    return handler


def _glu(call: Call, x: Any, dim: int = -1) -> Any:
    return b.glu(x, dim)


def _celu(call: Call, x: Any, alpha: Any = 1.0) -> Any:
    return b.celu(x, float(alpha))


ACTIVATION: dict[str, Handler] = {
    "aten.silu.default": _plain(b.silu),
    "aten.relu.default": _plain(b.relu),
    "aten.relu6.default": _plain(b.relu6),
    "aten.selu.default": _plain(b.selu),
    "aten.mish.default": _plain(b.mish),
    "aten.hardswish.default": _plain(b.hardswish),
    "aten.hardsigmoid.default": _plain(b.hardsigmoid),
    "aten.log_sigmoid.default": _plain(b.log_sigmoid),
    "aten.gelu.default": _gelu,
    "aten.softplus.default": _softplus,
    "aten.elu.default": _elu,
    "aten.celu.default": _celu,
    "aten.leaky_relu.default": _leaky_relu,
    "aten.prelu.default": _prelu,
    "aten._prelu_kernel.default": _prelu_kernel,
    "aten.hardtanh.default": _hardtanh,
    "aten.threshold.default": _threshold,
    "aten.softshrink.default": _shrink(b.softshrink),
    "aten.hardshrink.default": _shrink(b.hardshrink),
    "aten.glu.default": _glu,
}
