"""Elementwise ops: arithmetic, comparisons, logic, activations, casts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from ix.importer import builder as b
from ix.importer.onnx.node import Handler, Node, Unsupported

__all__ = ["ELEMENTWISE", "convert"]

_BOOL_BYTES = {("b", np.dtype(np.int8)), ("b", np.dtype(np.uint8))}
_INT4 = np.dtype(ml_dtypes.int4)
_FLOAT8 = (np.dtype(ml_dtypes.float8_e4m3fn), np.dtype(ml_dtypes.float8_e5m2))


def _unary(function: Callable[[Any], Any]) -> Handler:
    """An op on one input whose result keeps the input's element type."""

    def handle(node: Node) -> Any:
        return b.cast(function(node.input(0)), node.dtype(0))

    return handle


def _test(function: Callable[[Any], Any]) -> Handler:
    return lambda node: function(node.input(0))


def _binary(function: Callable[[Any, Any], Any]) -> Handler:
    return lambda node: function(node.input(0), _second(node))


def _second(node: Node) -> Any:
    """The second operand; before opset 7 an attribute says which axes it meets."""
    value, rank = node.input(1), node.rank(1)
    if node.opset >= 7 or not node.flag("broadcast") or not rank:
        return value
    start = node.axis("axis", node.rank(0) - rank, node.rank(0))
    return b.reshape(value, [*node.shape(1), *[1] * (node.rank(0) - rank - start)])


def _variadic(function: Callable[[Any, Any], Any]) -> Handler:
    """An op that folds any number of inputs from the left."""

    def handle(node: Node) -> Any:
        result = node.input(0)
        for index in range(1, len(node.raw_inputs)):
            result = function(result, node.input(index))
        return result

    return handle


def _mean(node: Node) -> Any:
    total = _variadic(b.add)(node)
    return b.div(total, float(len(node.raw_inputs)))


def _modulo(node: Node) -> Any:
    function = b.fmod if node.flag("fmod") else b.mod
    return function(node.input(0), node.input(1))


def _power(node: Node) -> Any:
    return b.cast(b.pow(node.input(0), _second(node)), node.dtype(0))


def _shift(node: Node) -> Any:
    left = node.text("direction") == "LEFT"
    value, amount = node.input(0), node.input(1)
    bits = 8 * node.dtype(0).itemsize
    # Outside of 0..bits − 1 the op leaves the result open: here it is 0, but a shift
    # right leaves the sign.
    safe = b.bitwise_and(amount, np.asarray(bits - 1, node.dtype(1)))
    shifted = (b.shift_left if left else b.shift_right)(value, safe)
    beyond: Any = 0
    if not left and node.dtype(0).kind == "i":
        beyond = b.select(b.lt(value, 0), -1, 0)
    inside = b.logical_and(b.ge(amount, 0), b.lt(amount, bits))
    return b.select(inside, shifted, b.cast(beyond, node.dtype(0)))


def _is_infinite(node: Node) -> Any:
    value = node.input(0)
    positive, negative = (
        node.flag("detect_positive", True),
        node.flag("detect_negative", True),
    )
    if positive and negative:
        return b.isinf(value)
    if not positive and not negative:
        return b.broadcast_to(np.asarray(False), node.shape(0))
    return b.eq(value, math.inf if positive else -math.inf)


def _clip(node: Node) -> Any:
    value = node.input(0)
    if node.opset < 11:
        low = node.number("min", float(np.finfo(np.float32).min))
        high = node.number("max", float(np.finfo(np.float32).max))
        return b.clip(value, low, high)
    return b.clip(value, node.optional(1), node.optional(2))


def _leaky_relu(node: Node) -> Any:
    x = node.input(0)
    return b.select(b.lt(x, 0.0), b.mul(x, node.number("alpha", 0.01)), x)


def _prelu(node: Node) -> Any:
    x, slope = node.input(0), node.input(1)
    if node.opset < 7 and node.rank(0) > 1:  # one slope for each channel
        slope = b.reshape(slope, [-1, *[1] * (node.rank(0) - 2)])
    return b.select(b.lt(x, 0), b.mul(x, slope), x)


