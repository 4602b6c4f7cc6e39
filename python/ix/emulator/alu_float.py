"""f32 and f64 arithmetic: add, sub, mul, fma, mad, div, rcp, sqrt, neg, abs, copysign.

f32 is computed in float64, where products are exact and sums have an exact error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ix.emulator.alu_exact import add_f64, divide_f64, fma_f64, multiply_f64, sqrt_f64
from ix.emulator.alu_form import Array, Form, Operation, Words, same_type
from ix.emulator.alu_packed import in_lanes
from ix.emulator.alu_rounding import (
    F32,
    bf16_to_f32,
    canonical,
    flusher,
    replaced,
    round_to,
    saturate,
    to_odd,
    two_sum,
)

__all__ = ["FORMS", "fma_nearest_f32"]

Function = Callable[..., Any]

_TAIL: Final = np.uint64((1 << 29) - 1)  # what float64 has beyond float32
_HALF: Final = np.uint64(1 << 28)
_SUBNORMAL: Final = 2.0**-126


def fma_nearest_f32(a: Array, b: Array, c: Array) -> Array:
    """a · b + c in float32, rounded once to nearest even.

    The product is exact in float64. Rounding the sum to float64 first does harm only if
    it ends halfway between two float32; subnormal results have other halfway points.
    Those few elements are rounded to odd.
    """
    product = np.multiply(a, b, dtype=np.float64)
    total = np.asarray(np.add(product, c, dtype=np.float64))
    doubtful = (total.view(np.uint64) & _TAIL) == _HALF
    tiny = np.abs(total) < _SUBNORMAL
    if tiny.any():
        doubtful |= tiny & (total != 0)
    return replaced(total, doubtful, _exact_sum, product, c).astype(np.float32)


def _exact_sum(a: Array, b: Array) -> Any:
    return to_odd(*two_sum(a, b))


def _narrow(function: Function, mode: str) -> Function:
    """Rounds what a function gives in float64 to float32."""
    if mode == "rn":
        return lambda *x: function(*x).astype(np.float32)
    return lambda *x: round_to(function(*x), F32, mode).astype(np.float32)


def _add_f32(mode: str) -> Function:
    if mode == "rn":
        return np.add

    def add(a: Array, b: Array) -> Any:
        return _signed_zero(_exact_sum(_wide(a), _wide(b)), a, b, mode)

    return _narrow(add, mode)


def _signed_zero(total: Array, a: Array, b: Array, mode: str) -> Array:
    """Makes sums -0 that cancel where rounding goes down."""
    if mode != "rm":
        return total
    positive = (a == 0) & (b == 0) & ~np.signbit(a) & ~np.signbit(b)
    return np.where((total == 0) & ~positive, -0.0, total)


def _multiply_f32(mode: str) -> Function:
    if mode == "rn":
        return np.multiply
    return _narrow(lambda a, b: np.multiply(a, b, dtype=np.float64), mode)


def _fma_f32(mode: str) -> Function:
    if mode == "rn":
        return fma_nearest_f32

    def fma(a: Array, b: Array, c: Array) -> Any:
        product = np.multiply(a, b, dtype=np.float64)
        return _signed_zero(_exact_sum(product, _wide(c)), product, c, mode)

    return _narrow(fma, mode)


def _divide_f32(mode: str) -> Function:
    # Quotients and roots of 24-bit numbers that no float32 equals are further than
    # 2⁻⁵³ from all of them, so float64 rounds to the same side as an exact result.
    if mode == "rn":
        return np.divide
    return _narrow(lambda a, b: np.divide(a, b, dtype=np.float64), mode)


def _sqrt_f32(mode: str) -> Function:
    if mode == "rn":
        return np.sqrt
    return _narrow(lambda a: np.sqrt(a, dtype=np.float64), mode)


def _wide(x: Array) -> Array:
    return np.asarray(x, np.float64)


def _with(words: Words, function: Function) -> Function:
    """Adds what `ftz` and `sat` ask for to f32 arithmetic, and the canonical NaN."""
    flush = flusher("f32") if words.get("ftz") else None
    sat = bool(words.get("sat"))

    def run(*values: Array) -> Any:
        if flush:
            values = tuple(map(flush, values))
        result = canonical(function(*values))
        if flush:
            result = flush(result)
        return saturate(result) if sat else result

    return run


def _maker(count: int, f32: Callable[[str], Function], f64: Function) -> Any:
    """Makes operations on f32, f32x2 and f64 in the mode that `rnd` selects.

    Args:
        count: Operands.
        f32: Gives the function of a mode.
        f64: Takes the operands and then the mode.
    """

    def make(words: Words) -> Operation:
        name, mode = words["type"], words["rnd"] or "rn"
        if name == "f64":
            return same_type(name, count, lambda *x: f64(*x, mode))
        function = _with(words, f32(mode))
        if name == "f32x2":
            lane, packed = np.dtype(np.float32), np.dtype(np.uint64)
            function = in_lanes(function, lane, packed)
        return same_type(name, count, function)

    return make


def _minus(function: Function) -> Function:
    """The same with the second operand negated."""
    return lambda a, b, *rest: function(a, -b, *rest)


def _subtract_f32(mode: str) -> Function:
    return np.subtract if mode == "rn" else _minus(_add_f32(mode))


def _reciprocal_f32(mode: str) -> Function:
    divide = _divide_f32(mode)
    return lambda a: divide(np.float32(1), a)


def _reciprocal_f64(a: Array, mode: str) -> Array:
    return divide_f64(np.ones_like(a), a, mode)


def _mixed_sum(f32: Callable[[str], Function]) -> Callable[[Words], Operation]:
    """Makes sums of a, f16 or bf16, and c, f32."""

    def make(words: Words) -> Operation:
        name = words["from"]
        add, read = _with(words, f32(words["rnd"] or "rn")), _reader(name)
        return Operation((name, "f32"), ("f32",), lambda a, c: add(read(a), c))

    return make


def _mixed_fma(words: Words) -> Operation:
    name = words["from"]
    fma, read = _with(words, _fma_f32(words["rnd"])), _reader(name)
    return Operation(
        (name, name, "f32"), ("f32",), lambda a, b, c: fma(read(a), read(b), c)
    )


def _reader(name: str) -> Callable[[Array], Array]:
    if name == "bf16":
        return bf16_to_f32
    return lambda a: a.astype(np.float32)


def _sign_operation(function: Function) -> Callable[[Words], Operation]:
    """Makes `neg` and `abs`, which keep the payload of a NaN."""

    def make(words: Words) -> Operation:
        name = words["type"]
        if not words.get("ftz"):
            return same_type(name, 1, function)
        flush = flusher(name)
        return same_type(name, 1, lambda a: function(flush(a)))

    return make


def _copy_sign(words: Words) -> Operation:
    """The magnitude of b with the sign of a."""
    return same_type(words["type"], 2, lambda a, b: np.copysign(b, a))


_ADD: Final = _maker(2, _add_f32, add_f64)
_SUB: Final = _maker(2, _subtract_f32, _minus(add_f64))
_MUL: Final = _maker(2, _multiply_f32, multiply_f64)
_FMA: Final = _maker(3, _fma_f32, fma_f64)
_DIV: Final = _maker(2, _divide_f32, divide_f64)
_RCP: Final = _maker(1, _reciprocal_f32, _reciprocal_f64)
_SQRT: Final = _maker(1, _sqrt_f32, sqrt_f64)

_RND: Final = "rnd=rn|rz|rm|rp"

FORMS: Final = (
    *(
        Form(opcode, line, make)
        for opcode, make in (("add", _ADD), ("sub", _SUB), ("mul", _MUL))
        for line in (
            f"[{_RND}] [ftz] [sat] type=f32",
            f"[{_RND}] [ftz] type=f32x2",
            f"[{_RND}] type=f64",
        )
    ),
    *(
        Form(opcode, f"{_RND} {line}", _FMA)
        for opcode in ("fma", "mad")
        for line in ("[ftz] [sat] type=f32", "type=f64")
    ),
    Form("fma", f"{_RND} [ftz] type=f32x2", _FMA),
    *(
        Form(opcode, f"{_RND} {line}", make)
        for opcode, make in (("div", _DIV), ("rcp", _RCP), ("sqrt", _SQRT))
        for line in ("[ftz] type=f32", "type=f64")
    ),
    Form("add", f"[{_RND}] [sat] f32 from=f16|bf16", _mixed_sum(_add_f32)),
    Form("sub", f"[{_RND}] [sat] f32 from=f16|bf16", _mixed_sum(_subtract_f32)),
    Form("fma", f"{_RND} [sat] f32 from=f16|bf16", _mixed_fma),
    Form("neg", "[ftz] type=f32", _sign_operation(np.negative)),
    Form("neg", "type=f64", _sign_operation(np.negative)),
    Form("abs", "[ftz] type=f32", _sign_operation(np.abs)),
    Form("abs", "type=f64", _sign_operation(np.abs)),
    Form("copysign", "type=f32|f64", _copy_sign),
)
