"""Compiled functions over every dtype give NumPy's elements and dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ix import api

pytestmark = pytest.mark.slow

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u1", "?"]
UNARY = """
exp log sqrt sin cos tanh floor ceil trunc rint square absolute negative sign isnan
logical_not invert cbrt signbit expm1 log1p arctan arcsinh sinh exp2
"""
BINARY = """
add subtract multiply divide floor_divide remainder fmod maximum minimum arctan2 equal
less bitwise_and bitwise_xor left_shift right_shift hypot logaddexp copysign fmax
logical_and float_power heaviside
"""
REDUCTIONS = """
sum prod mean var std max min any all argmax argmin cumsum cumprod sort count_nonzero
ptp median
"""
TOLERANCE = {2: 4e-3, 4: 3e-6, 8: 1e-13}


def draw(dtype: str, *shape: int) -> np.ndarray[Any, Any]:
    random = np.random.default_rng(len(dtype) + ord(dtype[0]))
    if dtype == "?":
        return random.random(shape) < 0.5
    if dtype[0] in "iu":
        return random.integers(1 if dtype == "u1" else -7, 8, shape).astype(dtype)
    return random.standard_normal(shape).astype(dtype)


def check(functions: list[Any], operands: list[tuple[Any, ...]]) -> None:
    """Compiles all calls that NumPy accepts as one program and compares each result."""
    calls, expected = [], []
    for function, arrays in zip(functions, operands, strict=True):
        try:
            with np.errstate(all="ignore"):
                expected.append(np.asarray(function(*arrays)))
        except (TypeError, ValueError):
            continue
        calls.append((function, arrays))
    program = api.jit(
        lambda nest: [f(*a) for (f, _), a in zip(calls, nest, strict=True)]
    )
    found = program([list(arrays) for _, arrays in calls])
    for (_, arrays), got, want in zip(calls, found, expected, strict=True):
        label = ", ".join(str(array.dtype) for array in arrays)
        want = want.astype(np.int64) if want.dtype == np.uint64 else want
        assert got.dtype == want.dtype, label
        if want.dtype.kind != "f":
            np.testing.assert_array_equal(got, want, label)
            continue
        tolerance = TOLERANCE[want.dtype.itemsize]
        got, want = got.astype(np.float64), want.astype(np.float64)
        np.testing.assert_allclose(got, want, tolerance, tolerance, err_msg=label)


@pytest.mark.parametrize("name", UNARY.split())
def test_unary(name: str) -> None:
    check([getattr(np, name)] * len(DTYPES), [(draw(d, 3, 17),) for d in DTYPES])


@pytest.mark.parametrize("name", BINARY.split())
def test_binary(name: str) -> None:
    pairs = [(draw(d, 3, 17), draw(d, 17)) for d in DTYPES]
    pairs += [
        (draw("f4", 3, 17), draw("i4", 3, 17)),
        (draw("i2", 17), draw("f2", 3, 1)),
    ]
    check([getattr(np, name)] * len(pairs), pairs)


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("name", REDUCTIONS.split())
def test_reductions(name: str, axis: int | None) -> None:
    function = lambda x: getattr(np, name)(x, axis=axis)  # noqa: E731
    check([function] * len(DTYPES), [(draw(d, 3, 17),) for d in DTYPES])


def test_products() -> None:
    check([np.matmul] * len(DTYPES), [(draw(d, 5, 7), draw(d, 7, 9)) for d in DTYPES])


@pytest.mark.parametrize("target", DTYPES)
def test_casts(target: str) -> None:
    """Negative floats have no uint8, in C and in NumPy alike: none is cast."""
    arrays = [draw(d, 3, 17) for d in DTYPES]
    if target == "u1":
        arrays = [abs(x) if x.dtype.kind == "f" else x for x in arrays]
    check([lambda x: x.astype(target)] * len(arrays), [(x,) for x in arrays])
