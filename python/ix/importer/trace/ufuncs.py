"""NumPy's ufuncs, and those of scipy.special, on tracers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ix.errors import InputError, UnsupportedError
from ix.importer import builder as b
from ix.importer.builder.elementwise import in_floats
from ix.importer.locations import user_position
from ix.importer.promotion import BOOL, float_dtype
from ix.importer.trace.tracer import Tracer, strongly_wrapped, unwrapped

Function = Callable[..., Any]


def _floating(x: Any) -> Any:
    return b.cast(b.as_value(x), float_dtype(b.dtype(x)))


def _scaled(factor: float) -> Function:
    return lambda x: b.mul(_floating(x), factor)


def _positive(x: Any) -> Any:
    if b.dtype(x) == BOOL:
        raise InputError("'positive' needs numbers, but the operand is bool")
    return b.as_value(x)


def _modf(x: Any) -> tuple[Any, Any]:
    whole = b.trunc(b.true_divide(x, 1))
    fraction = b.select(b.isinf(x), 0.0, b.sub(x, whole))
    return b.copysign(fraction, x), whole


def _heaviside(x: Any, at_zero: Any) -> Any:
    x, at_zero = in_floats("heaviside", x, at_zero)
    step = b.select(b.lt(x, 0), 0.0, b.select(b.eq(x, 0), at_zero, 1.0))
    return b.select(b.isnan(x), x, step)


def _logaddexp2(x: Any, y: Any) -> Any:
    log2 = math.log(2.0)
    return b.true_divide(b.logaddexp(b.mul(x, log2), b.mul(y, log2)), log2)


def _float_power(x: Any, y: Any) -> Any:
    return b.pow(b.cast(b.as_value(x), np.float64), y)


def _xlogy(x: Any, y: Any) -> Any:
    return b.select(
        b.logical_and(b.eq(x, 0), b.ne(y, y)),
        y,
        b.select(b.eq(x, 0), 0.0, b.mul(x, b.log(y))),
    )


def _logit(x: Any) -> Any:
    return b.sub(b.log(x), b.log1p(b.neg(x)))


def _ndtr(x: Any) -> Any:
    return b.mul(b.erfc(b.mul(x, -math.sqrt(0.5))), 0.5)


def _matvec(a: Any, x: Any) -> Any:
    return b.squeeze(b.matmul(a, b.expand_dims(x, -1)), -1)


def _vecmat(x: Any, a: Any) -> Any:
    return b.squeeze(b.matmul(b.expand_dims(x, -2), a), -2)


UFUNCS: dict[str, Function] = {
    "absolute": b.abs,
    "add": b.add,
    "arccos": b.acos,
    "arccosh": b.acosh,
    "arcsin": b.asin,
    "arcsinh": b.asinh,
    "arctan": b.atan,
    "arctan2": b.atan2,
    "arctanh": b.atanh,
    "bitwise_and": b.bitwise_and,
    "bitwise_or": b.bitwise_or,
    "bitwise_xor": b.bitwise_xor,
    "cbrt": b.cbrt,
    "ceil": b.ceil,
    "clip": b.clip,
    "conjugate": _positive,
    "copysign": b.copysign,
    "cos": b.cos,
    "cosh": b.cosh,
    "deg2rad": _scaled(math.pi / 180),
    "degrees": _scaled(180 / math.pi),
    "divide": b.true_divide,
    "divmod": b.divmod,
    "equal": b.eq,
    "erf": b.erf,
    "erfc": b.erfc,
    "exp": b.exp,
    "exp2": b.exp2,
    "expit": b.sigmoid,
    "expm1": b.expm1,
    "fabs": lambda x: b.abs(_floating(x)),
    "float_power": _float_power,
    "floor": b.floor,
    "floor_divide": b.floor_div,
    "fmax": b.fmax,
    "fmin": b.fmin,
    "fmod": b.fmod,
    "greater": b.gt,
    "greater_equal": b.ge,
    "heaviside": _heaviside,
    "hypot": b.hypot,
    "invert": b.bitwise_not,
    "isfinite": b.isfinite,
    "isinf": b.isinf,
    "isnan": b.isnan,
    "ldexp": lambda x, n: b.mul(_floating(x), b.exp2(b.cast(b.as_value(n), "f4"))),
    "left_shift": b.shift_left,
    "less": b.lt,
    "less_equal": b.le,
    "log": b.log,
    "log10": b.log10,
    "log1p": b.log1p,
    "log2": b.log2,
    "log_expit": b.log_sigmoid,
    "logaddexp": b.logaddexp,
    "logaddexp2": _logaddexp2,
    "logical_and": b.logical_and,
    "logical_not": b.logical_not,
    "logical_or": b.logical_or,
    "logical_xor": b.logical_xor,
    "logit": _logit,
    "matmul": b.matmul,
    "matvec": _matvec,
    "maximum": b.max,
    "minimum": b.min,
    "modf": _modf,
    "multiply": b.mul,
    "ndtr": _ndtr,
    "negative": b.neg,
    "not_equal": b.ne,
    "positive": _positive,
    "power": b.pow,
    "rad2deg": _scaled(180 / math.pi),
    "radians": _scaled(math.pi / 180),
    "reciprocal": b.reciprocal,
    "remainder": b.mod,
    "right_shift": b.shift_right,
    "rint": b.rint,
    "sign": b.sign,
    "signbit": b.signbit,
    "sin": b.sin,
    "sinh": b.sinh,
    "sqrt": b.sqrt,
    "square": b.square,
    "subtract": b.sub,
    "tan": b.tan,
    "tanh": b.tanh,
    "trunc": b.trunc,
    "vecdot": b.vecdot,
    "vecmat": _vecmat,
    "xlogy": _xlogy,
}

REDUCTIONS: dict[str, Function] = {
    "add": b.sum,
    "multiply": b.prod,
    "maximum": b.amax,
    "minimum": b.amin,
    "logical_and": b.all,
    "logical_or": b.any,
}

ACCUMULATIONS: dict[str, Function] = {"add": b.cumsum, "multiply": b.cumprod}

_NO_EFFECT = ("casting", "order", "subok")


def apply_ufunc(
    ufunc: Any, method: str, inputs: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """What `ufunc.method(*inputs, **kwargs)` gives, as tracers.

    Raises:
        UnsupportedError: ix has no such ufunc or method; names both and the line.
        InputError: `out` is an actual array.
    """
    options = {
        key: unwrapped(each) for key, each in kwargs.items() if key not in _NO_EFFECT
    }
    out = kwargs.get("out")
    options.pop("out", None)
    operands = [unwrapped(each) for each in inputs]
    result = _evaluate(ufunc.__name__, method, operands, options, out)
    return into_outputs(ufunc.__name__, strongly_wrapped(result), out)


def _evaluate(
    name: str, method: str, operands: list[Any], options: dict[str, Any], out: Any
) -> Any:
    if method == "__call__" and name in UFUNCS:
        return _call(name, operands, options, out)
    if method == "reduce" and name in REDUCTIONS:
        return _reduce(name, operands[0], options)
    if method == "accumulate" and name in ACCUMULATIONS:
        options.setdefault("axis", 0)
        return ACCUMULATIONS[name](operands[0], **options)
    if method == "outer" and name in UFUNCS:
        left, right = operands
        places = list(range(b.rank(left), b.rank(left) + b.rank(right)))
        spread = b.expand_dims(left, places) if places else left
        return _call(name, [spread, right], options, out)
    spelled = name if method == "__call__" else f"{name}.{method}"
    raise UnsupportedError(
        [f"the ufunc {spelled}, called at {user_position()}"],
        "compute it with other NumPy functions, or outside of the traced function",
    )


def _call(name: str, operands: list[Any], options: dict[str, Any], out: Any) -> Any:
    mask = options.pop("where", True)
    dtype = options.pop("dtype", None)
    if dtype is not None:
        operands = [b.cast(b.as_value(each), dtype) for each in operands]
    result = _with_options(name, UFUNCS[name], operands, options)
    if mask is True:
        return result
    if out is None or not isinstance(out[0], Tracer):
        raise InputError(
            f"np.{name} with where= needs out=, an array that is traced, for the "
            "other elements, but got none; use np.where"
        )
    return b.select(mask, result, out[0].value)


def _with_options(
    name: str, function: Function, operands: list[Any], options: dict[str, Any]
) -> Any:
    try:
        return function(*operands, **options)
    except TypeError as error:
        if not options:
            raise
        raise InputError(f"np.{name}: {error}") from None


def _reduce(name: str, operand: Any, options: dict[str, Any]) -> Any:
    options.setdefault("axis", 0)
    for unused in ("initial", "where"):
        if options.pop(unused, None) not in (None, True, np._NoValue):
            raise InputError(
                f"np.{name}.reduce needs its default for {unused}=, but got another; "
                "use np.where before reducing"
            )
    if options.get("dtype", 0) is None or name not in ("add", "multiply"):
        options.pop("dtype", None)
    return _with_options(f"{name}.reduce", REDUCTIONS[name], [operand], options)


def into_outputs(name: str, result: Any, out: Any) -> Any:
    """Writes results into `out=` arrays, if there are any.

    Raises:
        InputError: One of them is an actual array, whose elements are not traced.
    """
    targets = out if isinstance(out, tuple) else (out,)
    if all(each is None for each in targets):
        return result
    results = result if isinstance(result, tuple) else (result,)
    for target, value in zip(targets, results, strict=True):
        if not isinstance(target, Tracer):
            raise InputError(
                f"np.{name} needs out= to be an array that is traced, but it is "
                f"{type(target).__name__}; drop out=, or create it with like="
            )
        target.assign(value.value)
    return out[0] if isinstance(out, tuple) and len(out) == 1 else out
