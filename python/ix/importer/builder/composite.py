"""Elementwise functions that are composed of several ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from ix.importer import promotion
from ix.importer.builder import elementwise as e
from ix.importer.builder.values import (
    all_same,
    broadcast_shapes,
    cast,
    dtype,
    promoted,
    shape,
)
from ix.importer.promotion import BOOL

__all__ = [
    "clip",
    "copysign",
    "divmod",
    "fmax",
    "fmin",
    "hypot",
    "isclose",
    "logaddexp",
    "nan_to_num",
    "reciprocal",
    "round",
    "signbit",
]


def reciprocal(x: Any) -> Any:
    """1 / x; as NumPy's, integers truncate."""
    (value,), weak = promoted("reciprocal", x)
    if promotion.is_float(dtype(value)):
        return e.apply("reciprocal", "reciprocal", [value], weak)
    return e.div(np.ones((), dtype(value)), value)


def round(x: Any, decimals: int = 0) -> Any:
    """Rounds half to even, to `decimals` digits after the point; integers stay."""
    if not promotion.is_float(dtype(x)):
        if decimals >= 0:
            return promoted("round", x)[0][0]
        power = np.asarray(10**-decimals, np.float64)
        return cast(e.mul(e.rint(e.true_divide(x, power)), power), dtype(x))
    if decimals == 0:
        return e.rint(x)
    scale = float(10 ** np.abs(decimals))
    if decimals < 0:
        return e.mul(e.rint(e.true_divide(x, scale)), scale)
    return e.true_divide(e.rint(e.mul(x, scale)), scale)


def signbit(x: Any) -> Any:
    """Whether x is below zero or −0.0; a NaN counts as positive."""
    below = e.lt(x, 0)
    if not promotion.is_float(dtype(x)):
        return below
    return e.logical_or(below, e.logical_and(e.eq(x, 0), e.lt(reciprocal(x), 0)))


def divmod(a: Any, b: Any) -> tuple[Any, Any]:
    """The floored quotient, and the remainder with the sign of b."""
    return e.floor_div(a, b), e.mod(a, b)


def hypot(a: Any, b: Any) -> Any:
    """√(a² + b²), without overflow where the result has none."""
    a, b = e.in_floats("hypot", a, b)
    large, small = e.max(e.abs(a), e.abs(b)), e.min(e.abs(a), e.abs(b))
    safe = e.select(e.eq(large, 0), 1.0, large)
    return e.mul(large, e.sqrt(e.add(1.0, e.square(e.true_divide(small, safe)))))


def logaddexp(a: Any, b: Any) -> Any:
    """log(eᵃ + eᵇ), without overflow; equal infinities stay."""
    a, b = e.in_floats("logaddexp", a, b)
    difference = e.abs(e.sub(a, b))
    rest = e.select(e.isnan(difference), 0.0, e.log1p(e.exp(e.neg(difference))))
    total = e.add(e.max(a, b), rest)
    return e.select(e.logical_or(e.isnan(a), e.isnan(b)), e.add(a, b), total)


def copysign(a: Any, b: Any) -> Any:
    """The magnitude of a with the sign of b, −0.0 included; in floats."""
    a, b = e.in_floats("copysign", a, b)
    magnitude = e.abs(a)
    return e.select(signbit(b), e.neg(magnitude), magnitude)


def _fmax(name: str, extremum: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def function(a: Any, b: Any) -> Any:
        values, _ = promoted(name, a, b)
        a, b = values
        if not promotion.is_float(dtype(a)):
            return extremum(a, b)
        return e.select(e.isnan(a), b, e.select(e.isnan(b), a, extremum(a, b)))

    return e.documented(function, name, "ignores NaN beside a number.")


fmax = _fmax("fmax", e.max)
fmin = _fmax("fmin", e.min)


def clip(x: Any, low: Any = None, high: Any = None) -> Any:
    """Limits x to [low, high]; None leaves a side open. NaN stays."""
    if low is None and high is None:
        return promoted("clip", x)[0][0]
    if low is None:
        return e.min(x, high)
    if high is None:
        return e.max(x, low)
    values, weak = promoted("clip", x, low, high)
    sizes = broadcast_shapes("clip", *(shape(value) for value in values))
    if all_same(sizes, shape(values[0])) and dtype(values[0]) != BOOL:
        return e.apply("clip", "clamp", values, weak)
    return e.min(e.max(x, low), high)


def isclose(
    a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """|a − b| ≤ atol + rtol · |b|; infinities are close to themselves only."""
    (a, b), _ = promoted("isclose", a, b)
    if not promotion.is_float(dtype(a)):
        a, b = cast(a, np.float64), cast(b, np.float64)
    near = e.le(e.abs(e.sub(a, b)), e.add(atol, e.mul(rtol, e.abs(b))))
    result = e.logical_or(e.logical_and(near, e.isfinite(b)), e.eq(a, b))
    if equal_nan:
        result = e.logical_or(result, e.logical_and(e.isnan(a), e.isnan(b)))
    return result


def nan_to_num(
    x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """Replaces NaN and infinities, the latter by the dtype's largest numbers."""
    (value,), _ = promoted("nan_to_num", x)
    kind = dtype(value)
    if not promotion.is_float(kind):
        return value
    largest = float(ml_dtypes.finfo(kind).max)
    posinf = largest if posinf is None else posinf
    neginf = -largest if neginf is None else neginf
    value = e.select(e.isnan(value), float(nan), value)
    value = e.select(e.eq(value, float("inf")), float(posinf), value)
    return e.select(e.eq(value, float("-inf")), float(neginf), value)
