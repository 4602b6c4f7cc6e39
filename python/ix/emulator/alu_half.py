"""f16 and bf16 arithmetic, single and packed: add, sub, mul, fma, neg, abs.

Sums and products of two numbers are rounded to float32 first: with 24 bits that is more
than twice the precision plus two, so the second rounding finds what the first had.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ix.emulator.alu_form import Array, Form, Operation, Words, same_type
from ix.emulator.alu_packed import in_lanes
from ix.emulator.alu_rounding import (
    bf16_to_f32,
    canonical,
    flusher,
    replaced,
    round_nearest_bf16,
    saturate,
    to_odd,
    two_sum,
)

__all__ = ["FORMS", "half_operation", "relu"]

Function = Callable[..., Any]


def relu(x: Array) -> Any:
    """Makes negative floats, and -0, +0; NaN stay."""
    # np.maximum may give either zero; adding +0 makes it +0.
    return np.maximum(x, x.dtype.type(0)) + x.dtype.type(0)


def half_operation(name: str, count: int, function: Function) -> Operation:
    """An operation on f16, f16x2, bf16 or bf16x2 from one on single f16 or bf16.

    Args:
        name: The type.
        count: Operands.
        function: Takes and gives float16, or bf16 bits.
    """
    if name.endswith("x2"):
        lane = np.dtype(np.float16 if name == "f16x2" else np.uint16)
        function = in_lanes(function, lane, np.dtype(np.uint32))
    return same_type(name, count, function)


def _f16(words: Words, wide: Function) -> Function:
    """A function of float16 from one of float32 that gives float32 or float64."""
    flush = flusher("f16") if words.get("ftz") else None
    after = saturate if words.get("sat") else relu if words.get("relu") else None

    def run(*values: Array) -> Any:
        if flush:
            values = tuple(map(flush, values))
        exact = wide(*(value.astype(np.float32) for value in values))
        result = canonical(exact.astype(np.float16))
        if flush:
            result = flush(result)
        return after(result) if after else result

    return run


def _bf16(words: Words, wide: Function) -> Function:
    """A function of bf16 bits from one of float32 that gives float32."""
    after = relu if words.get("relu") else None

    def run(*values: Array) -> Any:
        result = wide(*map(bf16_to_f32, values))
        return round_nearest_bf16(after(result) if after else result)

    return run


def _fma_for_f16(a: Array, b: Array, c: Array) -> Any:
    # The product of 11-bit numbers is exact in float32. The sum is exact in float64, or
    # what it loses is too small to lie between c and the middle of two f16.
    return np.add(a * b, c, dtype=np.float64)


def _fma_for_bf16(a: Array, b: Array, c: Array) -> Array:
    """a · b + c in float32, such that rounding it to bf16 is right."""
    product = np.multiply(a, b, dtype=np.float64)
    total = np.asarray(np.add(product, c, dtype=np.float64).astype(np.float32))
    # Only halfway between two bf16 does it matter what float32 has lost.
    halfway = (total.view(np.uint32) & np.uint32(0xFFFF)) == np.uint32(0x8000)
    return replaced(total, halfway, _odd_f32, product, c)


def _odd_f32(a: Array, b: Array) -> Any:
    """a + b in float32, rounded to odd."""
    exact = to_odd(*two_sum(a, b))
    near = exact.astype(np.float32)
    return to_odd(near, exact - near)


def _maker(
    count: int, wide: Function, wide_bf16: Function
) -> Callable[[Words], Operation]:
    def make(words: Words) -> Operation:
        name = words["type"]
        is_f16 = name.startswith("f16")
        function = _f16(words, wide) if is_f16 else _bf16(words, wide_bf16)
        return half_operation(name, count, function)

    return make


def _sign_operation(f16: Function, bf16: Function) -> Callable[[Words], Operation]:
    def make(words: Words) -> Operation:
        name = words["type"]
        if not name.startswith("f16"):
            return half_operation(name, 1, bf16)
        if not words.get("ftz"):
            return half_operation(name, 1, f16)
        flush = flusher("f16")
        return half_operation(name, 1, lambda a: f16(flush(a)))

    return make


_NEG: Final = _sign_operation(np.negative, lambda bits: bits ^ np.uint16(0x8000))
_ABS: Final = _sign_operation(np.abs, lambda bits: bits & np.uint16(0x7FFF))
_FMA: Final = _maker(3, _fma_for_f16, _fma_for_bf16)

FORMS: Final = (
    *(
        Form(opcode, line, _maker(2, function, function))
        for opcode, function in (
            ("add", np.add),
            ("sub", np.subtract),
            ("mul", np.multiply),
        )
        for line in (
            "[rnd=rn] [ftz] [sat] type=f16|f16x2",
            "[rnd=rn] type=bf16|bf16x2",
        )
    ),
    Form("fma", "rnd=rn [ftz] [sat] type=f16|f16x2", _FMA),
    Form("fma", "rnd=rn [ftz] relu type=f16|f16x2", _FMA),
    Form("fma", "rnd=rn [relu] type=bf16|bf16x2", _FMA),
    Form("neg", "[ftz] type=f16|f16x2", _NEG),
    Form("neg", "type=bf16|bf16x2", _NEG),
    Form("abs", "[ftz] type=f16|f16x2", _ABS),
    Form("abs", "type=bf16|bf16x2", _ABS),
)
