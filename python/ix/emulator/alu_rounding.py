"""Rounding: to a narrower format in any mode, from exact sums, with flushing.

An exact value is a pair (s, e) of float64, s = round(s + e): `two_sum` makes it. What
is rounded twice is rounded to odd first: bits that the second rounding needs cannot
then be lost, since an odd last bit says that something lies beyond it.

Source: Boldo, Melquiond, "Emulation of FMA and correctly rounded sums: proved
algorithms using rounding to odd", IEEE Trans. Computers 57(4), 2008.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ix.emulator.alu_form import Array

__all__ = [
    "BF16",
    "F16",
    "F32",
    "Format",
    "bf16_to_f32",
    "canonical",
    "flush_bf16",
    "flusher",
    "replaced",
    "round_nearest_bf16",
    "round_to",
    "saturate",
    "step_toward",
    "to_odd",
    "two_sum",
]


@dataclass(frozen=True)
class Format:
    """A binary floating-point format.

    Attributes:
        precision: Bits of the significand, the hidden one included.
        min_exponent: Exponent of the smallest normal number.
        largest: The largest finite number.
        has_infinity: Whether what is too large becomes an infinity; NaN otherwise.
    """

    precision: int
    min_exponent: int
    largest: float
    has_infinity: bool = True


_BIAS: Final = 1023  # of the exponent field of float64

F32: Final = Format(24, -126, float(np.finfo(np.float32).max))
F16: Final = Format(11, -14, 65504.0)
BF16: Final = Format(8, -126, float.fromhex("0x1.fep127"))


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b as float64 (s, e): s the rounded sum, e what it misses, both exact."""
    s = np.add(a, b, dtype=np.float64)
    other = s - a
    return s, (a - (s - other)) + (b - other)


def to_odd(s: Array, e: Array) -> Any:
    """Rounds s + e to the type of s with an odd last bit wherever it is inexact.

    Args:
        s: float32 or float64, the rounded sum; an infinity with e < 0 or e > 0 is one
            that overflow has made, and becomes the largest number.
        e: What s misses; NaN where s is infinite or NaN on its own.
    """
    integer = np.dtype(f"i{s.dtype.itemsize}")
    bits = np.asarray(s).view(integer)
    inexact = ((e < 0) | (e > 0)) & (bits & integer.type(1) == 0)
    away = np.where((e > 0) != np.signbit(s), integer.type(1), integer.type(-1))
    return (bits + away * inexact).view(s.dtype)


def replaced(
    values: Array, where: Array, function: Callable[..., Array], *operands: Array
) -> Array:
    """`values`, with what `function` gives for the operands in the places `where`."""
    if not where.any():
        return values
    places = np.nonzero(np.atleast_1d(where))[0]
    result = np.array(np.broadcast_to(values, np.atleast_1d(where).shape))
    full = (np.broadcast_to(operand, result.shape)[places] for operand in operands)
    result[places] = function(*full)
    return result


def step_toward(s: Array, e: Array, mode: str) -> Any:
    """Rounds s + e, where s is the nearest float64, to float64 in a directed mode."""
    if mode == "rn":
        return s
    inexact_down, inexact_up = e < 0, e > 0
    down: Any = {"rm": inexact_down, "rp": False, "rz": inexact_down & (s > 0)}[mode]
    up: Any = {"rm": False, "rp": inexact_up, "rz": inexact_up & (s < 0)}[mode]
    result = np.where(down, np.nextafter(s, -np.inf), s)
    return np.where(up, np.nextafter(s, np.inf), result)


def round_to(x: Array, target: Format, mode: str) -> Array:
    """Rounds float64 to the numbers of a narrower format, as float64.

    Args:
        x: float64; where it stands for more bits, rounded to odd.
        target: The format, at most 51 bits precise.
        mode: rn, rz, rm, rp, or rna (to nearest, ties away from zero).

    Returns:
        Numbers of the format; infinities and NaN also where the format has none.
    """
    # What is far too large stays so, and its shift below stays finite.
    magnitude = np.minimum(np.abs(np.asarray(x, np.float64)), 4 * target.largest)
    # The last place of each element, as the exponent field of a power of two.
    field = np.maximum(magnitude.view(np.int64) >> 52, target.min_exponent + _BIAS)
    field -= target.precision - 1
    unit = (field << 52).view(np.float64)
    # Added to 2⁵² units, a number is left with whole units, rounded to nearest even.
    shift = ((field + 52) << 52).view(np.float64)
    nearest = (magnitude + shift) - shift
    rounded = _corrected(magnitude, nearest, unit, np.signbit(x), mode)
    rounded = np.copysign(rounded, x)
    return np.where(np.isfinite(x), _overflow(rounded, target, mode), x)


def _corrected(
    exact: Array, nearest: Array, unit: Array, negative: Array, mode: str
) -> Array:
    """The magnitude in a rounding mode from the one rounded to nearest."""
    if mode == "rn":
        return nearest
    if mode == "rna":
        return np.where(exact - nearest == unit / 2, nearest + unit, nearest)
    below = np.where(nearest > exact, nearest - unit, nearest)
    if mode == "rz":
        return below
    away = np.where(below < exact, below + unit, below)
    return np.where(negative == (mode == "rm"), away, below)


def _overflow(rounded: Array, target: Format, mode: str) -> Array:
    """What becomes of numbers beyond the largest one."""
    # These modes stop at the largest number; the others go on to infinity.
    stops: Any = {"rz": True, "rm": rounded > 0, "rp": rounded < 0}.get(mode, False)
    beyond = np.where(stops, target.largest, np.inf)
    return np.where(
        np.abs(rounded) > target.largest, np.copysign(beyond, rounded), rounded
    )


def bf16_to_f32(bits: Array) -> Any:
    """The float32 that bf16 bits stand for."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def round_nearest_bf16(x: Array) -> Array:
    """bf16 bits of float32, rounded to nearest even; NaN become the canonical one."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    # Half a unit, less one where the last bit that stays is even.
    half = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    rounded = ((bits + half) >> np.uint32(16)).astype(np.uint16)
    return np.where(np.isnan(x), np.uint16(0x7FFF), rounded)


_CANONICAL: Final[dict[type, Any]] = {
    np.float16: np.uint16(0x7FFF).view(np.float16),
    np.float32: np.uint32(0x7FFFFFFF).view(np.float32),
}


def canonical(x: Array) -> Array:
    """Replaces NaN of float16 and float32 by the canonical NaN; float64 stays."""
    nan = _CANONICAL.get(x.dtype.type)
    if nan is None:
        return x
    there = np.isnan(x)
    return np.where(there, nan, x) if there.any() else x


def flusher(name: str) -> Callable[[Array], Array]:
    """A function that turns subnormal f16, f32 or f64 into zeros of their sign."""
    dtype: Any = {"f16": np.float16, "f32": np.float32, "f64": np.float64}[name]
    tiny = dtype(np.finfo(dtype).smallest_normal)

    def flush(x: Array) -> Array:
        small = np.abs(x) < tiny
        return np.where(small, np.copysign(dtype(0), x), x) if small.any() else x

    return flush


def flush_bf16(bits: Array) -> Any:
    """Turns subnormal bf16 into zeros of their sign."""
    normal = (bits & np.uint16(0x7F80)) != 0
    return np.where(normal, bits, bits & np.uint16(0x8000))


def saturate(x: Array) -> Any:
    """Clamps floats to [0, 1]; NaN and -0 become +0."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    return np.where(x > 0, np.minimum(x, one), zero)
