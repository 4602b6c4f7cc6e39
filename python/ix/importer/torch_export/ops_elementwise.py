"""Arithmetic, comparison, logic and activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ix.importer import builder as b
from ix.importer import promotion
from ix.importer.torch_export.call import Call, Handler

__all__ = ["ELEMENTWISE"]


def _unary(function: Callable[[Any], Any]) -> Handler:
    """In the result's dtype, which is a float where torch makes integers floats."""

    def handler(call: Call, x: Any) -> Any:
        return function(call.to(x))

    return handler


def _binary(function: Callable[[Any, Any], Any]) -> Handler:
    def handler(call: Call, x: Any, y: Any) -> Any:
        return function(call.to(x), call.to(y))

    return handler


def _comparison(function: Callable[[Any, Any], Any]) -> Handler:
    def handler(call: Call, x: Any, y: Any) -> Any:
        return function(*call.common(x, y))

    return handler


def _test(function: Callable[[Any], Any]) -> Handler:
    """Of an operand in its own dtype, to bool."""

    def handler(call: Call, x: Any) -> Any:
        return function(x)

    return handler


def _scaled(call: Call, y: Any, alpha: Any) -> Any:
    value = call.to(y)
    return value if _is_one(alpha) else b.mul(value, call.to(alpha))


def _is_one(number: Any) -> bool:
    return isinstance(number, int | float) and number == 1


def _add(call: Call, x: Any, y: Any, alpha: Any = 1) -> Any:
    return b.add(call.to(x), _scaled(call, y, alpha))


def _sub(call: Call, x: Any, y: Any, alpha: Any = 1) -> Any:
    return b.sub(call.to(x), _scaled(call, y, alpha))


def _rsub(call: Call, x: Any, y: Any, alpha: Any = 1) -> Any:
    return b.sub(call.to(y), _scaled(call, x, alpha))


