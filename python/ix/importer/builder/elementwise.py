"""Elementwise primitives with NumPy's promotion; broadcasting is the ops' own.

Where NumPy and the op of the same name differ on integers, `true_divide`,
`floor_divide` and `power` are NumPy's; `div` is the op (truncating on integers).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ix.errors import InputError
from ix.importer import promotion
from ix.importer.builder.values import (
    as_value,
    broadcast_shapes,
    cast,
    dtype,
    emit,
    mark_weak,
    promoted,
    rank,
    shape,
    weak_type,
)
from ix.importer.promotion import BOOL, FLOAT64, INT8, float_dtype, mean_dtype
from ix.mlir import ir

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_and",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "cbrt",
    "ceil",
    "cos",
    "cosh",
    "div",
    "eq",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "floor_div",
    "fmod",
    "ge",
    "gelu",
    "gt",
    "isfinite",
    "isinf",
    "isnan",
    "le",
    "log",
    "log1p",
    "log2",
    "log10",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "max",
    "maximum",
    "min",
    "minimum",
    "mod",
    "mul",
    "ne",
    "neg",
    "pow",
    "relu",
    "rint",
    "rsqrt",
    "select",
    "shift_left",
    "shift_right",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "square",
    "sub",
    "tan",
    "tanh",
    "true_divide",
    "trunc",
    "where",
]


def apply(name: str, mnemonic: str, values: Sequence[Any], weak: Any = None) -> Any:
    """Builds an op on promoted Values; `weak` is the weak type of its result."""
    sizes = broadcast_shapes(name, *(shape(value) for value in values))
    result = emit(mnemonic, *values, like=sizes)
    return result if weak is None else mark_weak(result, weak)


def _unary_float(name: str, mnemonic: str = "") -> Callable[[Any], Any]:
    mnemonic = mnemonic or name

    def function(x: Any) -> Any:
        (value,), weak = promoted(name, x)
        if weak is None:
            return apply(name, mnemonic, [cast(value, float_dtype(dtype(value)))])
        return apply(name, mnemonic, [recast(value, FLOAT64)], float)

    return documented(function, name, "of a float; integers become floats.")


def recast(value: Any, target: Any) -> Any:
    """Casts unless the dtype is `target` already; a weak scalar stays weak."""
    return value if dtype(value) == target else cast(value, target)


def documented(function: Callable[..., Any], name: str, text: str) -> Any:
    """Gives a function made from a table its name and docstring."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`ix.{name}`, elementwise, {text}"
    return function


exp = _unary_float("exp")
exp2 = _unary_float("exp2")
expm1 = _unary_float("expm1")
log = _unary_float("log")
log2 = _unary_float("log2")
log10 = _unary_float("log10")
log1p = _unary_float("log1p")
sqrt = _unary_float("sqrt")
rsqrt = _unary_float("rsqrt")
cbrt = _unary_float("cbrt")
sin = _unary_float("sin")
cos = _unary_float("cos")
tan = _unary_float("tan")
asin = _unary_float("asin")
acos = _unary_float("acos")
atan = _unary_float("atan")
sinh = _unary_float("sinh")
cosh = _unary_float("cosh")
tanh = _unary_float("tanh")
asinh = _unary_float("asinh")
acosh = _unary_float("acosh")
atanh = _unary_float("atanh")
erf = _unary_float("erf")
erfc = _unary_float("erfc")
silu = _unary_float("silu")
sigmoid = _unary_float("sigmoid")
softplus = _unary_float("softplus")


def gelu(x: Any, approximate: str = "none") -> Any:
    """x · Φ(x): exact, or with `approximate="tanh"` by the tanh formula."""
    (value,), _ = promoted("gelu", x)
    value = cast(value, float_dtype(dtype(value)))
    return emit("gelu", value, approximate=approximate, like=shape(value))


def _unary_number(
    mnemonic: str, *, keep_integers: bool = False
) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        (value,), weak = promoted(mnemonic, x)
        kind = dtype(value)
        if keep_integers and not promotion.is_float(kind):
            return value
        if kind == BOOL:
            if mnemonic == "abs":
                return value
            raise InputError(
                f"'{mnemonic}' needs numbers, but the operand is bool; use "
                "np.logical_not or astype"
            )
        return apply(mnemonic, mnemonic, [value], weak)

    return documented(function, mnemonic, "of any number.")


neg = _unary_number("neg")
abs = _unary_number("abs")
sign = _unary_number("sign")
relu = _unary_number("relu")
ceil = _unary_number("ceil", keep_integers=True)
floor = _unary_number("floor", keep_integers=True)
trunc = _unary_number("trunc", keep_integers=True)
rint = _unary_float("rint", "round")


def _test_float(mnemonic: str, on_integers: bool) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        (value,), _ = promoted(mnemonic, x)
        if promotion.is_float(dtype(value)):
            return apply(mnemonic, mnemonic, [value])
        return _full_bool(value, on_integers)

    return documented(function, mnemonic, "gives bool.")


def _full_bool(value: Any, answer: bool) -> Any:
    """A bool tensor of the shape of `value`, all `answer`."""
    return eq(value, value) if answer else ne(value, value)


isnan = _test_float("isnan", False)
isinf = _test_float("isinf", False)
isfinite = _test_float("isfinite", True)


