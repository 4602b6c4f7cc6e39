"""What the ISA defines by an error bound: .approx and .full.

All are computed in float64 and rounded, which is within every bound of the ISA.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ix.emulator.alu_form import Array, Form, Operation, Words, same_type
from ix.emulator.alu_half import half_operation
from ix.emulator.alu_rounding import (
    bf16_to_f32,
    canonical,
    flush_bf16,
    flusher,
    round_nearest_bf16,
    to_odd,
)

__all__ = ["FORMS"]

Function = Callable[..., Any]


def _rsqrt(x: Array) -> Any:
    return np.reciprocal(np.sqrt(x))


def _divide(a: Array, b: Array) -> Any:
    """a · (1 / b), where 1 / b is 0 once b passes 2¹²⁶."""
    beyond = (np.abs(b) > 2.0**126) & np.isfinite(b)
    return np.where(beyond, a * np.copysign(0.0, b), a / b)


def _f32(function: Function, count: int = 1) -> Callable[[Words], Operation]:
    """Makes an f32 operation from a function of float64."""

    def make(words: Words) -> Operation:
        flush = flusher("f32") if words.get("ftz") else None

        def run(*values: Array) -> Any:
            if flush:
                values = tuple(map(flush, values))
            exact = function(*(value.astype(np.float64) for value in values))
            result = canonical(exact.astype(np.float32))
            return flush(result) if flush else result

        return same_type("f32", count, run)

    return make


def _half(function: Function) -> Callable[[Words], Operation]:
    """Makes an operation on f16, bf16 or pairs of them from a function of float64."""

    def on_f16(a: Array) -> Any:
        return canonical(function(a.astype(np.float64)).astype(np.float16))

    def on_bf16(a: Array) -> Any:
        exact = function(bf16_to_f32(a).astype(np.float64))
        single = exact.astype(np.float32)
        return round_nearest_bf16(to_odd(single, exact - single))

    def make(words: Words) -> Operation:
        name = words["type"]
        if name.startswith("f16"):
            return half_operation(name, 1, on_f16)
        if not words.get("ftz"):
            return half_operation(name, 1, on_bf16)
        return half_operation(name, 1, lambda a: flush_bf16(on_bf16(flush_bf16(a))))

    return make


def _upper_word(function: Function) -> Callable[[Words], Operation]:
    """Makes an f64 operation on the upper 32 bits; the result has no others."""
    upper, nan = np.uint64(0xFFFFFFFF << 32), np.uint64(0x7FFFFFFF << 32)
    flush = flusher("f64")

    def run(a: Array) -> Any:
        seen = (np.asarray(a).view(np.uint64) & upper).view(np.float64)
        result = np.asarray(flush(function(flush(seen))))
        bits = np.where(np.isnan(result), nan, result.view(np.uint64) & upper)
        return bits.view(np.float64)

    return lambda words: same_type("f64", 1, run)


_F32: Final[tuple[tuple[str, Function], ...]] = (
    ("rcp", np.reciprocal),
    ("sqrt", np.sqrt),
    ("rsqrt", _rsqrt),
    ("sin", np.sin),
    ("cos", np.cos),
    ("lg2", np.log2),
    ("ex2", np.exp2),
)

FORMS: Final = (
    *(Form(opcode, "approx [ftz] f32", _f32(function)) for opcode, function in _F32),
    Form("tanh", "approx f32", _f32(np.tanh)),
    Form("div", "approx [ftz] f32", _f32(_divide, 2)),
    Form("div", "full [ftz] f32", _f32(np.divide, 2)),
    Form("ex2", "approx type=f16|f16x2", _half(np.exp2)),
    Form("ex2", "approx ftz type=bf16|bf16x2", _half(np.exp2)),
    Form("tanh", "approx type=f16|f16x2|bf16|bf16x2", _half(np.tanh)),
    Form("rcp", "approx ftz f64", _upper_word(np.reciprocal)),
    Form("rsqrt", "approx ftz f64", _upper_word(_rsqrt)),
    Form("rsqrt", "approx f64", lambda words: same_type("f64", 1, _rsqrt)),
)
