"""NumPy semantics of the ops of `elementwise.py`.

Floats compute in float64 and round once; integers compute in int64 and wrap once.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ix.dialects.ix.reference_precision import Array, is_float, rounded
from ix.dialects.ix.shapes import numpy_dtype

__all__ = ["ELEMENTWISE", "wide", "wrapped"]

Attributes = dict[str, Any]
Entry = Callable[[Sequence[Array], Attributes, Sequence[Any]], list[Array]]


def wide(array: Array) -> Array:
    """The array in the type to compute in: float64, int64 or bool."""
    if array.dtype == np.bool_:
        return array
    return array.astype(np.float64 if is_float(array.dtype) else np.int64)


def wrapped(array: Any, dtype: Any) -> Array:
    """int64 or float64 results in the element type; integers keep their low bits."""
    dtype = np.dtype(dtype)
    if dtype.name == "int4":
        array = ((np.asarray(array) & 15) ^ 8) - 8
    return rounded(array, dtype)


def _computed(function: Callable[..., Any]) -> Entry:
    """An entry that computes wide and gives the element type of the first operand."""

    def run(operands: Sequence[Array], _: Attributes, __: Any) -> list[Array]:
        with np.errstate(all="ignore"):
            result = function(*map(wide, operands))
        return [wrapped(result, operands[0].dtype)]

    return run


def _tested(function: Callable[..., Any]) -> Entry:
    """An entry whose result is i1."""

    def run(operands: Sequence[Array], _: Attributes, __: Any) -> list[Array]:
        with np.errstate(all="ignore"):
            return [np.asarray(function(*map(wide, operands)), np.bool_)]

    return run


def _whole(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """A rounding function that leaves integers as they are."""
    return lambda x: function(x) if x.dtype.kind == "f" else x


_erf = np.frompyfunc(math.erf, 1, 1)
_erfc = np.frompyfunc(math.erfc, 1, 1)


def erf(x: Array) -> Array:
    return np.asarray(_erf(x), np.float64)


def erfc(x: Array) -> Array:
    return np.asarray(_erfc(x), np.float64)


def gelu(operands: Sequence[Array], attributes: Attributes, _: Any) -> list[Array]:
    x = wide(operands[0])
    with np.errstate(all="ignore"):
        if attributes["approximate"] == "tanh":
            inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
            result = 0.5 * x * (1 + np.tanh(inner))
        else:
            result = np.where(np.isneginf(x), -0.0, 0.5 * x * erfc(-x / math.sqrt(2)))
    return [rounded(result, operands[0].dtype)]


def integer_quotient(a: Array, b: Array) -> Array:
    """The quotient of int64 toward zero; 0 where b is 0."""
    safe = np.where(b == 0, 1, b)
    floor = a // safe
    inexact = floor * safe != a
    return np.where(b == 0, 0, floor + (inexact & ((a < 0) != (safe < 0))))


def divide(a: Array, b: Array) -> Any:
    return a / b if a.dtype.kind == "f" else integer_quotient(a, b)


def floor_divide(a: Array, b: Array) -> Any:
    if a.dtype.kind == "f":
        return np.floor_divide(a, b)
    return np.where(b == 0, 0, a // np.where(b == 0, 1, b))


def modulo(a: Array, b: Array) -> Any:
    if a.dtype.kind == "f":
        return np.mod(a, b)
    return np.where(b == 0, 0, np.mod(a, np.where(b == 0, 1, b)))


def truncated_modulo(a: Array, b: Array) -> Any:
    if a.dtype.kind == "f":
        return np.fmod(a, b)
    return np.where(b == 0, 0, np.fmod(a, np.where(b == 0, 1, b)))


def power(a: Array, b: Array) -> Any:
    if a.dtype.kind == "f":
        return np.power(a, b)
    a, b = np.broadcast_arrays(a, b)
    positive = np.power(a, np.maximum(b, 0))
    reciprocal = np.where(a == 1, 1, np.where(a == -1, 1 - 2 * (b & 1), 0))
    return np.where(b < 0, reciprocal, positive)


def bitwise_not(operands: Sequence[Array], _: Attributes, __: Any) -> list[Array]:
    return [wrapped(~operands[0].astype(np.int64), operands[0].dtype)]


def _shifted(left: bool) -> Entry:
    """A shift in the operands' width; amounts outside 0..width−1 shift all out."""

    def run(operands: Sequence[Array], _: Attributes, __: Any) -> list[Array]:
        dtype = operands[0].dtype
        width = 4 if dtype.name == "int4" else 8 * dtype.itemsize
        a, b = map(wide, operands)
        inside = (b >= 0) & (b < width)
        amount = np.where(inside, b, 0)
        if left:
            result = np.where(inside, a << amount, 0)
        else:
            result = np.where(inside, a >> amount, np.where(a < 0, -1, 0))
        return [wrapped(result, dtype)]

    return run


