"""cvt among integers, f16, bf16, f32 and f64.

A source becomes float64, exactly or, from 64-bit integers, rounded to odd; the
destination is rounded from that. The usual conversions to nearest are NumPy's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from ix.emulator.alu_form import Array, Form, Operation, Words
from ix.emulator.alu_rounding import (
    BF16,
    F16,
    F32,
    bf16_to_f32,
    canonical,
    flusher,
    round_nearest_bf16,
    round_to,
    saturate,
    step_toward,
    to_odd,
    two_sum,
)
from ix.emulator.ptx_types import bytes_of, dtype_of

__all__ = ["FORMS", "exact_bf16_bits"]

Function = Callable[[Any], Any]

_INTEGERS: Final = ("u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64")
_FLOATS: Final = ("bf16", "f16", "f32", "f64")
_FORMATS: Final = {"bf16": BF16, "f16": F16, "f32": F32}
_INTEGRAL: Final = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def exact_bf16_bits(x: Array) -> Array:
    """The bits of float64 that bf16 has exactly; NaN become the canonical one."""
    return round_nearest_bf16(x.astype(np.float32))


def _identity(x: Array) -> Array:
    return x


def _is_float(name: str) -> bool:
    return name in _FLOATS


def _range(name: str) -> tuple[int, int]:
    limits: Any = np.iinfo(dtype_of(name))
    return int(limits.min), int(limits.max)


def _read_float(name: str) -> Function:
    """Gives float64 for a float."""
    if name == "bf16":
        return lambda bits: bf16_to_f32(bits).astype(np.float64)
    return lambda x: x.astype(np.float64)


def _integer_pair(x: Array) -> tuple[Array, Array]:
    """A 64-bit integer as an exact sum of float64."""
    upper = (x >> x.dtype.type(32)).astype(np.float64) * 2.0**32
    lower = (x & x.dtype.type(0xFFFFFFFF)).astype(np.float64)
    return two_sum(upper, lower)


def _read_integer(name: str) -> Function:
    """Gives float64 for an integer, rounded to odd where it needs over 53 bits."""
    if bytes_of(name) == 8:
        return lambda x: to_odd(*_integer_pair(x))
    return lambda x: x.astype(np.float64)


def _to_float(source: str, target: str, mode: str) -> Function:
    """Converts a number to a float in a rounding mode, empty where it is exact."""
    if target == "f64" and source in ("u64", "s64"):
        if mode == "rn":
            return lambda x: x.astype(np.float64)
        return lambda x: step_toward(*_integer_pair(x), mode)
    if mode in ("", "rn") and (fast := _nearest(source, target)):
        return fast
    read = _read_float(source) if _is_float(source) else _read_integer(source)
    if target == "f64":
        return read
    rounded, into = _FORMATS[target], dtype_of(target)
    if target == "bf16":
        return lambda x: exact_bf16_bits(round_to(read(x), rounded, mode or "rn"))
    return lambda x: round_to(read(x), rounded, mode or "rn").astype(into)


def _nearest(source: str, target: str) -> Function | None:
    """A conversion to nearest that NumPy does in one rounding, where there is one."""
    if source == target == "bf16":
        return lambda bits: round_nearest_bf16(bf16_to_f32(bits))
    if source == "bf16":
        return bf16_to_f32 if target == "f32" else None
    if target == "bf16":
        return round_nearest_bf16 if source in ("f16", "f32") else None
    if target == "f16" and source[1:] in ("32", "64") and not _is_float(source):
        return None  # NumPy converts integers to float16 through float32
    into = dtype_of(target)
    return lambda x: x.astype(into)


def _to_integer(source: str, target: str, mode: str) -> Function:
    """Converts a float to an integer, clamped to what the integer holds."""
    read, integral = _read_float(source), _INTEGRAL[mode]
    dtype, (low, high) = dtype_of(target), _range(target)
    is_wide = bytes_of(target) == 8
    # Source: PTX ISA, cvt, Integer Notes.
    nan = 1 << 8 * bytes_of(target) - 1 if source == "f64" or is_wide else 0
    nan_bits = np.array(nan, f"u{bytes_of(target)}").view(dtype)

    def convert(x: Array) -> Any:
        wide = read(x)
        whole = integral(wide)
        # high + 1 is a power of two, so float64 has it, which high it may not have.
        fits = (whole > low - 1.0 if not is_wide else whole >= low) & (
            whole < high + 1.0
        )
        result = np.where(fits, whole, 0).astype(dtype)
        clamped = np.where(whole > 0, dtype.type(high), dtype.type(low))
        result = np.where(fits, result, clamped)
        return np.where(np.isnan(wide), nan_bits, result)

    return convert


def _integer_to_integer(source: str, target: str, sat: bool) -> Function:
    dtype = dtype_of(target)
    if not sat:
        return lambda x: x.astype(dtype)
    (low, high), (least, most) = _range(target), _range(source)
    into = dtype_of(source)
    lowest, highest = into.type(max(low, least)), into.type(min(high, most))
    return lambda x: np.clip(x, lowest, highest).astype(dtype)


def _to_integral(name: str, mode: str) -> Function:
    """Rounds a float to an integral value of its own type."""
    integral = _INTEGRAL[mode]
    if name == "bf16":
        return lambda bits: round_nearest_bf16(integral(bf16_to_f32(bits)))
    if name == "f16":
        return lambda x: integral(x.astype(np.float32)).astype(np.float16)
    return integral


def _convert(words: Words) -> Operation:
    source, target, mode = words["source"], words["target"], words.get("rnd", "")
    if not _is_float(target):
        if _is_float(source):
            function = _to_integer(source, target, mode)
        else:
            function = _integer_to_integer(source, target, bool(words.get("sat")))
        return Operation((source,), (target,), _flushed(words, function))
    if mode in _INTEGRAL:
        function = _to_integral(source, mode)
    else:
        function = _to_float(source, target, mode)
    return Operation((source,), (target,), _flushed(words, _finished(words, function)))


def _finished(words: Words, function: Function) -> Function:
    """Applies to a float what `sat` asks for, and the canonical NaN."""
    if words["target"] == "bf16":
        return function  # which has them already
    after = saturate if words.get("sat") else canonical
    return lambda x: after(np.asarray(function(x)))


def _flushed(words: Words, function: Function) -> Function:
    """Applies `ftz`, which is for f32 alone: as a source, as a result, or as both."""
    if not words.get("ftz"):
        return function
    flush = flusher("f32")
    before = flush if words["source"] == "f32" else _identity
    after = flush if words["target"] == "f32" else _identity
    return lambda x: after(function(before(x)))


def _may_saturate(source: str, target: str) -> bool:
    """Whether integers of the source may lie outside of the target."""
    (low, high), (least, most) = _range(target), _range(source)
    return least < low or most > high


def _modifiers(source: str, target: str) -> Iterator[str]:
    """The rounding and saturation that a conversion takes, `ftz` aside."""
    to_float, from_float = _is_float(target), _is_float(source)
    sat = "" if "bf16" in (source, target) else "[sat]"
    if not to_float:
        if from_float:
            yield f"rnd=rni|rzi|rmi|rpi {{ftz}} {sat}"
        else:
            yield "[sat]" if _may_saturate(source, target) else ""
        return
    if source == target:
        yield f"[rnd=rni|rzi|rmi|rpi] {{ftz}} {sat}"
    elif (
        from_float and _FLOATS.index(source) < _FLOATS.index(target) and target != "f16"
    ):
        yield f"{{ftz}} {sat}"
    else:
        yield f"rnd=rn|rz|rm|rp {{ftz}} {sat}"


def _lines() -> Iterator[Form]:
    names = (*_INTEGERS, *_FLOATS)
    for target in names:
        for source in names:
            ftz = "[ftz]" if "f32" in (source, target) else ""
            for modifiers in _modifiers(source, target):
                words = f"{modifiers.format(ftz=ftz)} target={target} source={source}"
                yield Form("cvt", words, _convert)


FORMS: Final = tuple(_lines())