def _div(call: Call, x: Any, y: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode == "floor":
        return _floor_divide(call, x, y)
    quotient = b.div(call.to(x), call.to(y))  # truncates where it is an integer
    return b.trunc(quotient) if rounding_mode == "trunc" else quotient


def _floor_divide(call: Call, x: Any, y: Any) -> Any:
    return b.floor_div(call.to(x), call.to(y))


def _pow(call: Call, x: Any, exponent: Any) -> Any:
    base = call.to(x)
    known = isinstance(exponent, int | float) and exponent in _POWERS
    if known and promotion.is_float(call.dtype):
        return _POWERS[exponent](base)
    return b.pow(base, call.to(exponent))


_POWERS: dict[float, Callable[[Any], Any]] = {
    1: lambda x: x,
    2: b.square,
    3: lambda x: b.mul(b.square(x), x),
    0.5: b.sqrt,
    -0.5: b.rsqrt,
    -1: b.reciprocal,
}


def _clamp(call: Call, x: Any, min: Any = None, max: Any = None) -> Any:
    """Bounds may be numbers or tensors; where they cross, torch gives the maximum."""
    low = None if min is None else call.to(min)
    high = None if max is None else call.to(max)
    return b.clip(call.to(x), low, high)


def _clamp_low(call: Call, x: Any, min: Any) -> Any:
    return _clamp(call, x, min=min)


def _clamp_high(call: Call, x: Any, max: Any) -> Any:
    return _clamp(call, x, max=max)


def _where(call: Call, condition: Any, x: Any, y: Any) -> Any:
    return b.select(condition, call.to(x), call.to(y))


def _masked_fill(call: Call, x: Any, mask: Any, value: Any) -> Any:
    return b.select(mask, call.to(value), x)


def _addcmul(call: Call, x: Any, t1: Any, t2: Any, value: Any = 1) -> Any:
    product = b.mul(call.to(t1), call.to(t2))
    return b.add(
        call.to(x), product if _is_one(value) else b.mul(product, call.to(value))
    )


def _addcdiv(call: Call, x: Any, t1: Any, t2: Any, value: Any = 1) -> Any:
    quotient = b.div(call.to(t1), call.to(t2))
    return b.add(
        call.to(x), quotient if _is_one(value) else b.mul(quotient, call.to(value))
    )


def _lerp(call: Call, x: Any, end: Any, weight: Any) -> Any:
    start = call.to(x)
    return b.add(start, b.mul(call.to(weight), b.sub(call.to(end), start)))


def _round(call: Call, x: Any, decimals: int = 0) -> Any:
    return b.round(x, decimals) if promotion.is_float(call.dtype) else x


def _sign(call: Call, x: Any) -> Any:
    return x if call.dtype == promotion.BOOL else b.sign(x)


def _floats_only(function: Callable[[Any], Any]) -> Handler:
    """Of floats; integers and bools are their own result."""

    def handler(call: Call, x: Any) -> Any:
        return function(x) if promotion.is_float(call.dtype) else x

    return handler


def _nan_to_num(
    call: Call, x: Any, nan: Any = None, posinf: Any = None, neginf: Any = None
) -> Any:
    return b.nan_to_num(x, 0.0 if nan is None else nan, posinf, neginf)


def _logit(call: Call, x: Any, eps: float | None = None) -> Any:
    value = call.to(x)
    if eps is not None:
        value = b.clip(value, call.to(eps), call.to(1 - eps))
    return b.log(b.div(value, b.sub(call.to(1), value)))


def _xlogy(call: Call, x: Any, y: Any) -> Any:
    """x · log(y), 0 where x is 0, NaN where y is."""
    a, c = call.to(x), call.to(y)
    value = b.select(b.eq(a, call.to(0)), call.to(0), b.mul(a, b.log(c)))
    return b.select(b.isnan(c), c, value)


def _isclose(
    call: Call,
    x: Any,
    y: Any,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Any:
    return b.isclose(x, y, rtol, atol, equal_nan)


def _with_overloads(names: str, handler: Handler, overloads: str) -> dict[str, Handler]:
    return {
        f"aten.{name}.{overload}": handler
        for name in names.split()
        for overload in overloads.split()
    }


def _table(
    functions: dict[str, Any], make: Callable[[Any], Handler], overloads: str
) -> dict[str, Handler]:
    found: dict[str, Handler] = {}
    for names, function in functions.items():
        found |= _with_overloads(names, make(function), overloads)
    return found


_UNARY: dict[str, Callable[[Any], Any]] = {
    "exp": b.exp,
    "exp2": b.exp2,
    "expm1": b.expm1,
    "log": b.log,
    "log2": b.log2,
    "log10": b.log10,
    "log1p": b.log1p,
    "sqrt": b.sqrt,
    "rsqrt": b.rsqrt,
    "reciprocal": b.reciprocal,
    "sin": b.sin,
    "cos": b.cos,
    "tan": b.tan,
    "asin arcsin": b.asin,
    "acos arccos": b.acos,
    "atan arctan": b.atan,
    "sinh": b.sinh,
    "cosh": b.cosh,
    "tanh": b.tanh,
    "asinh arcsinh": b.asinh,
    "acosh arccosh": b.acosh,
    "atanh arctanh": b.atanh,
    "erf special_erf": b.erf,
    "erfc special_erfc": b.erfc,
    "sigmoid special_expit": b.sigmoid,
    "neg negative": b.neg,
    "abs absolute": b.abs,
    "square": b.square,
    "positive": lambda x: x,
    "deg2rad": lambda x: b.mul(x, 0.017453292519943295),
    "rad2deg": lambda x: b.mul(x, 57.29577951308232),
    "sinc": lambda x: _sinc(x),
    "frac": lambda x: b.sub(x, b.trunc(x)),
}


def _sinc(x: Any) -> Any:
    scaled = b.mul(x, 3.141592653589793)
    return b.select(b.eq(x, 0), 1.0, b.div(b.sin(scaled), scaled))


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "mul multiply": b.mul,
    "fmod": b.fmod,
    "__and__": b.bitwise_and,
    "__or__": b.bitwise_or,
    "__xor__": b.bitwise_xor,
    "__lshift__": b.shift_left,
    "__rshift__": b.shift_right,
    "copysign": b.copysign,
}

_SCALAR_FIRST: dict[str, Callable[[Any, Any], Any]] = {
    "remainder": b.mod,
    "bitwise_and": b.bitwise_and,
    "bitwise_or": b.bitwise_or,
    "bitwise_xor": b.bitwise_xor,
}

_SHIFTS: dict[str, Callable[[Any, Any], Any]] = {
    "bitwise_left_shift": b.shift_left,
    "bitwise_right_shift": b.shift_right,
}

_OF_TENSORS: dict[str, Callable[[Any, Any], Any]] = {
    "maximum": b.maximum,
    "minimum": b.minimum,
    "fmax": b.fmax,
    "fmin": b.fmin,
    "atan2 arctan2": b.atan2,
    "hypot": b.hypot,
    "logaddexp": b.logaddexp,
}

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": b.eq,
    "ne not_equal": b.ne,
    "lt less": b.lt,
    "le less_equal": b.le,
    "gt greater": b.gt,
    "ge greater_equal": b.ge,
}

