"""Result dtypes of traced functions are NumPy's (NEP 50), over pairs of dtypes."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from ix.errors import InputError
from ix.importer.trace import trace

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?"]
BINARY = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "floor_divide",
    "remainder",
    "power",
    "maximum",
    "minimum",
]
BINARY += [
    "fmod",
    "arctan2",
    "equal",
    "less",
    "logical_and",
    "bitwise_and",
    "bitwise_xor",
    "left_shift",
    "hypot",
]
BINARY += ["logaddexp", "copysign", "fmax", "matmul", "float_power", "heaviside"]
UNARY = [
    "exp",
    "log",
    "sqrt",
    "sin",
    "tanh",
    "floor",
    "ceil",
    "trunc",
    "rint",
    "square",
    "reciprocal",
    "absolute",
    "negative",
]
UNARY += [
    "sign",
    "isnan",
    "logical_not",
    "invert",
    "positive",
    "fabs",
    "cbrt",
    "deg2rad",
    "signbit",
]
REDUCTIONS = [
    "sum",
    "prod",
    "mean",
    "var",
    "std",
    "max",
    "min",
    "any",
    "all",
    "argmax",
    "cumsum",
    "sort",
    "median",
    "count_nonzero",
]
REDUCTIONS += ["average", "ptp", "cumprod", "argsort"]


def numpy_dtype(function: Any, *args: Any) -> Any:
    """The dtype that NumPy gives, or None where it raises TypeError."""
    with np.errstate(all="ignore"):
        try:
            return np.asarray(function(*args)).dtype
        except TypeError:
            return None


def traced_dtypes(calls: list[tuple[Any, tuple[Any, ...]]]) -> list[Any]:
    """The dtypes of functions of arrays, all in one trace; None where refused."""
    found: list[Any] = []

    def function(arrays: list[Any]) -> Any:
        for (each, _), operands in zip(calls, arrays, strict=True):
            try:
                found.append(each(*operands).dtype)
            except InputError:
                found.append(None)
        return arrays[0][0]

    trace(function, ([list(operands) for _, operands in calls],))
    return found


def traced_dtype(function: Any, *args: Any) -> Any:
    return traced_dtypes([(function, args)])[0]


def compare(calls: list[tuple[Any, tuple[Any, ...]]]) -> None:
    """Traced dtypes equal NumPy's; ix has no unsigned type but uint8, uint64 is int64."""
    expected = [numpy_dtype(function, *args) for function, args in calls]
    expected = [np.dtype("i8") if each == np.dtype("u8") else each for each in expected]
    names = [[str(arg.dtype) for arg in args] for _, args in calls]
    actual = traced_dtypes(calls)
    assert list(zip(names, actual, strict=True)) == list(
        zip(names, expected, strict=True)
    )


def ones(dtype: Any) -> np.ndarray[Any, Any]:
    return np.ones((2, 2), dtype)


@pytest.mark.parametrize("name", BINARY)
def test_binary_ufuncs_promote_as_numpy(name: str) -> None:
    pairs = itertools.product(DTYPES, DTYPES)
    compare([(getattr(np, name), (ones(a), ones(b))) for a, b in pairs])


@pytest.mark.parametrize("name", UNARY + REDUCTIONS)
def test_functions_of_one_array_give_numpys_dtype(name: str) -> None:
    compare([(getattr(np, name), (ones(dtype),)) for dtype in DTYPES])


@pytest.mark.parametrize("scalar", [2, 2.5, True])
@pytest.mark.parametrize(
    "name", ["add", "multiply", "divide", "power", "less", "maximum"]
)
def test_python_scalars_are_weak(name: str, scalar: Any) -> None:
    function = getattr(np, name)
    compare([(lambda x: function(x, scalar), (ones(dtype),)) for dtype in DTYPES])
    compare([(lambda x: function(scalar, x), (ones(dtype),)) for dtype in DTYPES])


@pytest.mark.parametrize("scalar", [2, 2.5, True])
def test_python_scalars_are_weak_in_where(scalar: Any) -> None:
    compare(
        [(lambda x: np.where(x > 0, x, scalar), (ones(dtype),)) for dtype in DTYPES]
    )


def test_numpy_scalars_are_strong() -> None:
    assert traced_dtype(lambda x: x + np.float64(1), ones("f4")) == np.float64
    assert traced_dtype(lambda x: np.float64(1) * x, ones("f4")) == np.float64


def test_a_python_argument_is_weak() -> None:
    assert traced_dtype(lambda x, s: x * s, ones("f4"), 2.0) == np.float32
    assert traced_dtype(lambda x, s: x * (s + 1), ones("i4"), 2) == np.int32
    assert traced_dtype(lambda x, s: x * s**0.5, ones("f2"), 2.0) == np.float16


def test_a_numpy_function_of_a_python_argument_is_strong() -> None:
    function = lambda x, s: x * np.sqrt(s)  # noqa: E731
    assert traced_dtype(function, ones("f2"), 2.0) == function(ones("f2"), 2.0).dtype


@pytest.mark.parametrize(
    "dtype", [ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]
)
def test_short_floats_of_ml_dtypes_stay_beside_python_scalars(dtype: Any) -> None:
    for function in (
        lambda x: x * 2.0 + 1,
        np.exp,
        lambda x: np.maximum(x, 0),
        np.mean,
        np.sum,
    ):
        assert traced_dtype(function, ones(dtype)) == dtype


def test_short_floats_promote_with_numpy_types() -> None:
    x = ones(ml_dtypes.bfloat16)
    assert traced_dtype(np.add, x, ones("f4")) == np.float32
    assert traced_dtype(np.add, x, ones("f2")) == np.float32
    assert traced_dtype(np.add, x, ones("i1")) == ml_dtypes.bfloat16
    assert traced_dtype(np.add, ones(ml_dtypes.int4), ones("i1")) == np.int8
