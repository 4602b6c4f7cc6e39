"""NumPy functions that compute: products, choices, elementwise compositions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ix.errors import InputError
from ix.importer import builder as b
from ix.importer.builder.values import strong
from ix.importer.promotion import BOOL, is_float, promote
from ix.importer.trace.tracer import Tracer, unwrapped


def _where(condition: Any, *choices: Any) -> Any:
    if len(choices) != 2:
        raise InputError(
            "np.where needs three arguments, but got one: the size of np.where(mask) "
            "depends on data; use np.where(mask, x, y)"
        )
    return b.select(condition, *choices)


def _select(
    condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0
) -> Any:
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = b.select(condition, choice, result)
    return result


def _choose(a: Any, choices: Sequence[Any], mode: str = "raise") -> Any:
    result = choices[-1]
    for index, choice in reversed(list(enumerate(choices[:-1]))):
        result = b.select(b.eq(a, index), choice, result)
    return result


_UNSET = object()


def _clip(
    a: Any,
    a_min: Any = None,
    a_max: Any = None,
    *,
    min: Any = _UNSET,
    max: Any = _UNSET,
    dtype: Any = None,
) -> Any:
    result = b.clip(a, a_min if min is _UNSET else min, a_max if max is _UNSET else max)
    return result if dtype is None else b.cast(result, dtype)


def _einsum(
    *operands: Any, optimize: Any = False, dtype: Any = None, **unused: Any
) -> Any:
    if not isinstance(operands[0], str):
        raise InputError(
            "np.einsum needs an equation as its first argument, as 'ij,jk->ik', but "
            "got an operand; the form with lists of axes is not supported"
        )
    result = b.einsum(operands[0], *operands[1:])
    return result if dtype is None else b.cast(result, dtype)


def _isclose(
    a: Any,
    b_: Any,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Any:
    return b.isclose(a, b_, rtol, atol, equal_nan)


def _allclose(
    a: Any,
    b_: Any,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> Any:
    return b.all(b.isclose(a, b_, rtol, atol, equal_nan))


def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    if b.rank(a1) != b.rank(a2) or b.shape(a1) != b.shape(a2):
        return b.as_value(np.False_)
    equal = b.eq(a1, a2)
    if equal_nan:
        equal = b.logical_or(equal, b.logical_and(b.isnan(a1), b.isnan(a2)))
    return b.all(equal)


def _nan_to_num(
    x: Any,
    copy: bool = True,
    nan: float = 0.0,
    posinf: Any = None,
    neginf: Any = None,
) -> Any:
    return b.nan_to_num(x, nan, posinf, neginf)


def _round(a: Any, decimals: int = 0) -> Any:
    return b.round(a, decimals)


def _sinc(x: Any) -> Any:
    scaled = b.mul(x, np.pi)
    safe = b.select(b.eq(scaled, 0), 1.0, scaled)
    return b.select(b.eq(scaled, 0), 1.0, b.true_divide(b.sin(safe), safe))


def _isin(
    element: Any,
    test_elements: Any,
    assume_unique: bool = False,
    invert: bool = False,
    *,
    kind: Any = None,
) -> Any:
    hits = b.eq(b.expand_dims(element, -1), b.ravel(test_elements))
    found = b.any(hits, -1)
    return b.logical_not(found) if invert else found


def _cross(
    a: Any,
    b_: Any,
    axisa: int = -1,
    axisb: int = -1,
    axisc: int = -1,
    axis: Any = None,
) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    left, right = b.moveaxis(a, axisa, -1), b.moveaxis(b_, axisb, -1)
    if b.size(left, -1) != 3 or b.size(right, -1) != 3:
        raise InputError("np.cross needs vectors of three elements")
    first = b.sub(
        b.mul(b.take(left, [1, 2, 0], -1), b.take(right, [2, 0, 1], -1)),
        b.mul(b.take(left, [2, 0, 1], -1), b.take(right, [1, 2, 0], -1)),
    )
    return b.moveaxis(first, -1, axisc)


def _convolve(a: Any, v: Any, mode: str = "full") -> Any:
    if b.size(a) < b.size(v):
        a, v = v, a
    return _correlated(a, b.flip(v), mode)


def _correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    if b.size(a) < b.size(v):
        return b.flip(_correlated(v, a, mode))
    return _correlated(a, v, mode)


def _correlated(a: Any, v: Any, mode: str) -> Any:
    """Σ a[i + k] · v[k], where v is no longer than a."""
    common = promote([b.dtype(a), b.dtype(v)])
    floats = common if is_float(common) else np.dtype(np.float64)
    a, v = b.cast(b.as_value(a), floats), b.cast(b.as_value(v), floats)
    width = b.size(v)
    padding = {"valid": (0, 0), "full": (width - 1, width - 1)}
    padding["same"] = (width // 2, width - 1 - width // 2)
    if mode not in padding:
        raise InputError(f"np.convolve needs a mode of {tuple(padding)}, got {mode!r}")
    low, high = padding[mode]
    image, kernel = b.reshape(a, [1, 1, -1]), b.reshape(v, [1, 1, -1])
    result = b.conv(image, kernel, padding_low=low, padding_high=high)
    result = b.ravel(result)
    return result if is_float(common) else b.cast(b.rint(result), common)


def _multi_dot(arrays: Sequence[Any]) -> Any:
    result = arrays[0]
    for each in arrays[1:]:
        result = b.dot(result, each)
    return result


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    return b.norm(x, ord, axis, keepdims)


def _vector_norm(
    x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2
) -> Any:
    if axis is None and not keepdims:
        return b.norm(b.ravel(x), ord, 0)
    return b.norm(x, ord, axis, keepdims)


def _matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return b.norm(x, ord, (-2, -1), keepdims)


def _matrix_power(a: Any, n: int) -> Any:
    if n < 1:
        raise InputError(f"np.linalg.matrix_power needs n ≥ 1, but got {n}")
    result, square = None, a
    while n:
        if n & 1:
            result = square if result is None else b.matmul(result, square)
        n >>= 1
        square = b.matmul(square, square) if n else square
    return b.as_value(result)


def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    """Linear interpolation through rising points (xp, fp)."""
    places = b.sum(b.le(xp, b.expand_dims(x, -1)), -1)
    high = b.clip(places, 1, b.size(xp) - 1)
    low = b.sub(high, 1)
    x0, x1 = b.take(xp, low, 0), b.take(xp, high, 0)
    y0, y1 = b.take(fp, low, 0), b.take(fp, high, 0)
    slope = b.true_divide(b.sub(y1, y0), b.sub(x1, x0))
    inside = b.add(b.mul(slope, b.sub(x, x0)), y0)
    first, last = b.getitem(fp, 0), b.getitem(fp, -1)
    inside = b.select(
        b.lt(x, b.getitem(xp, 0)), first if left is None else left, inside
    )
    inside = b.select(
        b.gt(x, b.getitem(xp, -1)), last if right is None else right, inside
    )
    return b.cast(inside, np.float64)


def _polyval(p: Any, x: Any) -> Any:
    result = b.zeros_like(b.as_value(x))
    for place in range(b.size(p, 0)):
        result = b.add(b.mul(result, x), b.getitem(p, place))
    return result


def _angle(z: Any, deg: bool = False) -> Any:
    half_turn = 180.0 if deg else np.pi
    return b.select(b.isnan(z), z, b.select(b.lt(z, 0), half_turn, 0.0))


def _result_type(*arrays_and_dtypes: Any) -> Any:
    strong, weak = [], []
    for each in arrays_and_dtypes:
        if type(each) in (bool, int, float):
            weak.append(type(each))
        elif isinstance(each, type | np.dtype | str):
            strong.append(np.dtype(each))
        else:
            strong.append(b.dtype(each))
    return promote(strong, weak)


def _can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    return np.can_cast(b.dtype(from_), to, casting)  # type: ignore[arg-type]


def _take(a: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Any:
    amount = b.size(a, axis)
    if mode == "clip":
        indices = b.clip(indices, 0, amount - 1)
    elif mode == "wrap":
        indices = b.mod(indices, amount)
    return b.take(a, indices, axis)


def _of_arrays(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """The function of two arrays; Python numbers count as arrays, strongly typed."""

    def rule(a: Any, b: Any) -> Any:
        return function(strong(a), strong(b))

    return rule


def _array_equiv(a1: Any, a2: Any) -> Any:
    return b.all(b.eq(a1, a2))


def _piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    """Every function on the whole array; the last condition that holds chooses."""
    conditions = condlist if isinstance(condlist, list | tuple) else [condlist]
    value = b.as_value(x)

    def choice(function: Any) -> Any:
        if not callable(function):
            return function
        return unwrapped(function(Tracer(value), *args, **kw))

    default = choice(funclist[-1]) if len(funclist) > len(conditions) else 0
    result = b.full_like(value, default) if b.rank(default) == 0 else default
    for condition, function in zip(conditions, funclist, strict=False):
        result = b.select(condition, choice(function), result)
    return b.cast(result, b.dtype(value))


def _text(a: Any, *args: Any, **kwargs: Any) -> str:
    return f"Tracer(shape={b.shape(a)}, dtype={b.dtype(a)})"


def _is_bool(value: bool) -> Callable[..., Any]:
    return lambda x: value


MATH: dict[Any, Callable[..., Any]] = {
    np.allclose: lambda a, b, rtol=1e-5, atol=1e-8, equal_nan=False: _allclose(
        a, b, rtol, atol, equal_nan
    ),
    np.angle: _angle,
    np.around: _round,
    np.array2string: _text,
    np.array_equal: _array_equal,
    np.array_equiv: _array_equiv,
    np.array_repr: _text,
    np.array_str: _text,
    np.can_cast: _can_cast,
    np.choose: _choose,
    np.clip: _clip,
    np.convolve: _convolve,
    np.correlate: _correlate,
    np.cross: lambda a, b, axisa=-1, axisb=-1, axisc=-1, axis=None: _cross(
        a, b, axisa, axisb, axisc, axis
    ),
    np.dot: _of_arrays(b.dot),
    np.einsum: _einsum,
    np.fix: lambda x: b.trunc(x),
    np.imag: lambda val: b.zeros_like(val),
    np.inner: _of_arrays(b.inner),
    np.interp: _interp,
    np.isclose: lambda a, b, rtol=1e-5, atol=1e-8, equal_nan=False: _isclose(
        a, b, rtol, atol, equal_nan
    ),
    np.iscomplex: lambda x: b.ne(b.zeros_like(x, dtype=BOOL), False),
    np.iscomplexobj: _is_bool(False),
    np.isin: _isin,
    np.isneginf: lambda x: b.eq(x, float("-inf")),
    np.isposinf: lambda x: b.eq(x, float("inf")),
    np.isreal: lambda x: b.eq(b.zeros_like(x, dtype=BOOL), False),
    np.isrealobj: _is_bool(True),
    np.kron: _of_arrays(b.kron),
    np.linalg.matrix_power: _matrix_power,
    np.linalg.multi_dot: _multi_dot,
    np.linalg.norm: _norm,
    np.nan_to_num: _nan_to_num,
    np.outer: _of_arrays(b.outer),
    np.piecewise: _piecewise,
    np.polyval: _polyval,
    np.real: lambda val: b.as_value(val),
    np.real_if_close: lambda a, tol=100: b.as_value(a),
    np.result_type: _result_type,
    np.round: _round,
    np.select: _select,
    np.sinc: _sinc,
    np.take: _take,
    np.take_along_axis: lambda arr, indices, axis=-1: b.take_along_axis(
        arr, indices, axis
    ),
    np.tensordot: b.tensordot,
    np.vdot: b.vdot,
    np.where: _where,
}

# Names of the array API, which NumPy has since 2.0.
for _name, _rule in (
    ("cross", lambda x1, x2, axis=-1: _cross(x1, x2, axis, axis, axis)),
    ("matmul", b.matmul),
    ("matrix_norm", _matrix_norm),
    ("outer", b.outer),
    ("tensordot", lambda x1, x2, axes=2: b.tensordot(x1, x2, axes)),
    ("vecdot", lambda x1, x2, axis=-1: b.vecdot(x1, x2, axis)),
    ("vector_norm", _vector_norm),
):
    if hasattr(np.linalg, _name):
        MATH[getattr(np.linalg, _name)] = _rule