_BOOL_FORMS = {"add": "or", "mul": "and", "max": "or", "min": "and"}


def _binary_number(name: str, mnemonic: str = "") -> Callable[[Any, Any], Any]:
    mnemonic = mnemonic or name

    def function(a: Any, b: Any) -> Any:
        values, weak = promoted(name, a, b)
        if dtype(values[0]) != BOOL:
            return apply(name, mnemonic, values, weak)
        if mnemonic in _BOOL_FORMS:
            return apply(name, _BOOL_FORMS[mnemonic], values, weak)
        if mnemonic == "sub":
            raise InputError(
                "'sub' needs numbers, but both operands are bool; use "
                "np.logical_xor or astype"
            )
        return apply(name, mnemonic, [cast(value, INT8) for value in values])

    return documented(function, name, "promotes as NumPy does.")


add = _binary_number("add")
sub = _binary_number("sub")
mul = _binary_number("mul")
div = _binary_number("div")
floor_div = _binary_number("floor_div")
mod = _binary_number("mod")
fmod = _binary_number("fmod")
pow = _binary_number("pow")
max = _binary_number("max")
min = _binary_number("min")


def true_divide(a: Any, b: Any) -> Any:
    """a / b in floats; integers divide in float64."""
    values, weak = promoted("true_divide", a, b)
    target = mean_dtype(dtype(values[0]))
    kind = None if weak is None else float
    return apply("true_divide", "div", [recast(v, target) for v in values], kind)


def in_floats(name: str, *operands: Any) -> list[Any]:
    """Operands as Values of the float dtype in which NumPy evaluates atan2, hypot, …"""
    kinds = [weak_type(each) for each in operands]
    if all(kind is not None for kind in kinds):
        return [as_value(each, FLOAT64) for each in operands]
    floats = [
        float_dtype(dtype(each))
        for each, kind in zip(operands, kinds, strict=True)
        if kind is None
    ]
    return promoted(name, *operands, to=promotion.promote(floats))[0]


def atan2(a: Any, b: Any) -> Any:
    """The angle of the point (b, a), in floats."""
    return apply("atan2", "atan2", in_floats("atan2", a, b))


def _comparison(mnemonic: str) -> Callable[[Any, Any], Any]:
    def function(a: Any, b: Any) -> Any:
        values, weak = promoted(mnemonic, a, b)
        kind = None if weak is None else bool
        return apply(mnemonic, mnemonic, values, kind)

    return documented(function, mnemonic, "gives bool.")


def square(x: Any) -> Any:
    """x · x; of bool in int8."""
    value = as_value(x) if weak_type(x) is None else x
    return mul(*[cast(value, INT8)] * 2) if dtype(value) == BOOL else mul(value, value)


eq = _comparison("eq")
ne = _comparison("ne")
lt = _comparison("lt")
le = _comparison("le")
gt = _comparison("gt")
ge = _comparison("ge")


def _bits(name: str, mnemonic: str) -> Callable[[Any, Any], Any]:
    def function(a: Any, b: Any) -> Any:
        values, weak = promoted(name, a, b)
        kind = dtype(values[0])
        if promotion.is_float(kind):
            raise InputError(
                f"'{name}' needs integers or bools, but the operands meet in {kind}; "
                "convert them with astype"
            )
        if kind == BOOL and mnemonic.startswith("shift"):
            values = [cast(value, INT8) for value in values]
        return apply(name, mnemonic, values, weak)

    return documented(function, name, "of integers or bools.")


bitwise_and = _bits("bitwise_and", "and")
bitwise_or = _bits("bitwise_or", "or")
bitwise_xor = _bits("bitwise_xor", "xor")
shift_left = _bits("shift_left", "shift_left")
shift_right = _bits("shift_right", "shift_right")


def bitwise_not(x: Any) -> Any:
    """Flips every bit of integers; negates bools."""
    (value,), weak = promoted("bitwise_not", x)
    if promotion.is_float(dtype(value)):
        raise InputError(
            f"'bitwise_not' needs integers or bools, but the operand is {dtype(value)}"
        )
    mnemonic = "logical_not" if dtype(value) == BOOL else "bitwise_not"
    return apply("bitwise_not", mnemonic, [value], weak)


def truth(x: Any) -> Any:
    """x as bool: whether it is nonzero."""
    return x if dtype(x) == BOOL else ne(x, 0)


def logical_not(x: Any) -> Any:
    """Whether x is zero."""
    return bitwise_not(truth(x))


def _logical(name: str, mnemonic: str) -> Callable[[Any, Any], Any]:
    def function(a: Any, b: Any) -> Any:
        values, _ = promoted(name, truth(a), truth(b))
        return apply(name, mnemonic, values)

    return documented(function, name, "of the truth of both (nonzero is true).")


logical_and = _logical("logical_and", "and")
logical_or = _logical("logical_or", "or")
logical_xor = _logical("logical_xor", "xor")


def select(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b; a and b promote, all three broadcast."""
    values, weak = promoted("select", a, b)
    mask = truth(condition)
    mask = mask if isinstance(mask, ir.Value) else as_value(mask)
    kind = weak if rank(mask) == 0 else None
    return apply("select", "select", [mask, *values], kind)


where = select
maximum = max
minimum = min