def select(operands: Sequence[Array], _: Attributes, __: Any) -> list[Array]:
    condition, a, b = np.broadcast_arrays(*operands)
    result = b.copy()
    result[condition] = a[condition]
    return [result]


def cast(
    operands: Sequence[Array], _: Attributes, result_types: Sequence[Any]
) -> list[Array]:
    source = operands[0]
    return [converted(source, numpy_dtype(result_types[0].element_type))]


def converted(source: Array, dtype: np.dtype[Any]) -> Array:
    """An array in another element type, by the rules of `ix.cast`."""
    if dtype == np.bool_:
        return np.asarray(wide(source) != 0)
    if is_float(dtype):
        return rounded(source, dtype)
    if not is_float(source.dtype):
        return wrapped(source.astype(np.int64), dtype)
    low, high = integer_limits(dtype)
    whole = np.trunc(wide(source))
    too_high, too_low = whole >= float(high) + 1, whole < low
    inside = np.where(np.isnan(whole) | too_high | too_low, 0, whole).astype(np.int64)
    return wrapped(np.where(too_high, high, np.where(too_low, low, inside)), dtype)


def integer_limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The smallest and largest value of an integer dtype, int4 included."""
    if dtype.name == "int4":
        return -8, 7
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


ELEMENTWISE: dict[str, Entry] = {
    "ix.exp": _computed(np.exp),
    "ix.exp2": _computed(np.exp2),
    "ix.expm1": _computed(np.expm1),
    "ix.log": _computed(np.log),
    "ix.log2": _computed(np.log2),
    "ix.log10": _computed(np.log10),
    "ix.log1p": _computed(np.log1p),
    "ix.sqrt": _computed(np.sqrt),
    "ix.rsqrt": _computed(lambda x: 1 / np.sqrt(x)),
    "ix.cbrt": _computed(np.cbrt),
    "ix.reciprocal": _computed(lambda x: 1 / x),
    "ix.sin": _computed(np.sin),
    "ix.cos": _computed(np.cos),
    "ix.tan": _computed(np.tan),
    "ix.asin": _computed(np.arcsin),
    "ix.acos": _computed(np.arccos),
    "ix.atan": _computed(np.arctan),
    "ix.sinh": _computed(np.sinh),
    "ix.cosh": _computed(np.cosh),
    "ix.tanh": _computed(np.tanh),
    "ix.asinh": _computed(np.arcsinh),
    "ix.acosh": _computed(np.arccosh),
    "ix.atanh": _computed(np.arctanh),
    "ix.erf": _computed(erf),
    "ix.erfc": _computed(erfc),
    "ix.gelu": gelu,
    "ix.silu": _computed(lambda x: x / (1 + np.exp(-x))),
    "ix.sigmoid": _computed(lambda x: 1 / (1 + np.exp(-x))),
    "ix.softplus": _computed(lambda x: np.logaddexp(0, x)),
    "ix.relu": _computed(lambda x: np.maximum(x, 0)),
    "ix.neg": _computed(np.negative),
    "ix.abs": _computed(np.abs),
    "ix.sign": _computed(np.sign),
    "ix.ceil": _computed(_whole(np.ceil)),
    "ix.floor": _computed(_whole(np.floor)),
    "ix.round": _computed(_whole(np.rint)),
    "ix.trunc": _computed(_whole(np.trunc)),
    "ix.bitwise_not": bitwise_not,
    "ix.logical_not": _tested(np.logical_not),
    "ix.isnan": _tested(np.isnan),
    "ix.isinf": _tested(np.isinf),
    "ix.isfinite": _tested(np.isfinite),
    "ix.add": _computed(np.add),
    "ix.sub": _computed(np.subtract),
    "ix.mul": _computed(np.multiply),
    "ix.div": _computed(divide),
    "ix.floor_div": _computed(floor_divide),
    "ix.mod": _computed(modulo),
    "ix.fmod": _computed(truncated_modulo),
    "ix.pow": _computed(power),
    "ix.max": _computed(np.maximum),
    "ix.min": _computed(np.minimum),
    "ix.atan2": _computed(np.arctan2),
    "ix.and": _computed(np.bitwise_and),
    "ix.or": _computed(np.bitwise_or),
    "ix.xor": _computed(np.bitwise_xor),
    "ix.shift_left": _shifted(left=True),
    "ix.shift_right": _shifted(left=False),
    "ix.eq": _tested(np.equal),
    "ix.ne": _tested(np.not_equal),
    "ix.lt": _tested(np.less),
    "ix.le": _tested(np.less_equal),
    "ix.gt": _tested(np.greater),
    "ix.ge": _tested(np.greater_equal),
    "ix.select": select,
    "ix.clamp": _computed(lambda x, low, high: np.minimum(np.maximum(x, low), high)),
    "ix.cast": cast,
}
"""Op name → (operands, attributes as Python values, result types) → results."""