def _elu(node: Node) -> Any:
    x = node.input(0)
    below = b.mul(b.expm1(b.min(x, 0.0)), node.number("alpha", 1.0))
    return b.select(b.lt(x, 0.0), below, x)


def _selu(node: Node) -> Any:
    x = node.input(0)
    alpha = node.number("alpha", 1.67326319217681884765625)
    gamma = node.number("gamma", 1.05070102214813232421875)
    below = b.mul(b.expm1(b.min(x, 0.0)), alpha)
    return b.mul(b.select(b.le(x, 0.0), below, x), gamma)


def _celu(node: Node) -> Any:
    x, alpha = node.input(0), node.number("alpha", 1.0)
    below = b.mul(b.expm1(b.min(b.div(x, alpha), 0.0)), alpha)
    return b.add(b.max(x, 0.0), b.min(below, 0.0))


def _hard_sigmoid(node: Node) -> Any:
    line = b.mul(node.input(0), node.number("alpha", 0.2))
    return b.clip(b.add(line, node.number("beta", 0.5)), 0.0, 1.0)


def _hard_swish(node: Node) -> Any:
    x = node.input(0)
    return b.mul(x, b.clip(b.add(b.mul(x, 1 / 6), 0.5), 0.0, 1.0))


def _thresholded_relu(node: Node) -> Any:
    x = node.input(0)
    return b.select(b.gt(x, node.number("alpha", 1.0)), x, 0.0)


def _shrink(node: Node) -> Any:
    x = node.input(0)
    bias, edge = node.number("bias", 0.0), node.number("lambd", 0.5)
    wide = b.cast(x, np.float32) if node.dtype(0).kind in "iu" else x
    above = b.select(b.gt(wide, edge), b.sub(wide, bias), 0.0)
    return b.cast(b.select(b.lt(wide, -edge), b.add(wide, bias), above), node.dtype(0))


def _gelu(node: Node) -> Any:
    return b.gelu(node.input(0), approximate=node.text("approximate", "none"))


def _swish(node: Node) -> Any:
    x, alpha = node.input(0), node.number("alpha", 1.0)
    return b.silu(x) if alpha == 1.0 else b.mul(x, b.sigmoid(b.mul(x, alpha)))


def _swiglu(node: Node) -> Any:
    return b.mul(_swish(node), node.input(1))


def _softsign(node: Node) -> Any:
    x = node.input(0)
    return b.div(x, b.add(b.abs(x), 1.0))


def _mish(node: Node) -> Any:
    x = node.input(0)
    return b.mul(x, b.tanh(b.softplus(x)))


def _cast(node: Node) -> Any:
    return convert(
        node.input(0), node.dtype_attribute("to"), node.flag("saturate", True)
    )


def _cast_like(node: Node) -> Any:
    return convert(node.input(0), node.dtype(1), node.flag("saturate", True))


def convert(value: Any, dtype: np.dtype[Any], saturate: bool = True) -> Any:
    """A cast as ONNX defines it: into float8 it saturates unless told otherwise."""
    if dtype in _FLOAT8 and saturate and b.dtype(value) != dtype:
        largest = float(ml_dtypes.finfo(dtype).max)
        wide = value
        if b.dtype(value) in _FLOAT8 or b.dtype(value).kind in "iub":
            wide = b.cast(value, np.float32)
        value = b.clip(wide, -largest, largest)
    if dtype == _INT4 and b.dtype(value).kind == "f":
        # Out of range is undefined; by way of int32 it wraps, as everywhere else.
        value = b.cast(value, np.int32)
    return b.cast(value, dtype)