_TESTS: dict[str, Callable[[Any], Any]] = {
    "isnan": b.isnan,
    "isinf": b.isinf,
    "isfinite": b.isfinite,
    "signbit": b.signbit,
    "logical_not": b.logical_not,
    "bitwise_not": b.bitwise_not,
}

_LOGICAL: dict[str, Callable[[Any, Any], Any]] = {
    "logical_and": b.logical_and,
    "logical_or": b.logical_or,
    "logical_xor": b.logical_xor,
}

_ROUNDING: dict[str, Callable[[Any], Any]] = {
    "ceil": b.ceil,
    "floor": b.floor,
    "trunc fix": b.trunc,
}

ELEMENTWISE: dict[str, Handler] = {
    **_table(_UNARY, _unary, "default"),
    **_table(_ARITHMETIC, _binary, "Tensor Scalar"),
    **_table(_SCALAR_FIRST, _binary, "Tensor Scalar Scalar_Tensor"),
    **_table(_SHIFTS, _binary, "Tensor Tensor_Scalar Scalar_Tensor"),
    **_table(_OF_TENSORS, _binary, "default"),
    **_table(_COMPARISONS, _comparison, "Tensor Scalar"),
    **_table(_TESTS, _test, "default"),
    **_table(_LOGICAL, lambda function: lambda call, x, y: function(x, y), "default"),
    **_table(_ROUNDING, _floats_only, "default"),
    **_with_overloads("add", _add, "Tensor Scalar"),
    **_with_overloads("sub subtract", _sub, "Tensor Scalar"),
    **_with_overloads("rsub", _rsub, "Tensor Scalar"),
    **_with_overloads("div divide", _div, "Tensor Scalar Tensor_mode Scalar_mode"),
    **_with_overloads("true_divide", _div, "Tensor Scalar"),
    **_with_overloads("floor_divide", _floor_divide, "default Scalar"),
    **_with_overloads("pow", _pow, "Tensor_Tensor Tensor_Scalar Scalar"),
    **_with_overloads("clamp clip", _clamp, "default Tensor"),
    **_with_overloads("clamp_min", _clamp_low, "default Tensor"),
    **_with_overloads("clamp_max", _clamp_high, "default Tensor"),
    **_with_overloads("where", _where, "self ScalarOther ScalarSelf Scalar"),
    **_with_overloads("masked_fill", _masked_fill, "Scalar Tensor"),
    **_with_overloads("lerp", _lerp, "Scalar Tensor"),
    **_with_overloads("round", _round, "default decimals"),
    "aten.max.other": _binary(b.maximum),
    "aten.min.other": _binary(b.minimum),
    "aten.addcmul.default": _addcmul,
    "aten.addcdiv.default": _addcdiv,
    "aten.sign.default": _sign,
    "aten.sgn.default": _sign,
    "aten.nan_to_num.default": _nan_to_num,
    "aten.logit.default": _logit,
    "aten.special_logit.default": _logit,
    "aten.isclose.default": _isclose,
    "aten.special_xlogy.default": _xlogy,
    "aten.special_xlogy.self_scalar": _xlogy,
    "aten.special_xlogy.other_scalar": _xlogy,
    **_with_overloads("xlogy", _xlogy, "Tensor Scalar_Other Scalar_Self"),
}