def _bit_cast(node: Node) -> Any:
    """The same bits as another type: between bytes a cast keeps them."""
    dtype = node.dtype_attribute("to")
    if dtype == node.dtype(0):
        return node.input(0)
    bytes_ = {np.dtype(np.int8), np.dtype(np.uint8)}
    if {dtype, node.dtype(0)} == bytes_ or (node.dtype(0).kind, dtype) in _BOOL_BYTES:
        return b.cast(node.input(0), dtype)
    raise Unsupported(f"reads {node.dtype(0)} as {dtype}, which ix cannot")


def _dropout(node: Node) -> Any:
    """The identity: ix runs inference."""
    x = node.input(0)
    if node.has(2) and bool(node.scalar(2, "training_mode")):
        ratio = node.scalar(1, "ratio") if node.has(1) else 0.5
        if ratio != 0:
            raise Unsupported(
                "asks for training mode, but ix runs inference; export in eval mode"
            )
    if len(node.outputs) < 2:
        return x
    return x, b.broadcast_to(np.asarray(True), b.shape(x))


ELEMENTWISE: dict[str, Handler] = {
    "Abs": _unary(b.abs),
    "Acos": _unary(b.acos),
    "Acosh": _unary(b.acosh),
    "Add": _binary(b.add),
    "And": _binary(b.logical_and),
    "Asin": _unary(b.asin),
    "Asinh": _unary(b.asinh),
    "Atan": _unary(b.atan),
    "Atanh": _unary(b.atanh),
    "BitCast": _bit_cast,
    "BitShift": _shift,
    "BitwiseAnd": _binary(b.bitwise_and),
    "BitwiseNot": _unary(b.bitwise_not),
    "BitwiseOr": _binary(b.bitwise_or),
    "BitwiseXor": _binary(b.bitwise_xor),
    "Cast": _cast,
    "CastLike": _cast_like,
    "Ceil": _unary(b.ceil),
    "Celu": _celu,
    "Clip": _clip,
    "Cos": _unary(b.cos),
    "Cosh": _unary(b.cosh),
    "Div": _binary(b.div),
    "Dropout": _dropout,
    "Elu": _elu,
    "Equal": _binary(b.eq),
    "Erf": _unary(b.erf),
    "Exp": _unary(b.exp),
    "Floor": _unary(b.floor),
    "Gelu": _gelu,
    "Greater": _binary(b.gt),
    "GreaterOrEqual": _binary(b.ge),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Identity": lambda node: node.input(0),
    "IsInf": _is_infinite,
    "IsNaN": _test(b.isnan),
    "LeakyRelu": _leaky_relu,
    "Less": _binary(b.lt),
    "LessOrEqual": _binary(b.le),
    "Log": _unary(b.log),
    "Max": _variadic(b.max),
    "Mean": _mean,
    "Min": _variadic(b.min),
    "Mish": _mish,
    "Mod": _modulo,
    "Mul": _binary(b.mul),
    "Neg": _unary(b.neg),
    "Not": _test(b.logical_not),
    "OptionalGetElement": lambda node: node.input(0),
    "OptionalHasElement": lambda node: np.asarray(node.has(0)),
    "Or": _binary(b.logical_or),
    "PRelu": _prelu,
    "Pow": _power,
    "Reciprocal": _unary(b.reciprocal),
    "Relu": _unary(b.relu),
    "Round": _unary(b.rint),
    "Selu": _selu,
    "Shrink": _shrink,
    "Sigmoid": _unary(b.sigmoid),
    "Sign": _unary(b.sign),
    "Sin": _unary(b.sin),
    "Sinh": _unary(b.sinh),
    "Softplus": _unary(b.softplus),
    "Softsign": _softsign,
    "Sqrt": _unary(b.sqrt),
    "Sub": _binary(b.sub),
    "Sum": _variadic(b.add),
    "SwiGLU": _swiglu,
    "Swish": _swish,
    "Tan": _unary(b.tan),
    "Tanh": _unary(b.tanh),
    "ThresholdedRelu": _thresholded_relu,
    "Where": lambda node: b.select(node.input(0), node.input(1), node.input(2)),
    "Xor": _binary(b.logical_xor),
}
"""Op type → handler."""
